package tensor

import (
	"encoding/binary"
	"math"
)

// The plain types: every number stands alone, little endian.

func init() {
	le := binary.LittleEndian
	plain := func(d DType, name string, bytes int, get func([]byte) float32, put func([]byte, float32)) {
		Register(Format{DType: d, Name: name, BlockLen: 1, BlockBytes: bytes,
			Decode: func(dst []float32, src []byte) {
				for i := range dst {
					dst[i] = get(src[i*bytes:])
				}
			},
			Encode: func(dst []byte, src []float32) {
				for i, v := range src {
					put(dst[i*bytes:], v)
				}
			}})
	}
	plain(F32, "f32", 4,
		func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) },
		func(b []byte, v float32) { le.PutUint32(b, math.Float32bits(v)) })
	plain(F64, "f64", 8,
		func(b []byte) float32 { return float32(math.Float64frombits(le.Uint64(b))) },
		func(b []byte, v float32) { le.PutUint64(b, math.Float64bits(float64(v))) })
	plain(F16, "f16", 2,
		func(b []byte) float32 { return HalfToFloat(le.Uint16(b)) },
		func(b []byte, v float32) { le.PutUint16(b, FloatToHalf(v)) })
	plain(BF16, "bf16", 2,
		func(b []byte) float32 { return BF16ToFloat(le.Uint16(b)) },
		func(b []byte, v float32) { le.PutUint16(b, FloatToBF16(v)) })
	plain(I8, "i8", 1,
		func(b []byte) float32 { return float32(int8(b[0])) },
		func(b []byte, v float32) { b[0] = byte(int8(toInt(v, 8))) })
	plain(I16, "i16", 2,
		func(b []byte) float32 { return float32(int16(le.Uint16(b))) },
		func(b []byte, v float32) { le.PutUint16(b, uint16(toInt(v, 16))) })
	plain(I32, "i32", 4,
		func(b []byte) float32 { return float32(int32(le.Uint32(b))) },
		func(b []byte, v float32) { le.PutUint32(b, uint32(toInt(v, 32))) })
	plain(I64, "i64", 8,
		func(b []byte) float32 { return float32(int64(le.Uint64(b))) },
		func(b []byte, v float32) { le.PutUint64(b, uint64(toInt(v, 64))) })
}

// toInt cuts the fraction off and saturates at the ends of an integer of so
// many bits; NaN is 0. Go leaves conversions out of range to the processor.
func toInt(v float32, bits int) int64 {
	lo, hi := -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)
	switch f := math.Trunc(float64(v)); {
	case f != f:
		return 0
	case f <= lo:
		return math.MinInt64 >> (64 - bits)
	case f >= hi:
		return math.MaxInt64 >> (64 - bits)
	default:
		return int64(f)
	}
}
