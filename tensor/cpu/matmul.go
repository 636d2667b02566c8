package cpu

import (
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// prepared says whose numbers a prepared buffer holds.
type prepared struct{ of access }

// matMul: dst (n, m) = x (n, k) · wᵀ.
func (p *program) matMul(op *tensor.Op) error {
	dst, w, x := op.Dst, op.A, op.B
	if dst.DType != tensor.F32 || x.DType != tensor.F32 {
		return refuse(op, "%s from %s", dst.DType, x.DType)
	}
	out, in, n, m, k, size := f32s(dst), f32s(x), x.Rows(), w.Rows(), w.Cols(), w.RowBytes()
	p.dev.growScratch(4 * k)
	p.each(op, m, 2*n*k, func(wk *worker, lo, hi int) error {
		row := view[float32](wk.scratch())[:k]
		for j := lo; j < hi; j++ {
			w.DType.Decode(row, w.Data[j*size:][:size])
			for i := range n {
				vec.Scores(out[i*m+j:], 1, row, 1, k, in[i*k:], k, 1)
			}
		}
		return nil
	}, writes(dst.Data), reads(w.Data), reads(x.Data))
	return nil
}
