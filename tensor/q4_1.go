package tensor

// q4_1: 32 numbers in 20 bytes.
//
//	half d, m; u8 q[16]    x = d·q + m
//
// The low nibbles are the first 16 numbers, the high ones the last 16.
func init() {
	Register(Format{DType: Q4_1, Name: "q4_1", BlockLen: 32, BlockBytes: 20, Decode: decodeQ4_1, Encode: encodeQ4_1})
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
