package tensor

import (
	"encoding/binary"
	"math"
)

// llm_int8: 8-bit weights as LLM.int8() of bitsandbytes has them (Dettmers et
// al. 2022), 64 numbers in 68 bytes.
//
//	float absmax; i8 q[64]    x = q·absmax·(1/127)
//
// bitsandbytes keeps one absmax for a row: package bnb repeats it in the row's
// blocks. The encoder gives each block its own, which is as good or better.
func init() {
	Register(Format{DType: LLM_INT8, Name: "llm_int8", BlockLen: 64, BlockBytes: 68, Decode: decodeInt8, Encode: encodeInt8})
}

func decodeInt8(dst []float32, src []byte) {
	for ; len(dst) >= 64; dst, src = dst[64:], src[68:] {
		d := math.Float32frombits(binary.LittleEndian.Uint32(src))
		for i, q := range src[4:68] {
			dst[i] = float32(float32(int8(q))*d) * (1. / 127)
		}
	}
}

func encodeInt8(dst []byte, src []float32) {
	for ; len(src) >= 64; dst, src = dst[68:], src[64:] {
		top := AbsMax(src[:64])
		binary.LittleEndian.PutUint32(dst, math.Float32bits(top))
		QuantiseInt8(dst[4:68], src[:64], top)
	}
}

// QuantiseInt8 makes bytes of numbers of which absmax is the largest magnitude:
// ±127 at most, and 0 where the quotient is no finite number.
func QuantiseInt8(dst []byte, src []float32, absmax float32) {
	inv := float32(1/absmax) * 127
	for i, v := range src[:len(dst)] {
		r := math.RoundToEven(float64(v * inv))
		if math.IsNaN(r) || math.IsInf(r, 0) {
			r = 0
		}
		dst[i] = byte(int8(r))
	}
}
