package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// scaleArgs is Scale of scale.cu.
type scaleArgs struct {
	dst, x uint64
	n      int64
	wide   int32
	factor float32
}

var _ = mirror(scaleArgs{}, "scale")

// scale: dst = x·factor.
func (d *Device) scale(op *tensor.Op) error {
	grid, block := d.spread(op.A.Len())
	a := scaleArgs{ptr(op.Dst), ptr(op.A), int64(op.A.Len()), wide(op.Dst, op.A), op.Scale}
	return d.launch("scale", grid, block, 0, unsafe.Pointer(&a))
}
