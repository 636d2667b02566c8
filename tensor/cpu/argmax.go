package cpu

import (
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// argMax finds the first of the largest numbers of each row. NaN is no number:
// it is passed over, and a row of nothing else gives 0.
func (p *program) argMax(op *tensor.Op) error {
	dst, x, cols := i32s(op.Dst), f32s(op.A), op.A.Cols()
	p.each(op, op.A.Rows(), cols, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			row := x[i*cols:][:cols]
			dst[i] = 0
			top := vec.Max(row)
			for j, v := range row {
				if v == top {
					dst[i] = int32(j)
					break
				}
			}
		}
		return nil
	}, writes(op.Dst.Data), reads(op.A.Data))
	return nil
}
