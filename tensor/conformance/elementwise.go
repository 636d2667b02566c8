package conformance

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

var (
	floatTypes = []tensor.DType{tensor.F32, tensor.F64, tensor.F16, tensor.BF16}
	intTypes   = []tensor.DType{tensor.I8, tensor.I16, tensor.I32, tensor.I64}
)

// elementBound is what one rounding of a result may differ.
func elementBound(d tensor.DType) float64 {
	switch d {
	case tensor.BF16:
		return 1e-5
	case tensor.F64:
		return 1e-14
	case tensor.F32, tensor.F16:
		return usualBound
	}
	return 0
}

var unary = map[tensor.Fn]func(x float64) float64{
	tensor.Neg:     func(x float64) float64 { return -x },
	tensor.Abs:     math.Abs,
	tensor.Exp:     math.Exp,
	tensor.Log:     math.Log,
	tensor.Sqrt:    math.Sqrt,
	tensor.Sin:     math.Sin,
	tensor.Cos:     math.Cos,
	tensor.Tanh:    math.Tanh,
	tensor.Sigmoid: func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	tensor.ReLU:    func(x float64) float64 { return max(x, 0) },
	tensor.SiLU:    func(x float64) float64 { return x / (1 + math.Exp(-x)) },
	tensor.GELU: func(x float64) float64 {
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	},
	tensor.GELUErf: func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) },
}

var counts = []int{1, 7, 513, 40000}

func unaries() []Case {
	var all []Case
	add := func(fn tensor.Fn, d tensor.DType, n int) {
		all = append(all, Case{"unary", fmt.Sprintf("%s of %d %s", fn, n, d), elementBound(d), func(e *env) (got, want []float64) {
			x := e.normal(d, 4, n)
			out := x.Tensor
			if n%2 == 0 {
				out = e.empty(d, n)
			}
			e.s.Unary(out, x.Tensor, fn)
			for _, v := range x.x {
				want = append(want, unary[fn](v))
			}
			return e.read(out), rounded(d, want)
		}})
	}
	for fn := tensor.Neg; fn <= tensor.GELUErf; fn++ {
		for _, d := range floatTypes {
			for _, n := range counts[:3] {
				add(fn, d, n)
			}
		}
		add(fn, tensor.F32, 40000)
	}
	for _, fn := range []tensor.Fn{tensor.Neg, tensor.Abs, tensor.ReLU} {
		for _, d := range intTypes {
			add(fn, d, 513)
		}
	}
	for _, limit := range []float32{1, 30, 50} {
		all = append(all, Case{"unary", fmt.Sprintf("cap at %v", limit), usualBound, func(e *env) (got, want []float64) {
			x := e.normal(tensor.F32, 40, 3, 1003)
			out := e.empty(tensor.F32, 3, 1003)
			e.s.Cap(out, x.Tensor, limit)
			for _, v := range x.x {
				want = append(want, float64(limit)*math.Tanh(v/float64(limit)))
			}
			return e.read(out), want
		}})
	}
	return all
}

func glus() []Case {
	var all []Case
	for _, fn := range []tensor.Fn{tensor.SiLU, tensor.GELU, tensor.GELUErf, tensor.ReLU, tensor.Sigmoid} {
		for _, n := range counts {
			all = append(all, Case{"glu", fmt.Sprintf("%s of %d", fn, n), usualBound, func(e *env) (got, want []float64) {
				gate, up := e.normal(tensor.F32, 4, n), e.normal(tensor.F32, 1, n)
				e.s.GLU(gate.Tensor, gate.Tensor, up.Tensor, fn)
				for i, g := range gate.x {
					want = append(want, unary[fn](g)*up.x[i])
				}
				return e.read(gate.Tensor), want
			}})
		}
	}
	return all
}

var pairs = map[tensor.Fn]func(a, b float64) float64{
	tensor.Add: func(a, b float64) float64 { return a + b },
	tensor.Sub: func(a, b float64) float64 { return a - b },
	tensor.Mul: func(a, b float64) float64 { return a * b },
	tensor.Div: func(a, b float64) float64 { return a / b },
	tensor.Pow: math.Pow,
	tensor.Min: math.Min,
	tensor.Max: math.Max,
}

func binaries() []Case {
	var all []Case
	add := func(fn tensor.Fn, d tensor.DType, n, m int, bShape ...int) {
		integer := elementBound(d) == 0
		all = append(all, Case{"binary", fmt.Sprintf("%s of %s (%d,%d) and %v", fn, d, n, m, bShape), elementBound(d), func(e *env) (got, want []float64) {
			a, b := e.normal(d, 4, n, m), e.normal(d, 4, bShape...)
			if integer && (fn == tensor.Div || fn == tensor.Pow) { // small, and no zero
				for i, v := range b.x {
					b.x[i] = 1 + math.Mod(math.Abs(v), 3)
				}
				b = e.given(d, b.x, bShape...)
			}
			out := a.Tensor
			if m%2 == 0 {
				out = e.empty(d, n, m)
			}
			e.s.Binary(out, a.Tensor, b.Tensor, fn)
			for i, v := range a.x {
				y := pairs[fn](v, b.x[i%len(b.x)])
				if integer {
					y = wrap(d, math.Floor(y))
				}
				want = append(want, y)
			}
			return e.read(out), rounded(d, want)
		}})
	}
	for fn := tensor.Add; fn <= tensor.Max; fn++ {
		for _, d := range append(intTypes, floatTypes...) {
			add(fn, d, 7, 33, 7, 33)
			add(fn, d, 4, 20, 20)
			add(fn, d, 3, 5, 1)
		}
	}
	for _, fn := range []tensor.Fn{tensor.Add, tensor.Mul} {
		add(fn, tensor.F32, 513, 576, 513, 576)
		add(fn, tensor.F32, 513, 576, 576)
		add(fn, tensor.F32, 1, 4099, 4099)
	}
	return all
}

// wrap keeps the low bits of an integer.
func wrap(d tensor.DType, v float64) float64 {
	span := math.Ldexp(1, 8*d.BlockBytes())
	v = math.Mod(v, span)
	if v >= span/2 {
		v -= span
	} else if v < -span/2 {
		v += span
	}
	return v
}

func scales() []Case {
	var all []Case
	for _, n := range counts {
		all = append(all, Case{"scale", fmt.Sprint(n), usualBound, func(e *env) (got, want []float64) {
			x := e.normal(tensor.F32, 1, n)
			e.s.Scale(x.Tensor, x.Tensor, 1.7)
			for _, v := range x.x {
				want = append(want, v*float64(float32(1.7)))
			}
			return e.read(x.Tensor), want
		}})
	}
	return all
}

func fills() []Case {
	var all []Case
	for _, d := range append(intTypes, floatTypes...) {
		all = append(all, Case{"fill", d.String(), 0, func(e *env) (got, want []float64) {
			x := e.normal(d, 1, 3, 777)
			e.s.Fill(x.Tensor, -3)
			for range x.x {
				want = append(want, -3)
			}
			return e.read(x.Tensor), want
		}})
	}
	return all
}

func transposes() []Case {
	var all []Case
	for _, d := range append(intTypes, floatTypes...) {
		for _, s := range [][2]int{{1, 5}, {33, 65}, {100, 7}} {
			all = append(all, Case{"transpose", fmt.Sprint(d, s), 0, func(e *env) (got, want []float64) {
				x, out := e.normal(d, 9, s[0], s[1]), e.empty(d, s[1], s[0])
				e.s.Transpose(out, x.Tensor)
				for j := range s[1] {
					for i := range s[0] {
						want = append(want, x.x[i*s[1]+j])
					}
				}
				return e.read(out), want
			}})
		}
	}
	return all
}
