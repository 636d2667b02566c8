package tensor

// q8_0: 32 numbers in 34 bytes.
//
//	half d; i8 q[32]    x = d·q
func init() {
	Register(Format{DType: Q8_0, Name: "q8_0", BlockLen: 32, BlockBytes: 34, Decode: decodeQ8_0, Encode: encodeQ8_0})
}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[34:] {
		d := half(src)
		for i, q := range src[2:34] {
			dst[i] = d * float32(int8(q))
		}
	}
}

func encodeQ8_0(dst []byte, src []float32) {
	for ; len(src) >= 32; dst, src = dst[34:], src[32:] {
		d := abs(largest(src[:32])) / 127
		inv := inverse(d)
		putHalf(dst, d)
		for i, v := range src[:32] {
			dst[2+i] = byte(away(v * inv))
		}
	}
}
