package tensor

import (
	"encoding/binary"
	"math"
)

// q8_k: 256 numbers in 292 bytes. Engines keep activations in it; files do not.
//
//	float d; i8 q[256]; i16 sums[16]    x = d·q
//
// sums are of each 16 q.
func init() {
	Register(Format{DType: Q8_K, Name: "q8_k", BlockLen: superLen, BlockBytes: 292, Decode: decodeQ8_K, Encode: encodeQ8_K})
}

func decodeQ8_K(dst []float32, src []byte) {
	for ; len(dst) >= superLen; dst, src = dst[superLen:], src[292:] {
		d := math.Float32frombits(binary.LittleEndian.Uint32(src))
		for i, q := range src[4:260] {
			dst[i] = d * float32(int8(q))
		}
	}
}

// encodeQ8_K maps the number of the largest magnitude to q = -127.
func encodeQ8_K(dst []byte, src []float32) {
	for ; len(src) >= superLen; dst, src = dst[292:], src[superLen:] {
		inv := float32(0)
		if m := largest(src[:superLen]); m != 0 {
			inv = -127 / m
		}
		binary.LittleEndian.PutUint32(dst, math.Float32bits(inverse(inv)))
		var sums [16]int16
		for i, v := range src[:superLen] {
			q := int8(min(even(inv*v), 127))
			dst[4+i] = byte(q)
			sums[i/16] += int16(q)
		}
		for i, s := range sums {
			binary.LittleEndian.PutUint16(dst[260+2*i:], uint16(s))
		}
	}
}
