package tensor

// tq2_0: 256 ternary numbers in 66 bytes.
//
//	u8 q[64]; half d    x = d·(t − 1)
//
// Each 32 bytes hold 128 numbers: the bits 2k of byte i are number 32k+i.
func init() {
	Register(Format{DType: TQ2_0, Name: "tq2_0", BlockLen: superLen, BlockBytes: 66, Decode: decodeTQ2_0, Encode: encodeTQ2_0})
}

func decodeTQ2_0(dst []float32, src []byte) {
	for ; len(src) >= 66; src = src[66:] {
		d := half(src[64:])
		for _, q := range [][]byte{src[:32], src[32:64]} {
			for k := range 4 {
				for i, q := range q {
					dst[i] = d * float32(int(q>>(2*k)&3)-1)
				}
				dst = dst[32:]
			}
		}
	}
}

func encodeTQ2_0(dst []byte, src []float32) {
	for ; len(dst) >= 66; dst = dst[66:] {
		d := abs(largest(src[:superLen]))
		inv := inverse(d)
		putHalf(dst[64:], d)
		for i := range 64 {
			in := src[i/32*128+i%32:]
			q := 0
			for k := range 4 {
				q |= (away(in[32*k]*inv) + 1) & 3 << (2 * k)
			}
			dst[i] = byte(q)
		}
		src = src[superLen:]
	}
}
