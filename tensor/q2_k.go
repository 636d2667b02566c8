package tensor

// q2_k: 256 numbers in 84 bytes, in 16 groups of 16.
//
//	u8 s[16]; u8 q[64]; half d, m    x = d·(s & 15)·q − m·(s >> 4)
//
// Each 32 bytes of q hold 128 numbers: the bits 2k of byte i are number 32k+i.
func init() {
	Register(Format{DType: Q2_K, Name: "q2_k", BlockLen: superLen, BlockBytes: 84, Decode: decodeQ2_K, Fit: encodeQ2_K})
}

func decodeQ2_K(dst []float32, src []byte) {
	for ; len(src) >= 84; src = src[84:] {
		d, m := half(src[80:]), half(src[82:])
		for g, s := range src[:16] {
			a, b := d*float32(s&15), m*float32(s>>4)
			q, shift := src[16+g/8*32+g%2*16:][:16], g%8/2*2
			for i, q := range q {
				dst[i] = float32(a*float32(q>>shift&3)) - b
			}
			dst = dst[16:]
		}
	}
}

var fitQ2_K = &affine{group: 16, maxQ: 3, maxS: 15, from: -1, to: 1, steps: 16}

func encodeQ2_K(dst []byte, src, weight []float32) {
	var s, o [16]uint8
	var q [superLen]uint8
	for ; len(dst) >= 84; dst, src, weight = dst[84:], src[superLen:], after(weight, superLen) {
		d, m := fitQ2_K.encode(src[:superLen], first(weight, superLen), s[:], o[:], q[:])
		for g := range s {
			dst[g] = s[g] | o[g]<<4
		}
		pack2(dst[16:80], q[:])
		putHalf(dst[80:], HalfToFloat(d))
		putHalf(dst[82:], HalfToFloat(m))
	}
}

// pack2 packs 2-bit numbers: those 32 apart share a byte.
func pack2(dst []byte, q []uint8) {
	for i := range dst {
		in := q[i/32*128+i%32:]
		dst[i] = in[0]&3 | in[32]&3<<2 | in[64]&3<<4 | in[96]&3<<6
	}
}
