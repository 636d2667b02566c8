package tensor

// q3_k: 256 numbers in 110 bytes, in 16 groups of 16.
//
//	u8 h[32]; u8 l[64]; u8 s[12]; half d    x = d·(s − 32)·(q − 4)
//
// q has its low 2 bits in l, laid out as in q2_k, and its third bit in h: of
// number 32k+i it is bit k of h[i]. The scale of group g has its low 4 bits in
// the nibbles of s[g mod 8], its high 2 in the bits 2(g/4) of s[8 + g mod 4].
func init() {
	Register(Format{DType: Q3_K, Name: "q3_k", BlockLen: superLen, BlockBytes: 110, Decode: decodeQ3_K, Fit: encodeQ3_K})
}

func decodeQ3_K(dst []float32, src []byte) {
	for ; len(src) >= 110; src = src[110:] {
		d, s := half(src[108:]), src[96:108]
		for g := range 16 {
			scale := d * float32(int(s[g%8]>>(g/8*4)&15|s[8+g%4]>>(g/4*2)&3<<4)-32)
			l, shift := src[32+g/8*32+g%2*16:][:16], g%8/2*2
			h, bit := src[g%2*16:][:16], g/2
			for i := range 16 {
				dst[i] = scale * float32(int(l[i]>>shift&3|h[i]>>bit&1<<2)-4)
			}
			dst = dst[16:]
		}
	}
}

var fitQ3_K = &symmetric{group: 16, minQ: -4, maxQ: 3, minS: -32, maxS: 31, from: -2, to: 4, steps: 16}

func encodeQ3_K(dst []byte, src, weight []float32) {
	var s [16]int8
	var q [superLen]int8
	var l [superLen]uint8
	for ; len(dst) >= 110; dst, src, weight = dst[110:], src[superLen:], after(weight, superLen) {
		d := fitQ3_K.encode(src[:superLen], first(weight, superLen), s[:], q[:])
		clear(dst[:110])
		for i, v := range q {
			l[i] = uint8(v + 4)
			dst[i%32] |= l[i] >> 2 << (i / 32)
		}
		pack2(dst[32:96], l[:])
		for g, v := range s {
			u := uint8(v + 32)
			dst[96+g%8] |= u & 15 << (g / 8 * 4)
			dst[104+g%4] |= u >> 4 << (g / 4 * 2)
		}
		putHalf(dst[108:], HalfToFloat(d))
	}
}
