package kernels

import (
	"fmt"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// transposeArgs is Transpose of transpose.cu.
type transposeArgs struct {
	dst, x             uint64
	rows, cols, across int64
}

var _ = mirror(transposeArgs{}, "transpose_8", "transpose_16", "transpose_32", "transpose_64")

// transpose: dst (c, r) = xᵀ of x (r, c).
func (d *Device) transpose(op *tensor.Op) error {
	rows, cols := op.A.Shape[0], op.A.Shape[1]
	across := ceil(cols, 32)
	a := transposeArgs{ptr(op.Dst), ptr(op.A), int64(rows), int64(cols), int64(across)}
	kernel := fmt.Sprintf("transpose_%d", 8*op.A.DType.BlockBytes())
	return d.launch(kernel, ceil(rows, 32)*across, 256, 0, unsafe.Pointer(&a))
}
