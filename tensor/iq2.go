package tensor

import "encoding/binary"

// iq2_xxs, iq2_xs and iq2_s: 256 numbers, each 8 of them an entry of a code
// book (256, 512 or 1024 entries) with signs.
//
//	iq2_xxs, 66 bytes: half d; 8·{u8 e[4]; u32 sign}
//	    a group of 32 shares the top 4 bits of sign as its scale; below are
//	    7 bits of signs for each 8 numbers
//	iq2_xs, 74 bytes: half d; u16 e[32]; u8 s[8]
//	    an entry is 9 bits of e, the signs are the 7 above
//	iq2_s, 82 bytes: half d; u8 e[32]; u8 sign[32]; u8 h[8]; u8 s[8]
//	    entry i has its high 2 bits in the bits 2(i mod 4) of h[i/4]
//
// x = ± d·(½ + scale)/4·entry. In the last two a scale is a nibble of s, one
// for 16 numbers. They cannot be encoded here: to find good entries takes a
// data set that tells which weights matter.
func init() {
	Register(Format{DType: IQ2_XXS, Name: "iq2_xxs", BlockLen: superLen, BlockBytes: 66, Decode: decodeIQ2_XXS})
	Register(Format{DType: IQ2_XS, Name: "iq2_xs", BlockLen: superLen, BlockBytes: 74, Decode: decodeIQ2_XS})
	Register(Format{DType: IQ2_S, Name: "iq2_s", BlockLen: superLen, BlockBytes: 82, Decode: decodeIQ2_S})
}

func decodeIQ2_XXS(dst []float32, src []byte) {
	book := &books().iq2xxs
	for ; len(src) >= 66; src = src[66:] {
		d := half(src)
		for g := range 8 {
			e := src[2+8*g:]
			sign := binary.LittleEndian.Uint32(e[4:])
			scale := d * (0.5 + float32(sign>>28)) * 0.25
			for i := range 4 {
				signed(dst, book[e[i]][:], scale, evenSigns(sign>>(7*i)))
				dst = dst[8:]
			}
		}
	}
}

func decodeIQ2_XS(dst []float32, src []byte) {
	book := &books().iq2xs
	for ; len(src) >= 74; src = src[74:] {
		d := half(src)
		for i := range 32 {
			e := binary.LittleEndian.Uint16(src[2+2*i:])
			s := src[66+i/4] >> (i / 2 % 2 * 4) & 15
			signed(dst, book[e&511][:], d*(0.5+float32(s))*0.25, evenSigns(uint32(e>>9)))
			dst = dst[8:]
		}
	}
}

func decodeIQ2_S(dst []float32, src []byte) {
	book := &books().iq2s
	for ; len(src) >= 82; src = src[82:] {
		d := half(src)
		for i := range 32 {
			e := int(src[2+i]) | int(src[66+i/4]>>(i%4*2)&3)<<8
			s := src[74+i/4] >> (i / 2 % 2 * 4) & 15
			signed(dst, book[e][:], d*(0.5+float32(s))*0.25, src[34+i])
			dst = dst[8:]
		}
	}
}
