package tensor

// q6_k: 256 numbers in 210 bytes, in 16 groups of 16.
//
//	u8 l[128]; u8 h[64]; i8 s[16]; half d    x = d·s·(q − 32)
//
// Each half of the block holds 128 numbers. The number 32k+i of a half has its
// low 4 bits in l[32(k mod 2) + i], in the low nibble where k < 2 and in the
// high one else, and its high 2 in the bits 2k of h[i].
func init() {
	Register(Format{DType: Q6_K, Name: "q6_k", BlockLen: superLen, BlockBytes: 210, Decode: decodeQ6_K, Fit: encodeQ6_K})
}

func decodeQ6_K(dst []float32, src []byte) {
	for ; len(src) >= 210; src = src[210:] {
		d := half(src[208:])
		for g, s := range src[192:208] {
			scale := d * float32(int8(s))
			k, at := g%8/2, g%2*16 // numbers at… of the k-th 32 of a half
			l, h := src[g/8*64+k%2*32+at:][:16], src[128+g/8*32+at:][:16]
			for i := range 16 {
				dst[i] = scale * float32(int(l[i]>>(k/2*4)&15|h[i]>>(2*k)&3<<4)-32)
			}
			dst = dst[16:]
		}
	}
}

var fitQ6_K = &symmetric{group: 16, minQ: -32, maxQ: 31, minS: -128, maxS: 127, from: -2, to: 8, steps: 16}

func encodeQ6_K(dst []byte, src, weight []float32) {
	var s [16]int8
	var q [superLen]int8
	for ; len(dst) >= 210; dst, src, weight = dst[210:], src[superLen:], after(weight, superLen) {
		d := fitQ6_K.encode(src[:superLen], first(weight, superLen), s[:], q[:])
		clear(dst[:192])
		for i, v := range q {
			u, k, at := uint8(v+32), i%128/32, i%32
			dst[i/128*64+k%2*32+at] |= u & 15 << (k / 2 * 4)
			dst[128+i/128*32+at] |= u >> 4 << (2 * k)
		}
		for g, v := range s {
			dst[192+g] = byte(v)
		}
		putHalf(dst[208:], HalfToFloat(d))
	}
}
