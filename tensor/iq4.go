package tensor

import (
	"encoding/binary"
	"math"
)

// iq4_nl and iq4_xs: 4-bit numbers that stand for unevenly spaced levels.
//
//	iq4_nl, 32 numbers in 18 bytes: half d; u8 q[16]    x = d·level[q]
//	iq4_xs, 256 in 136: half d; u16 h; u8 l[4]; u8 q[8][16]    x = d·(s − 32)·level[q]
//
// In each group of 32 the low nibbles are the first 16 numbers, the high ones
// the last 16. The scale of group g has its low 4 bits in the nibbles of
// l[g/2], its high 2 in the bits 2g of h.
func init() {
	Register(Format{DType: IQ4_NL, Name: "iq4_nl", BlockLen: 32, BlockBytes: 18, Decode: decodeIQ4_NL, Fit: encodeIQ4_NL})
	Register(Format{DType: IQ4_XS, Name: "iq4_xs", BlockLen: superLen, BlockBytes: 136, Decode: decodeIQ4_XS, Fit: encodeIQ4_XS})
}

var iq4Levels = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func decodeIQ4_NL(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[18:] {
		decodeIQ4(dst[:32], src[2:18], half(src))
	}
}

func decodeIQ4_XS(dst []float32, src []byte) {
	for ; len(src) >= 136; src = src[136:] {
		d, h := half(src), binary.LittleEndian.Uint16(src[2:])
		for g := range 8 {
			s := int(src[4+g/2]>>(g%2*4)&15) | int(h>>(2*g)&3<<4)
			decodeIQ4(dst[:32], src[8+16*g:24+16*g], d*float32(s-32))
			dst = dst[32:]
		}
	}
}

func decodeIQ4(dst []float32, src []byte, d float32) {
	lo, hi := dst[:16], dst[16:32]
	for i, q := range src {
		lo[i] = d * iq4Levels[q&15]
		hi[i] = d * iq4Levels[q>>4]
	}
}

func encodeIQ4_NL(dst []byte, src, weight []float32) {
	for ; len(src) >= 32; dst, src, weight = dst[18:], src[32:], after(weight, 32) {
		d := FloatToHalf(fitIQ4(src[:32], first(weight, 32)))
		putHalf(dst, HalfToFloat(d))
		encodeIQ4(dst[2:18], src, HalfToFloat(d))
	}
}

func encodeIQ4_XS(dst []byte, src, weight []float32) {
	for ; len(dst) >= 136; dst, src, weight = dst[136:], src[superLen:], after(weight, superLen) {
		w := first(weight, superLen)
		var scale [8]float32
		for g := range scale {
			scale[g] = fitIQ4(src[32*g:32*g+32], w[32*g:32*g+32])
		}
		clear(dst[:8])
		putHalf(dst, largest(scale[:])/-32)
		d, h := half(dst), uint16(0)
		for g, v := range scale {
			x := src[32*g : 32*g+32]
			s := bestIQ4(x, w[32*g:32*g+32], d, away(v*inverse(d)))
			encodeIQ4(dst[8+16*g:24+16*g], x, d*float32(s))
			u := s + 32
			dst[4+g/2] |= byte(u&15) << (g % 2 * 4)
			h |= uint16(u>>4) << (2 * g)
		}
		binary.LittleEndian.PutUint16(dst[2:], h)
	}
}

// fitIQ4 is the scale with the least error among those that put the largest
// number beside the lowest level or, with the other sign, the highest.
func fitIQ4(x, w []float32) float32 {
	most := largest(x)
	if most == 0 {
		return 0
	}
	var scale, gain float32
	try := func(inv float32) {
		if qq, xq := sumsIQ4(x, w, inv); qq > 0 && xq*xq > gain*qq {
			scale, gain = xq/qq, xq*xq/qq
		}
	}
	for k := -iq4Tries; k <= iq4Tries; k++ {
		try((iq4Levels[0] + float32(k)) / most)
		try((iq4Levels[15] + float32(k)) / most)
	}
	if scale != 0 { // the levels may be others at the scale that was found
		try(1 / scale)
	}
	return scale
}

// iq4Tries is how many scales are tried on each side of the outermost levels.
const iq4Tries = 7

// sumsIQ4 gives Σwq² and Σwxq of the levels nearest to x·inv.
func sumsIQ4(x, w []float32, inv float32) (qq, xq float32) {
	w = w[:len(x)]
	for i, v := range x {
		q := iq4Levels[nearestIQ4(v*inv)]
		wq := w[i] * q
		qq += wq * q
		xq += wq * v
	}
	return qq, xq
}

// bestIQ4 is the integer scale, of those around s, with the least error.
func bestIQ4(x, w []float32, d float32, s int) int {
	best, least := 0, float32(math.Inf(1))
	for c := max(s-1, -32); c <= min(s+1, 31); c++ {
		scale := d * float32(c)
		qq, xq := sumsIQ4(x, w, inverse(scale))
		if e := scale * (scale*qq - 2*xq); e < least {
			best, least = c, e
		}
	}
	return best
}

func encodeIQ4(dst []byte, x []float32, d float32) {
	inv := inverse(d)
	for i := range dst {
		dst[i] = nearestIQ4(x[i]*inv) | nearestIQ4(x[i+16]*inv)<<4
	}
}

// nearestIQ4 is the level nearest to v.
func nearestIQ4(v float32) byte {
	if v > 127 {
		v = 127
	}
	if v < -128 {
		v = -128
	}
	return iq4Nearest[int(2*v+256)&511]
}

// iq4Nearest[i] is the level of the numbers from i/2 − 128 on: the borders
// between levels are whole halves.
var iq4Nearest = func() (t [512]byte) {
	q := byte(0)
	for i := range t {
		for q < 15 && float32(i)/2-128 >= (iq4Levels[q]+iq4Levels[q+1])/2 {
			q++
		}
		t[i] = q
	}
	return t
}()
