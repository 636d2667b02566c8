package tensor

// q1_0: 128 numbers in 18 bytes.
//
//	half d; u8 q[16]    x = d where bit i of q is 1, −d where it is 0
func init() {
	Register(Format{DType: Q1_0, Name: "q1_0", BlockLen: 128, BlockBytes: 18, Decode: decodeQ1_0, Encode: encodeQ1_0})
}

func decodeQ1_0(dst []float32, src []byte) {
	for ; len(dst) >= 128; dst, src = dst[128:], src[18:] {
		d := half(src)
		of := [2]float32{-d, d}
		for i := range 128 {
			dst[i] = of[src[2+i/8]>>(i%8)&1]
		}
	}
}

// encodeQ1_0 takes the mean magnitude as d, which has the least squared error.
func encodeQ1_0(dst []byte, src []float32) {
	for ; len(src) >= 128; dst, src = dst[18:], src[128:] {
		var sum float32
		clear(dst[2:18])
		for i, v := range src[:128] {
			sum += abs(v)
			if v >= 0 {
				dst[2+i/8] |= 1 << (i % 8)
			}
		}
		putHalf(dst, sum/128)
	}
}
