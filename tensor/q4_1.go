package tensor

// q4_1: 32 numbers in 20 bytes.
//
//	half d, m; u8 q[16]    x = d·q + m
//
// The low nibbles are the first 16 numbers, the high ones the last 16.
func init() {
	Register(Format{DType: Q4_1, Name: "q4_1", BlockLen: 32, BlockBytes: 20, Decode: decodeQ4_1, Encode: encodeQ4_1, Fit: fitQ4_1})
}

func decodeQ4_1(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[20:] {
		d, m, lo, hi := half(src), half(src[2:]), dst[:16], dst[16:32]
		for i, q := range src[4:20] {
			lo[i] = float32(d*float32(q&15)) + m
			hi[i] = float32(d*float32(q>>4)) + m
		}
	}
}

func encodeQ4_1(dst []byte, src []float32) {
	for ; len(src) >= 32; dst, src = dst[20:], src[32:] {
		m, top := ends(src[:32])
		d := (top - m) / 15
		inv := inverse(d)
		putHalf(dst, d)
		putHalf(dst[2:], m)
		for i := range 16 {
			dst[4+i] = level(float32((src[i]-m)*inv)+0.5, 15) | level(float32((src[i+16]-m)*inv)+0.5, 15)<<4
		}
	}
}

var shapeQ4_1 = &affine{group: 32, maxQ: 15, from: -2, to: 1, steps: 16, signed: true}

// fitQ4_1 searches for d and m, where encodeQ4_1 spreads the levels from the
// smallest number to the largest.
func fitQ4_1(dst []byte, src, weight []float32) {
	var q [32]uint8
	for ; len(src) >= 32; dst, src, weight = dst[20:], src[32:], after(weight, 32) {
		d, m := shapeQ4_1.alone(src[:32], first(weight, 32), &q)
		putHalf(dst, HalfToFloat(d))
		putHalf(dst[2:], HalfToFloat(m))
		for i := range 16 {
			dst[4+i] = q[i] | q[i+16]<<4
		}
	}
}
