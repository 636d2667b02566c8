package safetensors

import "math/bits"

// A DType is a type of numbers, by the format's name for it.
type DType string

// The types of the format (Dtype in safetensors/src/tensor.rs). F4 and F6 are
// packed without gaps; a tensor of them fills whole bytes.
const (
	Bool       DType = "BOOL"
	F4         DType = "F4" // E2M1 of OCP's microscaling formats, as F6 and E8M0
	F6E2M3     DType = "F6_E2M3"
	F6E3M2     DType = "F6_E3M2"
	U8         DType = "U8"
	I8         DType = "I8"
	F8E5M2     DType = "F8_E5M2"
	F8E4M3     DType = "F8_E4M3" // no infinities: E4M3FN
	F8E8M0     DType = "F8_E8M0" // a power of two
	F8E4M3FNUZ DType = "F8_E4M3FNUZ"
	F8E5M2FNUZ DType = "F8_E5M2FNUZ"
	I16        DType = "I16"
	U16        DType = "U16"
	F16        DType = "F16"
	BF16       DType = "BF16"
	I32        DType = "I32"
	U32        DType = "U32"
	F32        DType = "F32"
	C64        DType = "C64" // two float32
	F64        DType = "F64"
	I64        DType = "I64"
	U64        DType = "U64"
)

// dtypes is in the order by which the reference implementation places tensors,
// last first: the widest begin.
var dtypes = []struct {
	name DType
	bits int
}{
	{Bool, 8}, {F4, 4}, {F6E2M3, 6}, {F6E3M2, 6}, {U8, 8}, {I8, 8},
	{F8E5M2, 8}, {F8E4M3, 8}, {F8E8M0, 8}, {F8E4M3FNUZ, 8}, {F8E5M2FNUZ, 8},
	{I16, 16}, {U16, 16}, {F16, 16}, {BF16, 16},
	{I32, 32}, {U32, 32}, {F32, 32},
	{C64, 64}, {F64, 64}, {I64, 64}, {U64, 64},
}

// rank is the type's place in dtypes, -1 if the format has no such type.
func (d DType) rank() int {
	for i := range dtypes {
		if dtypes[i].name == d {
			return i
		}
	}
	return -1
}

// Bits is the size of one number, 0 if the format has no such type.
func (d DType) Bits() int {
	if i := d.rank(); i >= 0 {
		return dtypes[i].bits
	}
	return 0
}

// size is the bytes of a tensor, or what is wrong with it.
func size(d DType, shape []int) (uint64, error) {
	if d.Bits() == 0 {
		return 0, errorf("type %q is none of the format", string(d))
	}
	if len(shape) > maxDims {
		return 0, errorf("%d dimensions, at most %d allowed", len(shape), maxDims)
	}
	n := uint64(1)
	for _, k := range shape {
		if k < 0 {
			return 0, errorf("shape %v has a negative dimension", shape)
		}
		hi, lo := bits.Mul64(n, uint64(k))
		if hi != 0 || lo > maxInt {
			return 0, errorf("shape %v has too many numbers", shape)
		}
		n = lo
	}
	hi, lo := bits.Mul64(n, uint64(d.Bits()))
	switch {
	case hi != 0 || lo/8 > maxInt:
		return 0, errorf("shape %v has too many numbers", shape)
	case lo%8 != 0:
		return 0, errorf("shape %v of %s is %d bits, not whole bytes", shape, d, lo)
	}
	return lo / 8, nil
}
