package conformance

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

func conversions() []Case {
	var all []Case
	plain := append(append([]tensor.DType(nil), intTypes...), floatTypes...)
	add := func(from, to tensor.DType) {
		all = append(all, Case{"convert", fmt.Sprintf("%s to %s", from, to), convertBound(to), func(e *env) (got, want []float64) {
			x, out := e.normal(from, 30, 3, 512), e.empty(to, 3, 512)
			e.s.Convert(out, x.Tensor)
			want = x.x
			switch {
			case from == to:
			case elementBound(to) == 0 && !to.Quantised():
				want = make([]float64, len(x.x))
				for i, v := range x.x {
					v = math.Trunc(v)
					if elementBound(from) == 0 { // among integers the low bits are kept
						v = wrap(to, v)
					}
					want[i] = v
				}
				want = rounded(to, want)
			default:
				want = rounded(to, want)
			}
			return e.read(out), want
		}})
	}
	for _, d := range tensor.DTypes() {
		for _, p := range plain {
			if d.Quantised() {
				if p != tensor.F32 && p != tensor.F16 {
					continue
				}
				if d.CanEncode() {
					add(p, d)
				}
			}
			add(d, p)
		}
	}
	add(tensor.Q8_0, tensor.Q4_0)
	add(tensor.Q8_0, tensor.Q8_0)
	all = append(all, Case{"convert", "floats beyond integers", 0, func(e *env) (got, want []float64) {
		x := e.given(tensor.F32, []float64{1e10, -1e10, math.NaN(), math.Inf(1), 127.9, -128.9, 0.5, -0.5}, 8)
		out := e.empty(tensor.I8, 8)
		e.s.Convert(out, x.Tensor)
		return e.read(out), []float64{127, -128, 0, 127, 127, -128, 0, 0}
	}}, Case{"convert", "large integers", 0, func(e *env) (got, want []float64) {
		want = []float64{1<<53 - 1, -(1<<53 - 1), 1 << 40, 16777217}
		x, out := e.given(tensor.I64, want, 4), e.empty(tensor.F64, 4)
		e.s.Convert(out, x.Tensor)
		return e.read(out), want
	}})
	return all
}

// convertBound leaves a device's encoder a rounding of its own in blocks.
func convertBound(to tensor.DType) float64 {
	if to.Quantised() {
		return 1e-5
	}
	return elementBound(to)
}
