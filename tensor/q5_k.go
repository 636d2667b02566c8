package tensor

// q5_k: 256 numbers in 176 bytes, in 8 groups of 32.
//
//	half d, m; u8 s[12]; u8 h[32]; u8 l[128]    x = d·scale·q − m·offset
//
// s and the low 4 bits of q in l are as in q4_k. The fifth bit of number i of
// group g is bit g of h[i].
func init() {
	Register(Format{DType: Q5_K, Name: "q5_k", BlockLen: superLen, BlockBytes: 176, Decode: decodeQ5_K, Fit: encodeQ5_K})
}

func decodeQ5_K(dst []float32, src []byte) {
	for ; len(src) >= 176; src = src[176:] {
		d, m, h := half(src), half(src[2:]), src[16:48]
		for g := range 8 {
			s, o := scaleOffset(src[4:16], g)
			a, b := d*float32(s), m*float32(o)
			l, shift := src[48+g/2*32:][:32], g%2*4
			for i := range 32 {
				dst[i] = float32(a*float32(l[i]>>shift&15|h[i]>>g&1<<4)) - b
			}
			dst = dst[32:]
		}
	}
}

var fitQ5_K = &affine{group: 32, maxQ: 31, maxS: 63, from: -3, to: 1, steps: 16}

func encodeQ5_K(dst []byte, src, weight []float32) {
	var s, o [8]uint8
	var q [superLen]uint8
	for ; len(dst) >= 176; dst, src, weight = dst[176:], src[superLen:], after(weight, superLen) {
		d, m := fitQ5_K.encode(src[:superLen], first(weight, superLen), s[:], o[:], q[:])
		putHalf(dst, HalfToFloat(d))
		putHalf(dst[2:], HalfToFloat(m))
		putScaleOffset(dst[4:16], &s, &o)
		clear(dst[16:48])
		for i, v := range q {
			dst[16+i%32] |= v >> 4 << (i / 32)
		}
		for i := range 128 {
			in := q[i/32*64+i%32:]
			dst[48+i] = in[0]&15 | in[32]<<4
		}
	}
}
