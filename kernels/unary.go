package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// unaryArgs is Unary of unary.cu.
type unaryArgs struct {
	dst, x   uint64
	n        int64
	fn, wide int32
	limit    float32
	_        int32
}

// plainTypes are those whose numbers stand alone; most operations have a
// kernel for each of them.
var plainTypes = []tensor.DType{tensor.F32, tensor.F64, tensor.F16, tensor.BF16, tensor.I8, tensor.I16, tensor.I32, tensor.I64}

// plainKernels are the names of kernels that come one for each plain type.
func plainKernels(op string) (names []string) {
	for _, t := range plainTypes {
		names = append(names, op+"_"+t.String())
	}
	return names
}

var _ = mirror(unaryArgs{}, plainKernels("unary")...)

func integer(t tensor.DType) bool {
	return t == tensor.I8 || t == tensor.I16 || t == tensor.I32 || t == tensor.I64
}

// unary: dst = fn(x).
func (d *Device) unary(op *tensor.Op) error {
	if integer(op.A.DType) && op.Fn != tensor.Neg && op.Fn != tensor.Abs && op.Fn != tensor.ReLU {
		return d.refuse(op, "%s of %s: convert it to a float type first", op.Fn, op.A.DType)
	}
	grid, block := d.spread(op.A.Len())
	a := unaryArgs{dst: ptr(op.Dst), x: ptr(op.A), n: int64(op.A.Len()), fn: int32(op.Fn), wide: wide(op.Dst, op.A), limit: op.Scale}
	return d.launch("unary_"+op.A.DType.String(), grid, block, 0, unsafe.Pointer(&a))
}
