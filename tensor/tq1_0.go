package tensor

// tq1_0: 256 ternary numbers in 54 bytes, 1.6875 bits each.
//
//	u8 a[32], b[16], c[4]; half d    x = d·(t − 1), t in 0…2
//
// A byte holds five t (c: four) as the base 3 number of digits t₀t₁t₂t₃t₄,
// scaled from 0…242 to 0…255 and rounded up. So the digit k is the upper byte
// of 3·(byte·3ᵏ mod 256). Byte i of a group of n bytes holds the numbers
// i, i+n, i+2n, … of the group.
func init() {
	Register(Format{DType: TQ1_0, Name: "tq1_0", BlockLen: superLen, BlockBytes: 54, Decode: decodeTQ1_0, Encode: encodeTQ1_0})
}

// tq1Groups are the bytes and the digits of a, b and c.
var tq1Groups = [...]struct{ bytes, digits int }{{32, 5}, {16, 5}, {4, 4}}

func decodeTQ1_0(dst []float32, src []byte) {
	for ; len(src) >= 54; src = src[54:] {
		d, in := half(src[52:]), src
		for _, g := range tq1Groups {
			for k, pow := 0, byte(1); k < g.digits; k, pow = k+1, pow*3 {
				for i, b := range in[:g.bytes] {
					dst[i] = d * float32(int(uint(b*pow)*3>>8)-1)
				}
				dst = dst[g.bytes:]
			}
			in = in[g.bytes:]
		}
	}
}

func encodeTQ1_0(dst []byte, src []float32) {
	for ; len(dst) >= 54; dst = dst[54:] {
		d := abs(largest(src[:superLen]))
		inv, out := inverse(d), dst
		putHalf(dst[52:], d)
		for _, g := range tq1Groups {
			for i := range g.bytes {
				n := 0
				for k := range 5 {
					n *= 3
					if k < g.digits {
						n += away(src[k*g.bytes+i]*inv) + 1
					}
				}
				out[i] = byte((n*256 + 242) / 243)
			}
			src, out = src[g.bytes*g.digits:], out[g.bytes:]
		}
	}
}
