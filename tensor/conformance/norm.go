package conformance

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

const usualBound = 1e-7

func norms() []Case {
	var all []Case
	for _, n := range []int{1, 2, 7, 64, 513} {
		for _, cols := range []int{1, 7, 64, 576, 4099} {
			if n > 64 && cols > 600 {
				continue
			}
			for _, weighted := range []bool{true, false} {
				name := fmt.Sprintf("(%d,%d) weights %v", n, cols, weighted)
				all = append(all, Case{"rms_norm", name, usualBound, func(e *env) (got, want []float64) {
					x, w := e.normal(tensor.F32, 3, n, cols), e.normal(tensor.F32, 1, cols)
					out := x.Tensor // in place
					if !weighted {
						out, w.Tensor = e.empty(tensor.F32, n, cols), nil
					}
					e.s.RMSNorm(out, x.Tensor, w.Tensor, 1e-5)
					return e.read(out), eachRow(x.x, cols, func(row []float64) []float64 {
						sum := 0.0
						for _, v := range row {
							sum += v * v
						}
						f := 1 / math.Sqrt(sum/float64(cols)+float64(float32(1e-5)))
						return affine(row, 0, f, w, operand{})
					})
				}}, Case{"layer_norm", name, usualBound, func(e *env) (got, want []float64) {
					x, w, b := e.normal(tensor.F32, 3, n, cols), e.normal(tensor.F32, 1, cols), e.normal(tensor.F32, 1, cols)
					out := x.Tensor
					if !weighted {
						out, w.Tensor, b.Tensor = e.empty(tensor.F32, n, cols), nil, nil
					}
					e.s.LayerNorm(out, x.Tensor, w.Tensor, b.Tensor, 1e-5)
					return e.read(out), eachRow(x.x, cols, func(row []float64) []float64 {
						mean, variance := 0.0, 0.0
						for _, v := range row {
							mean += v / float64(cols)
						}
						for _, v := range row {
							variance += (v - mean) * (v - mean) / float64(cols)
						}
						return affine(row, mean, 1/math.Sqrt(variance+float64(float32(1e-5))), w, b)
					})
				}})
			}
		}
	}
	return all
}

// affine is (row-mean)·f·w + b; w and b may be missing.
func affine(row []float64, mean, f float64, w, b operand) []float64 {
	y := make([]float64, len(row))
	for i, v := range row {
		y[i] = (v - mean) * f
		if w.Tensor != nil {
			y[i] *= w.x[i]
		}
		if b.Tensor != nil {
			y[i] += b.x[i]
		}
	}
	return y
}

// eachRow joins what f makes of the rows.
func eachRow(x []float64, cols int, f func(row []float64) []float64) []float64 {
	var y []float64
	for i := 0; i < len(x); i += cols {
		y = append(y, f(x[i:i+cols])...)
	}
	return y
}
