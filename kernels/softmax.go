package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// softmaxArgs is Softmax of softmax.cu.
type softmaxArgs struct {
	dst, x, part               uint64
	rows                       int64
	cols, lanes, parts, piece_ int32
	wide, _                    int32
}

var _ = mirror(softmaxArgs{}, "softmax", "softmax_parts", "softmax_join")

// piece is how many columns of a long row one block takes.
const piece = 8192

// softmax: dst = exp(x-max) / Σ exp(x-max).
func (d *Device) softmax(op *tensor.Op) error {
	rows, cols := op.A.Rows(), op.A.Cols()
	if rows*cols == 0 {
		return nil
	}
	grid, block, lanes := d.teams(rows, cols)
	a := softmaxArgs{dst: ptr(op.Dst), x: ptr(op.A), rows: int64(rows), cols: int32(cols), lanes: int32(lanes),
		wide: wideRows(cols, op.Dst, op.A)}
	if cols <= 2*piece || rows > d.sms() {
		return d.launch("softmax", grid, block, 0, unsafe.Pointer(&a))
	}
	a.parts, a.piece_ = int32(ceil(cols, piece)), piece
	var err error
	if a.part, err = d.scratch(reduceScratch, rows*int(a.parts)*8); err != nil {
		return err
	}
	if err := d.launch("softmax_parts", rows*int(a.parts), 1024, 0, unsafe.Pointer(&a)); err != nil {
		return err
	}
	return d.launch("softmax_join", rows*int(a.parts), 1024, 0, unsafe.Pointer(&a))
}
