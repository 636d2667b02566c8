package tensor

import "encoding/binary"

// q5_0: 32 numbers in 22 bytes.
//
//	half d; u32 h; u8 l[16]    x = d·(q − 16)
//
// q has its low 4 bits in l, laid out as in q4_0, and the fifth of number i in
// bit i of h.
func init() {
	Register(Format{DType: Q5_0, Name: "q5_0", BlockLen: 32, BlockBytes: 22, Decode: decodeQ5_0, Encode: encodeQ5_0, Fit: fitQ5_0})
}

func decodeQ5_0(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[22:] {
		d, h, lo, hi := half(src), binary.LittleEndian.Uint32(src[2:]), dst[:16], dst[16:32]
		for i, l := range src[6:22] {
			lo[i] = d * float32(int(uint32(l&15)|h>>i&1<<4)-16)
			hi[i] = d * float32(int(uint32(l>>4)|h>>(i+16)&1<<4)-16)
		}
	}
}

// encodeQ5_0 maps the number of the largest magnitude to q = 0.
func encodeQ5_0(dst []byte, src []float32) {
	for ; len(src) >= 32; dst, src = dst[22:], src[32:] {
		d := largest(src[:32]) / -16
		inv := inverse(d)
		putHalf(dst, d)
		var q [32]uint8
		for i := range q {
			q[i] = level(float32(src[i]*inv)+16.5, 31)
		}
		putLevels5(dst[2:], &q)
	}
}

// putLevels5 writes 32 levels of 0 to 31 as q5_0 and q5_1 have them: the fifth
// bits of all, then the low four of i and i+16 in a byte.
func putLevels5(dst []byte, q *[32]uint8) {
	var h uint32
	for i := range 16 {
		a, b := q[i], q[i+16]
		dst[4+i] = a&15 | b<<4
		h |= uint32(a>>4)<<i | uint32(b>>4)<<(i+16)
	}
	binary.LittleEndian.PutUint32(dst, h)
}

var shapeQ5_0 = &symmetric{group: 32, minQ: -16, maxQ: 15, from: -2, to: 4, steps: 16}

// fitQ5_0 searches for d, as fitQ4_0 does.
func fitQ5_0(dst []byte, src, weight []float32) {
	var q [32]int8
	for ; len(src) >= 32; dst, src, weight = dst[22:], src[32:], after(weight, 32) {
		putHalf(dst, HalfToFloat(shapeQ5_0.alone(src[:32], first(weight, 32), &q)))
		var levels [32]uint8
		for i := range levels {
			levels[i] = uint8(q[i] + 16)
		}
		putLevels5(dst[2:], &levels)
	}
}
