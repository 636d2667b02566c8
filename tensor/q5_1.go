package tensor

import "encoding/binary"

// q5_1: 32 numbers in 24 bytes.
//
//	half d, m; u32 h; u8 l[16]    x = d·q + m
//
// q lies in l and h as in q5_0.
func init() {
	Register(Format{DType: Q5_1, Name: "q5_1", BlockLen: 32, BlockBytes: 24, Decode: decodeQ5_1, Encode: encodeQ5_1, Fit: fitQ5_1})
}

func decodeQ5_1(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[24:] {
		d, m, h := half(src), half(src[2:]), binary.LittleEndian.Uint32(src[4:])
		lo, hi := dst[:16], dst[16:32]
		for i, l := range src[8:24] {
			lo[i] = float32(d*float32(uint32(l&15)|h>>i&1<<4)) + m
			hi[i] = float32(d*float32(uint32(l>>4)|h>>(i+16)&1<<4)) + m
		}
	}
}

func encodeQ5_1(dst []byte, src []float32) {
	for ; len(src) >= 32; dst, src = dst[24:], src[32:] {
		m, top := ends(src[:32])
		d := (top - m) / 31
		inv := inverse(d)
		putHalf(dst, d)
		putHalf(dst[2:], m)
		var q [32]uint8
		for i := range q {
			q[i] = level(float32((src[i]-m)*inv)+0.5, 31)
		}
		putLevels5(dst[4:], &q)
	}
}

var shapeQ5_1 = &affine{group: 32, maxQ: 31, from: -3, to: 1, steps: 16, signed: true}

// fitQ5_1 searches for d and m, as fitQ4_1 does.
func fitQ5_1(dst []byte, src, weight []float32) {
	var q [32]uint8
	for ; len(src) >= 32; dst, src, weight = dst[24:], src[32:], after(weight, 32) {
		d, m := shapeQ5_1.alone(src[:32], first(weight, 32), &q)
		putHalf(dst, HalfToFloat(d))
		putHalf(dst[2:], HalfToFloat(m))
		putLevels5(dst[4:], &q)
	}
}
