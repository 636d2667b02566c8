package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// binaryArgs is Binary of binary.cu.
type binaryArgs struct {
	dst, a, b, fault uint64
	n, m             int64
	fn, wide         int32
}

var _ = mirror(binaryArgs{}, plainKernels("binary")...)

// binary: dst = fn(a, b), where b repeats along a.
func (d *Device) binary(op *tensor.Op) error {
	n, m := op.A.Len(), op.B.Len()
	if n == 0 {
		return nil
	}
	if m != n && overlap(op.Dst, op.B) { // b is needed again after its place was written
		return d.refuse(op, "%s into its second operand %s of another shape", op.Fn, op.B)
	}
	grid, block := d.spread(n)
	a := binaryArgs{dst: ptr(op.Dst), a: ptr(op.A), b: ptr(op.B), fault: d.faultWord(), n: int64(n), m: int64(m), fn: int32(op.Fn)}
	if m == 1 || m == n || m%4 == 0 {
		a.wide = wide(op.Dst, op.A)
		if m > 1 {
			a.wide &= wide(op.B)
		}
	}
	return d.launch("binary_"+op.A.DType.String(), grid, block, 0, unsafe.Pointer(&a))
}

func overlap(a, b *tensor.Tensor) bool {
	return ptr(a) < ptr(b)+uint64(b.Bytes()) && ptr(b) < ptr(a)+uint64(a.Bytes())
}
