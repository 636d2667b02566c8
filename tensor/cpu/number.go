package cpu

import (
	"encoding/binary"
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// Single numbers of the plain types: the slow way, for operations that no
// model needs.

func integer(d tensor.DType) bool {
	return d == tensor.I8 || d == tensor.I16 || d == tensor.I32 || d == tensor.I64
}

func getInt(t *tensor.Tensor, i int) int64 {
	switch le := binary.LittleEndian; t.DType {
	case tensor.I8:
		return int64(int8(t.Data[i]))
	case tensor.I16:
		return int64(int16(le.Uint16(t.Data[2*i:])))
	case tensor.I32:
		return int64(int32(le.Uint32(t.Data[4*i:])))
	case tensor.I64:
		return int64(le.Uint64(t.Data[8*i:]))
	}
	panic(t.DType.String() + " is no integer type")
}

// putInt keeps the low bits of v, as two's complement does.
func putInt(t *tensor.Tensor, i int, v int64) {
	switch le := binary.LittleEndian; t.DType {
	case tensor.I8:
		t.Data[i] = byte(v)
	case tensor.I16:
		le.PutUint16(t.Data[2*i:], uint16(v))
	case tensor.I32:
		le.PutUint32(t.Data[4*i:], uint32(v))
	case tensor.I64:
		le.PutUint64(t.Data[8*i:], uint64(v))
	default:
		panic(t.DType.String() + " is no integer type")
	}
}

func getFloat(t *tensor.Tensor, i int) float64 {
	switch le := binary.LittleEndian; t.DType {
	case tensor.F32:
		return float64(math.Float32frombits(le.Uint32(t.Data[4*i:])))
	case tensor.F64:
		return math.Float64frombits(le.Uint64(t.Data[8*i:]))
	case tensor.F16:
		return float64(tensor.HalfToFloat(le.Uint16(t.Data[2*i:])))
	case tensor.BF16:
		return float64(tensor.BF16ToFloat(le.Uint16(t.Data[2*i:])))
	}
	return float64(getInt(t, i))
}

// putFloat rounds v to t's type. Integers get v without its fraction, the
// nearest they have if v is beyond them, and 0 for NaN.
func putFloat(t *tensor.Tensor, i int, v float64) {
	switch le := binary.LittleEndian; t.DType {
	case tensor.F32:
		le.PutUint32(t.Data[4*i:], math.Float32bits(float32(v)))
	case tensor.F64:
		le.PutUint64(t.Data[8*i:], math.Float64bits(v))
	case tensor.F16:
		le.PutUint16(t.Data[2*i:], tensor.FloatToHalf(odd(v)))
	case tensor.BF16:
		le.PutUint16(t.Data[2*i:], tensor.FloatToBF16(odd(v)))
	default:
		putInt(t, i, toInt(v, 8*t.DType.BlockBytes()))
	}
}

// odd rounds to float32 such that a second rounding to fewer bits is right: a
// result that is not exact gets an odd last bit (Boldo & Melquiond 2008).
func odd(v float64) float32 {
	f := float32(v)
	if float64(f) == v || v != v || math.IsInf(float64(f), 0) || math.Float32bits(f)&1 == 1 {
		return f
	}
	if math.Abs(float64(f)) > math.Abs(v) {
		return math.Float32frombits(math.Float32bits(f) - 1)
	}
	return math.Float32frombits(math.Float32bits(f) + 1)
}

// toInt cuts off the fraction and stays within an integer of so many bits.
func toInt(v float64, bits int) int64 {
	limit := math.Ldexp(1, bits-1)
	switch {
	case v != v:
		return 0
	case v <= -limit:
		return math.MinInt64 >> (64 - bits)
	case v >= limit:
		return math.MaxInt64 >> (64 - bits)
	}
	return int64(v)
}

// to32 converts numbers of x, from number at on, to float32.
func to32(dst []float32, x *tensor.Tensor, at int) {
	if x.DType == tensor.F16 {
		vec.FromHalf(dst, view[uint16](x.Data)[at:][:len(dst)])
		return
	}
	x.DType.Decode(dst, x.Data[x.DType.Bytes(at):x.DType.Bytes(at+len(dst))])
}

// from32 is the inverse of to32.
func from32(dst *tensor.Tensor, at int, src []float32) {
	if dst.DType == tensor.F16 {
		vec.ToHalf(view[uint16](dst.Data)[at:][:len(src)], src)
		return
	}
	dst.DType.Encode(dst.Data[dst.DType.Bytes(at):dst.DType.Bytes(at+len(src))], src)
}
