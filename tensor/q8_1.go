package tensor

// q8_1: 32 numbers in 36 bytes. Engines keep activations in it; files do not.
//
//	half d, s; i8 q[32]    x = d·q
//
// s is the sum of the x, which products with offset formats need.
func init() {
	Register(Format{DType: Q8_1, Name: "q8_1", BlockLen: 32, BlockBytes: 36, Decode: decodeQ8_1, Encode: encodeQ8_1})
}

func decodeQ8_1(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[36:] {
		d := half(src)
		for i, q := range src[4:36] {
			dst[i] = d * float32(int8(q))
		}
	}
}

func encodeQ8_1(dst []byte, src []float32) {
	for ; len(src) >= 32; dst, src = dst[36:], src[32:] {
		d := abs(largest(src[:32])) / 127
		inv, sum := inverse(d), 0
		for i, v := range src[:32] {
			q := int8(away(v * inv))
			sum += int(q)
			dst[4+i] = byte(q)
		}
		putHalf(dst, d)
		putHalf(dst[2:], float32(sum)*d)
	}
}
