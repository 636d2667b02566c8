package tensor

import "encoding/binary"

// iq3_xxs and iq3_s: 256 numbers, each 4 of them an entry of a code book (256
// or 512 entries) with signs.
//
//	iq3_xxs, 98 bytes: half d; u8 e[64]; u32 sign[8]    x = ± d·(½ + scale)/2·entry
//	    sign of a group of 32 is as in iq2_xxs
//	iq3_s, 110 bytes: half d; u8 e[64]; u8 h[8]; u8 sign[32]; u8 s[4]    x = ± d·(1 + 2·scale)·entry
//	    entry i has its ninth bit in bit i mod 8 of h[i/8]; a scale is a nibble
//	    of s, one for 32 numbers
//
// They cannot be encoded here, see iq2.
func init() {
	Register(Format{DType: IQ3_XXS, Name: "iq3_xxs", BlockLen: superLen, BlockBytes: 98, Decode: decodeIQ3_XXS})
	Register(Format{DType: IQ3_S, Name: "iq3_s", BlockLen: superLen, BlockBytes: 110, Decode: decodeIQ3_S})
}

func decodeIQ3_XXS(dst []float32, src []byte) {
	book := &books().iq3xxs
	for ; len(src) >= 98; src = src[98:] {
		d := half(src)
		for g := range 8 {
			e, sign := src[2+8*g:], binary.LittleEndian.Uint32(src[66+4*g:])
			scale := d * (0.5 + float32(sign>>28)) * 0.5
			for i := range 4 {
				s := evenSigns(sign >> (7 * i))
				signed(dst, book[e[2*i]][:], scale, s)
				signed(dst[4:], book[e[2*i+1]][:], scale, s>>4)
				dst = dst[8:]
			}
		}
	}
}

func decodeIQ3_S(dst []float32, src []byte) {
	book := &books().iq3s
	for ; len(src) >= 110; src = src[110:] {
		d := half(src)
		for i := range 64 {
			e := int(src[2+i]) | int(src[66+i/8]>>(i%8)&1)<<8
			s := src[106+i/16] >> (i / 8 % 2 * 4) & 15
			signed(dst, book[e][:], d*float32(1+2*s), src[74+i/2]>>(i%2*4))
			dst = dst[4:]
		}
	}
}
