package kernels

import (
	"encoding/binary"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// fillArgs is Fill of fill.cu.
type fillArgs struct {
	dst, value  uint64
	n           int64
	bytes, wide int32
}

var _ = mirror(fillArgs{}, "fill")

// fill sets every number to the value, in dst's type.
func (d *Device) fill(op *tensor.Op) error {
	var value [8]byte
	size := op.Dst.DType.BlockBytes()
	for i := 0; i < len(value); i += size {
		op.Dst.DType.Encode(value[i:i+size], []float32{op.Scale})
	}
	grid, block := d.spread(op.Dst.Len())
	a := fillArgs{ptr(op.Dst), binary.LittleEndian.Uint64(value[:]), int64(op.Dst.Len()), int32(size), wide(op.Dst)}
	return d.launch("fill", grid, block, 0, unsafe.Pointer(&a))
}
