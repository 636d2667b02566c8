package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// randomArgs is Random of random.cu.
type randomArgs struct {
	dst, seed uint64
	n         int64
	wide, _   int32
}

var _ = mirror(randomArgs{}, "random_normal")

// random fills dst with normal numbers.
func (d *Device) random(op *tensor.Op) error {
	grid, block := d.spread(op.Dst.Len())
	a := randomArgs{dst: ptr(op.Dst), seed: op.Seed, n: int64(op.Dst.Len()), wide: wide(op.Dst)}
	return d.launch("random_normal", grid, block, 0, unsafe.Pointer(&a))
}
