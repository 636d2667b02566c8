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
	a := binaryArgs{b: ptr(op.B), fault: d.faultWord(), m: int64(m), fn: int32(op.Fn)}
	if m == 1 || m == n || m%4 == 0 {
		a.wide = wide(op.Dst, op.A)
		if m > 1 {
			a.wide &= wide(op.B)
		}
	}
	piece := n
	if m != n && m != 1 { // the kernel divides in 32 bits
		piece = max(1, 1<<31/m) * m
	}
	for at := 0; at < n; at += piece {
		offset := uint64(op.A.DType.Bytes(at))
		a.n, a.dst, a.a = int64(min(piece, n-at)), ptr(op.Dst)+offset, ptr(op.A)+offset
		grid, block := d.spread(int(a.n))
		if err := d.launch("binary_"+op.A.DType.String(), grid, block, 0, unsafe.Pointer(&a)); err != nil {
			return err
		}
	}
	return nil
}

func overlap(a, b *tensor.Tensor) bool {
	return ptr(a) < ptr(b)+uint64(b.Bytes()) && ptr(b) < ptr(a)+uint64(a.Bytes())
}
