package cpu

import (
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// softmax: dst = exp(x-max) / Σ exp(x-max), a row a piece.
func (p *program) softmax(op *tensor.Op) error {
	dst, x, cols := f32s(op.Dst), f32s(op.A), op.A.Cols()
	if cols == 0 {
		return nil
	}
	p.each(op, op.A.Rows(), 6*cols, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			softmax(dst[i*cols:][:cols], x[i*cols:][:cols])
		}
		return nil
	}, writes(op.Dst.Data), reads(op.A.Data))
	return nil
}

// softmax of long rows sums in parts, so that float32 is enough.
func softmax(dst, x []float32) {
	top, sum := vec.Max(x), 0.0
	if math.IsInf(float64(top), -1) { // nothing to choose from: NaN, as 0/0 is
		top = float32(math.NaN())
	}
	for i := 0; i < len(x); i += 4096 {
		end := min(i+4096, len(x))
		sum += float64(vec.ExpSum(dst[i:end], x[i:end], top))
	}
	vec.Scale(dst, dst, float32(1/sum))
}
