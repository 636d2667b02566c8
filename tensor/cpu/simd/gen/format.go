package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A format says how its storage blocks become integers. Integers of 32
// weights are two registers of 16 words: those of even columns, then those of
// odd columns. That is the order in which bytes and nibbles fall out of 16-bit
// lanes with shifts and masks alone; activations are prepared to match it.
//
// Layouts are those of ggml-common.h (https://github.com/ggml-org/ggml).
type format struct {
	name   string
	groups int  // of 32 weights in a storage block
	bytes  int  // of a storage block
	mins   bool // a weight is scale·q + min, else scale·q

	// open emits what a storage block needs once. It returns the scale in all
	// lanes of a register (no mins), or pairs (scale, min): one register of
	// one pair in its lowest lanes where groups is 1, else one register for
	// each 4 groups.
	open func(b *block) []VecVirtual

	// load emits the integers of group g.
	load func(b *block, g int) (even, odd VecVirtual)
}

// A block is the storage block whose code is being emitted.
type block struct {
	w     Register // address of the block
	off   int      // to be added to it
	stack Mem      // 64 bytes to use between open and load
	raw   VecVirtual
	high  VecVirtual
	kept  map[string]VecVirtual
}

// at is the address of byte i of the block.
func (b *block) at(i int) Mem { return Mem{Base: b.w, Disp: b.off + i} }

// konst is a constant of 32 bytes as an operand: a register loaded ahead of
// the loop where there are enough of them, else memory.
func (b *block) konst(name string) Op {
	if r, ok := b.kept[name]; ok {
		return r
	}
	return constant(name)
}

// keep loads constants into registers ahead of a loop.
func (b *block) keep(names ...string) {
	for _, n := range names {
		r := YMM()
		VMOVDQU(constant(n), r)
		b.kept[n] = r
	}
}

var formats = []format{
	{"Q40", 1, 18, false, openHalf(0), func(b *block, g int) (VecVirtual, VecVirtual) {
		e, o := nibbles16(b, 2)
		VPSUBW(b.konst("eight"), e, e)
		VPSUBW(b.konst("eight"), o, o)
		return e, o
	}},
	{"Q41", 1, 20, true, openPair, func(b *block, g int) (VecVirtual, VecVirtual) { return nibbles16(b, 4) }},
	{"Q50", 1, 22, false, openHalf(0), func(b *block, g int) (VecVirtual, VecVirtual) {
		e, o := nibbles16(b, 6)
		h := bits32(b, 2)
		for _, r := range []struct {
			nib  VecVirtual
			mask string
		}{{e, "evenbit"}, {o, "oddbit"}} { // q-16: the upper bits are set where the fifth is not
			t := YMM()
			VPAND(b.konst(r.mask), h, t)
			VPCMPEQW(b.konst("zero"), t, t)
			VPAND(b.konst("minus16"), t, t)
			VPOR(t, r.nib, r.nib)
		}
		return e, o
	}},
	{"Q51", 1, 24, true, openPair, func(b *block, g int) (VecVirtual, VecVirtual) {
		e, o := nibbles16(b, 8)
		h := bits32(b, 4)
		for _, r := range []struct {
			nib  VecVirtual
			mask string
		}{{e, "evenbit"}, {o, "oddbit"}} {
			t := YMM()
			VPAND(b.konst(r.mask), h, t)
			VPCMPEQW(b.konst(r.mask), t, t)
			VPAND(b.konst("bit4"), t, t)
			VPOR(t, r.nib, r.nib)
		}
		return e, o
	}},
	{"Q80", 1, 34, false, openHalf(0), func(b *block, g int) (VecVirtual, VecVirtual) {
		e, o := YMM(), YMM()
		VMOVDQU(b.at(2), o)
		VPSLLW(U8(8), o, e)
		VPSRAW(U8(8), e, e)
		VPSRAW(U8(8), o, o)
		return e, o
	}},
	{"Q4K", 8, 144, true, openK, func(b *block, g int) (VecVirtual, VecVirtual) { return nibblesK(b, 16, g) }},
	{"Q5K", 8, 176, true,
		func(b *block) []VecVirtual {
			b.high = YMM()
			VMOVDQU(b.at(16), b.high)
			return openK(b)
		},
		func(b *block, g int) (VecVirtual, VecVirtual) {
			e, o := nibblesK(b, 48, g)
			for _, r := range []struct {
				nib VecVirtual
				bit int // of the word
			}{{e, g}, {o, g + 8}} {
				t := YMM()
				shift(4-r.bit, b.high, t)
				VPAND(b.konst("bit4"), t, t)
				VPOR(t, r.nib, r.nib)
			}
			return e, o
		}},
	{"Q6K", 8, 210, false,
		func(b *block) []VecVirtual { // the 16 scales as words to the stack
			t := YMM()
			VPMOVSXBW(b.at(192), t)
			VMOVDQU(t, b.stack)
			return openHalf(208)(b)
		},
		func(b *block, g int) (VecVirtual, VecVirtual) {
			half, c := g/4, g%4
			raw, e, o := YMM(), YMM(), YMM()
			VMOVDQU(b.at(64*half+32*(c&1)), raw)
			if c < 2 {
				VPAND(b.konst("nibble"), raw, e)
				VPSRLW(U8(8), raw, o)
				VPAND(b.konst("nibble"), o, o)
			} else {
				VPSRLW(U8(4), raw, e)
				VPAND(b.konst("nibble"), e, e)
				VPSRLW(U8(12), raw, o)
			}
			if c == 0 {
				b.high = YMM()
				VMOVDQU(b.at(128+32*half), b.high)
			}
			scale := YMM()
			VPBROADCASTD(b.stack.Offset(4*g), scale)
			VPSHUFB(b.konst("pair"), scale, scale)
			for _, r := range []struct {
				nib VecVirtual
				bit int
			}{{e, 2 * c}, {o, 2*c + 8}} { // |scale·(q-32)| ≤ 4096
				t := YMM()
				shift(4-r.bit, b.high, t)
				VPAND(b.konst("bits45"), t, t)
				VPOR(t, r.nib, r.nib)
				VPSUBW(b.konst("thirtytwo"), r.nib, r.nib)
				VPMULLW(scale, r.nib, r.nib)
			}
			return e, o
		}},
}

// openHalf: one half-precision scale at byte i.
func openHalf(i int) func(b *block) []VecVirtual {
	return func(b *block) []VecVirtual {
		x, y := XMM(), YMM()
		VPBROADCASTW(b.at(i), x)
		VCVTPH2PS(x, y)
		return []VecVirtual{y}
	}
}

// openPair: half-precision scale and min at byte 0; upper lanes are 0.
func openPair(b *block) []VecVirtual {
	x := XMM()
	VMOVD(b.at(0), x)
	VCVTPH2PS(x, x)
	return []VecVirtual{x}
}

// openK: {half d, half dmin, 12 bytes of 6-bit scales and mins}; group g has
// scale d·sc[g] and min -dmin·m[g]. The 12 bytes are u0, u1, u2: the low six
// bits of u0 and u1 are sc and m of groups 0 to 3; the nibbles of u2, with the
// upper two bits of u0 and u1 above them, those of groups 4 to 7.
func openK(b *block) []VecVirtual {
	u0, u1, u2, t := GP64(), GP64(), GP64(), GP64()
	lo6, lo4, hi2 := U32(0x3f3f3f3f), U32(0x0f0f0f0f), U32(0x30303030)
	MOVL(b.at(4), u0.As32())
	MOVL(b.at(8), u1.As32())
	MOVL(b.at(12), u2.As32())
	sc, m := XMM(), XMM()
	for _, v := range []struct {
		u     GPVirtual
		shift int
		x     VecVirtual
	}{{u0, 0, sc}, {u1, 4, m}} {
		hi := GP64()
		MOVL(u2.As32(), hi.As32())
		if v.shift > 0 {
			SHRL(U8(v.shift), hi.As32())
		}
		ANDL(lo4, hi.As32())
		MOVL(v.u.As32(), t.As32())
		SHRL(U8(2), t.As32())
		ANDL(hi2, t.As32())
		ORL(t.As32(), hi.As32())
		ANDL(lo6, v.u.As32())
		SHLQ(U8(32), hi)
		ORQ(v.u, hi)
		VMOVQ(hi, v.x)
	}
	VPUNPCKLBW(m, sc, sc) // sc0 m0 sc1 m1 …
	d := YMM()
	x := XMM()
	VPBROADCASTD(b.at(0), x)
	VCVTPH2PS(x, d)
	VXORPS(b.konst("negodd"), d, d)
	lo, hi := YMM(), YMM()
	VPMOVZXBD(sc, lo)
	VPSRLDQ(U8(8), sc, sc)
	VPMOVZXBD(sc, hi)
	for _, y := range []VecVirtual{lo, hi} {
		VCVTDQ2PS(y, y)
		VMULPS(d, y, y)
	}
	return []VecVirtual{lo, hi}
}

// nibbles16: 16 bytes at byte i hold columns 0 to 15 in their low, 16 to 31 in
// their high nibbles.
func nibbles16(b *block, i int) (e, o VecVirtual) {
	e, o = YMM(), YMM()
	VBROADCASTI128(b.at(i), o)
	VPSRLVD(b.konst("lanes4"), o, o) // high nibbles down, in the upper half
	VPAND(b.konst("nibble"), o, e)
	VPSRLD(U8(8), o, o)
	VPAND(b.konst("nibble"), o, o)
	return e, o
}

// nibblesK: each 32 bytes hold two groups, the even one in the low nibbles.
func nibblesK(b *block, i, g int) (e, o VecVirtual) {
	e, o = YMM(), YMM()
	if g%2 == 0 {
		b.raw = YMM()
		VMOVDQU(b.at(i+16*g), b.raw)
		VPAND(b.konst("nibble"), b.raw, e)
		VPSRLW(U8(8), b.raw, o)
		VPAND(b.konst("nibble"), o, o)
		return e, o
	}
	VPSRLW(U8(4), b.raw, e)
	VPAND(b.konst("nibble"), e, e)
	VPSRLW(U8(12), b.raw, o)
	return e, o
}

// bits32: the 32 bits at byte i, the lower 16 in each word of the lower half,
// the others in each word of the upper half.
func bits32(b *block, i int) VecVirtual {
	h := YMM()
	VPBROADCASTD(b.at(i), h)
	VPSHUFB(b.konst("pair"), h, h)
	return h
}

// shift moves words up by n bits, or down where n is negative.
func shift(n int, src, dst VecVirtual) {
	switch {
	case n > 0:
		VPSLLW(U8(n), src, dst)
	case n < 0:
		VPSRLW(U8(-n), src, dst)
	default:
		VMOVDQA(src, dst)
	}
}
