package tensor

// q4_k: 256 numbers in 144 bytes, in 8 groups of 32.
//
//	half d, m; u8 s[12]; u8 q[128]    x = d·scale·q − m·offset
//
// Each 32 bytes of q hold two groups, one in the low nibbles, the next in the
// high ones. s packs 6-bit scales and offsets, see scaleOffset.
func init() {
	Register(Format{DType: Q4_K, Name: "q4_k", BlockLen: superLen, BlockBytes: 144, Decode: decodeQ4_K, Fit: encodeQ4_K})
}

func decodeQ4_K(dst []float32, src []byte) {
	for ; len(src) >= 144; src = src[144:] {
		d, m := half(src), half(src[2:])
		for g := range 8 {
			s, o := scaleOffset(src[4:16], g)
			a, b := d*float32(s), m*float32(o)
			q, shift := src[16+g/2*32:][:32], g%2*4
			for i, q := range q {
				dst[i] = float32(a*float32(q>>shift&15)) - b
			}
			dst = dst[32:]
		}
	}
}

// scaleOffset unpacks the 6-bit scale and offset of group g from 12 bytes: of
// the groups 0 to 3 they are the low bits of s[g] and s[4+g]; of the others
// the low 4 bits are the nibbles of s[4+g], the high 2 the top bits of s[g-4]
// and s[g].
func scaleOffset(s []byte, g int) (scale, offset uint8) {
	if g < 4 {
		return s[g] & 63, s[g+4] & 63
	}
	return s[g+4]&15 | s[g-4]>>6<<4, s[g+4]>>4 | s[g]>>6<<4
}

// putScaleOffset packs what scaleOffset unpacks.
func putScaleOffset(dst []byte, scale, offset *[8]uint8) {
	for g := range 4 {
		hiS, hiO := scale[g+4], offset[g+4]
		dst[g] = scale[g] | hiS>>4<<6
		dst[g+4] = offset[g] | hiO>>4<<6
		dst[g+8] = hiS&15 | hiO<<4
	}
}

var fitQ4_K = &affine{group: 32, maxQ: 15, maxS: 63, from: -2, to: 1, steps: 16}

func encodeQ4_K(dst []byte, src, weight []float32) {
	var s, o [8]uint8
	var q [superLen]uint8
	for ; len(dst) >= 144; dst, src, weight = dst[144:], src[superLen:], after(weight, superLen) {
		d, m := fitQ4_K.encode(src[:superLen], first(weight, superLen), s[:], o[:], q[:])
		putHalf(dst, HalfToFloat(d))
		putHalf(dst[2:], HalfToFloat(m))
		putScaleOffset(dst[4:16], &s, &o)
		for i := range 128 {
			in := q[i/32*64+i%32:]
			dst[16+i] = in[0] | in[32]<<4
		}
	}
}
