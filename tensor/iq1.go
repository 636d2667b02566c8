package tensor

import "encoding/binary"

// iq1_s and iq1_m: 256 numbers, each 8 of them an entry of a code book of 2048
// entries of −1, 0 and 1.
//
//	iq1_s, 50 bytes: half d; u8 e[32]; u16 h[8]
//	    a group of 32 has in h: 3 high bits of each of its 4 entries, 3 bits of
//	    scale, and on top the sign of the shift
//	iq1_m, 56 bytes: u8 e[32]; u8 h[16]; u16 s[4]
//	    a nibble of h has 3 high bits of an entry and above the sign of its
//	    shift; s has 3 bits of scale for each 16 numbers, and on top of each a
//	    nibble of the half d
//
// x = d·(2·scale + 1)·(entry + shift), where shift is ⅛, or −⅛ where its sign is
// 1. They cannot be encoded here, see iq2.
func init() {
	Register(Format{DType: IQ1_S, Name: "iq1_s", BlockLen: superLen, BlockBytes: 50, Decode: decodeIQ1_S})
	Register(Format{DType: IQ1_M, Name: "iq1_m", BlockLen: superLen, BlockBytes: 56, Decode: decodeIQ1_M})
}

var iq1Shift = [2]float32{0.125, -0.125}

func decodeIQ1_S(dst []float32, src []byte) {
	book := &books().iq1s
	for ; len(src) >= 50; src = src[50:] {
		d := half(src)
		for g := range 8 {
			h := binary.LittleEndian.Uint16(src[34+2*g:])
			scale, shift := d*float32(h>>12&7*2+1), iq1Shift[h>>15]
			for i := range 4 {
				entry := &book[int(src[2+4*g+i])|int(h>>(3*i)&7)<<8]
				for k, v := range entry {
					dst[k] = scale * (v + shift)
				}
				dst = dst[8:]
			}
		}
	}
}

func decodeIQ1_M(dst []float32, src []byte) {
	book := &books().iq1s
	for ; len(src) >= 56; src = src[56:] {
		var s [4]uint16
		var bits uint16
		for i := range s {
			s[i] = binary.LittleEndian.Uint16(src[48+2*i:])
			bits |= s[i] >> 12 << (4 * i)
		}
		d := HalfToFloat(bits)
		for i := range 32 {
			h := src[32+i/2] >> (i % 2 * 4)
			scale, shift := d*float32(s[i/8]>>(i/2%4*3)&7*2+1), iq1Shift[h>>3&1]
			for k, v := range &book[int(src[i])|int(h&7)<<8] {
				dst[k] = scale * (v + shift)
			}
			dst = dst[8:]
		}
	}
}
