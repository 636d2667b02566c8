package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// reduceArgs is Reduce of reduce.cu.
type reduceArgs struct {
	dst, x, part         uint64
	rows, cols, piece    int64
	parts, lanes, fn, _3 int32
}

var _ = mirror(reduceArgs{}, append(plainKernels("reduce"), plainKernels("reduce_join")...)...)

// reduce: one number of each row.
func (d *Device) reduce(op *tensor.Op) error {
	rows, cols, name := op.A.Rows(), op.A.Cols(), op.A.DType.String()
	if integer(op.A.DType) && op.Fn == tensor.Mean {
		return d.refuse(op, "mean of %s: convert it to a float type first", op.A.DType)
	}
	if rows == 0 {
		return nil
	}
	grid, block, lanes := d.teams(rows, cols)
	a := reduceArgs{dst: ptr(op.Dst), x: ptr(op.A), rows: int64(rows), cols: int64(cols), piece: int64(cols), parts: 1,
		lanes: int32(lanes), fn: int32(op.Fn)}
	if cols <= 2*piece || rows > d.sms() {
		return d.launch("reduce_"+name, grid, block, 0, unsafe.Pointer(&a))
	}
	a.piece, a.parts, a.lanes = piece, int32(ceil(cols, piece)), 1024
	var err error
	if a.part, err = d.scratch(reduceScratch, rows*int(a.parts)*8); err != nil {
		return err
	}
	if err := d.launch("reduce_"+name, rows*int(a.parts), 1024, 0, unsafe.Pointer(&a)); err != nil {
		return err
	}
	return d.launch("reduce_join_"+name, rows, 256, 0, unsafe.Pointer(&a))
}
