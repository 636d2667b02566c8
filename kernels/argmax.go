package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// argMaxArgs is ArgMax of argmax.cu.
type argMaxArgs struct {
	dst, x, part               uint64
	rows                       int64
	cols, parts, piece_, lanes int32
	wide, _                    int32
}

var _ = mirror(argMaxArgs{}, "argmax", "argmax_join")

// argMax: the index of the first of the largest numbers of each row.
func (d *Device) argMax(op *tensor.Op) error {
	rows, cols := op.A.Rows(), op.A.Cols()
	if rows == 0 {
		return nil
	}
	grid, block, lanes := d.teams(rows, cols)
	a := argMaxArgs{dst: ptr(op.Dst), x: ptr(op.A), rows: int64(rows), cols: int32(cols), parts: 1, piece_: int32(cols),
		lanes: int32(lanes), wide: wideRows(cols, op.A)}
	if cols <= 2*piece || rows > d.sms() {
		return d.launch("argmax", grid, block, 0, unsafe.Pointer(&a))
	}
	a.parts, a.piece_, a.lanes = int32(ceil(cols, piece)), piece, 1024
	var err error
	if a.part, err = d.scratch(reduceScratch, rows*int(a.parts)*8); err != nil {
		return err
	}
	if err := d.launch("argmax", rows*int(a.parts), 1024, 0, unsafe.Pointer(&a)); err != nil {
		return err
	}
	return d.launch("argmax_join", rows, 32, 0, unsafe.Pointer(&a))
}
