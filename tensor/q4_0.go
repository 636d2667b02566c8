package tensor

// q4_0: 32 numbers in 18 bytes.
//
//	half d; u8 q[16]    x = d·(q − 8)
//
// The low nibbles are the first 16 numbers, the high ones the last 16.
func init() {
	Register(Format{DType: Q4_0, Name: "q4_0", BlockLen: 32, BlockBytes: 18, Decode: decodeQ4_0, Encode: encodeQ4_0, Fit: fitQ4_0})
}

func decodeQ4_0(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[18:] {
		d, lo, hi := half(src), dst[:16], dst[16:32]
		for i, q := range src[2:18] {
			lo[i] = d * float32(int(q&15)-8)
			hi[i] = d * float32(int(q>>4)-8)
		}
	}
}

// encodeQ4_0 maps the number of the largest magnitude to q = 0.
func encodeQ4_0(dst []byte, src []float32) {
	for ; len(src) >= 32; dst, src = dst[18:], src[32:] {
		d := largest(src[:32]) / -8
		inv := inverse(d)
		putHalf(dst, d)
		for i := range 16 {
			dst[2+i] = level(float32(src[i]*inv)+8.5, 15) | level(float32(src[i+16]*inv)+8.5, 15)<<4
		}
	}
}

var shapeQ4_0 = &symmetric{group: 32, minQ: -8, maxQ: 7, from: -2, to: 4, steps: 16}

// fitQ4_0 searches for d, where encodeQ4_0 takes the one that puts the largest
// number on the lowest level.
func fitQ4_0(dst []byte, src, weight []float32) {
	var q [32]int8
	for ; len(src) >= 32; dst, src, weight = dst[18:], src[32:], after(weight, 32) {
		putHalf(dst, HalfToFloat(shapeQ4_0.alone(src[:32], first(weight, 32), &q)))
		for i := range 16 {
			dst[2+i] = byte(q[i]+8) | byte(q[i+16]+8)<<4
		}
	}
}
