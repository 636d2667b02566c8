package tensor

// q2_0: 64 numbers in 18 bytes.
//
//	half d; u8 q[16]    x = d·(q − 1), number i in bits 2(i mod 4) of q[i/4]
func init() {
	Register(Format{DType: Q2_0, Name: "q2_0", BlockLen: 64, BlockBytes: 18, Decode: decodeQ2_0, Encode: encodeQ2_0})
}

func decodeQ2_0(dst []float32, src []byte) {
	for ; len(dst) >= 64; dst, src = dst[64:], src[18:] {
		d := half(src)
		for i, q := range src[2:18] {
			for k, q := 0, int(q); k < 4; k, q = k+1, q>>2 {
				dst[4*i+k] = d * float32(q&3-1)
			}
		}
	}
}

// encodeQ2_0 is for ternary numbers: it uses −d, 0 and d, with d the largest
// magnitude.
func encodeQ2_0(dst []byte, src []float32) {
	for ; len(src) >= 64; dst, src = dst[18:], src[64:] {
		d := abs(largest(src[:64]))
		inv := inverse(d)
		putHalf(dst, d)
		clear(dst[2:18])
		for i, v := range src[:64] {
			dst[2+i/4] |= byte(min(max(away(v*inv)+1, 0), 3)) << (i % 4 * 2)
		}
	}
}
