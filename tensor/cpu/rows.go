package cpu

import (
	"fmt"

	"github.com/llcuda/llcuda/tensor"
)

// rows decodes the table's rows that the ids name.
func (p *program) rows(op *tensor.Op) error {
	dst, table, ids := f32s(op.Dst), op.A, i32s(op.B)
	cols, size, count := table.Cols(), table.RowBytes(), table.Rows()
	p.each(op, len(ids), 4*cols, func(w *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			id := int(ids[i])
			if id < 0 || id >= count {
				return fmt.Errorf("id %d is not among the %d rows of %s", id, count, table)
			}
			table.DType.Decode(dst[i*cols:][:cols], table.Data[id*size:][:size])
		}
		return nil
	}, writes(op.Dst.Data), reads(table.Data), reads(op.B.Data))
	return nil
}
