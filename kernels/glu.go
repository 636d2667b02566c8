package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// gluArgs is GLU of glu.cu.
type gluArgs struct {
	dst, gate, up uint64
	n             int64
	fn, wide      int32
}

var _ = mirror(gluArgs{}, "glu")

// glu: dst = fn(gate)·up.
func (d *Device) glu(op *tensor.Op) error {
	grid, block := d.spread(op.A.Len())
	a := gluArgs{ptr(op.Dst), ptr(op.A), ptr(op.B), int64(op.A.Len()), int32(op.Fn), wide(op.Dst, op.A, op.B)}
	return d.launch("glu", grid, block, 0, unsafe.Pointer(&a))
}
