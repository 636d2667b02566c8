package cpu

import (
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// rmsNorm: dst = x / √(mean(x²)+eps) · w, a row a piece.
func (p *program) rmsNorm(op *tensor.Op) error {
	dst, x, cols := f32s(op.Dst), f32s(op.A), op.A.Cols()
	uses := []access{writes(op.Dst.Data), reads(op.A.Data)}
	var weight []float32
	if op.B != nil {
		weight = f32s(op.B)
		uses = append(uses, reads(op.B.Data))
	}
	p.each(op, op.A.Rows(), cols, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			x, dst := x[i*cols:][:cols], dst[i*cols:][:cols]
			f := float32(1 / math.Sqrt(float64(vec.SumSq(x))/float64(cols)+float64(op.Eps)))
			if weight == nil {
				vec.Scale(dst, x, f)
			} else {
				vec.ScaleMul(dst, x, weight, f)
			}
		}
		return nil
	}, uses...)
	return nil
}

// layerNorm: dst = (x-mean)/√(var+eps)·w + b, a row a piece.
func (p *program) layerNorm(op *tensor.Op) error {
	dst, x, cols := f32s(op.Dst), f32s(op.A), op.A.Cols()
	uses := []access{writes(op.Dst.Data), reads(op.A.Data)}
	var weight, bias []float32
	if op.B != nil {
		weight = f32s(op.B)
		uses = append(uses, reads(op.B.Data))
	}
	if op.C != nil {
		bias = f32s(op.C)
		uses = append(uses, reads(op.C.Data))
	}
	p.each(op, op.A.Rows(), 4*cols, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			x, dst := x[i*cols:][:cols], dst[i*cols:][:cols]
			mean, variance := 0.0, 0.0
			for _, v := range x {
				mean += float64(v)
			}
			mean /= float64(cols)
			for _, v := range x {
				variance += (float64(v) - mean) * (float64(v) - mean)
			}
			f := 1 / math.Sqrt(variance/float64(cols)+float64(op.Eps))
			for j, v := range x {
				y := (float64(v) - mean) * f
				if weight != nil {
					y *= float64(weight[j])
				}
				if bias != nil {
					y += float64(bias[j])
				}
				dst[j] = float32(y)
			}
		}
		return nil
	}, uses...)
	return nil
}
