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
	groups int   // of 32 weights in a storage block
	bytes  int   // of a storage block
	kind   scale // how integers become weights

	// shift says that for dot words are integers·2^shift: at the top of a
	// word the sign comes for free. Four of them times activations still fit
	// an int32; sums of 32 (unpack) get them shifted down.
	shift int

	// open emits what a storage block needs once, and returns its scales as
	// kind says.
	open func(b *block) []VecVirtual

	// load emits the integers of group g.
	load func(b *block, g int) (even, odd VecVirtual)
}

type scale int

const (
	single scale = iota // weight = scale·q; scale in all lanes
	pair                // scale·q + min; one pair (scale, min) in the lowest lanes, zeros above
	pairs               // the same, eight pairs in two registers
	eights              // scale·q; eight scales in the block's stack
	halves              // dot: 16 scales in the block's stack, two a group; unpack: single, and they are in the words
)

// mins says whether weights have a min beside their scale.
func (f format) mins() bool { return f.kind == pair || f.kind == pairs }

// often are the constants that load uses, worth a register.
func (f format) often(vnni bool) []string {
	switch f.name {
	case "Q40":
		return []string{"flip4", "low4", "top4"}
	case "Q41":
		return []string{"lanes4", "nibble"}
	case "Q50", "Q51":
		if vnni {
			return []string{"lanes4", "nibble", "bit4"}
		}
		return []string{"lanes4", "nibble", "pair", "evenbit", "oddbit"}
	case "Q4K":
		return []string{"nibble"}
	case "Q5K":
		return []string{"nibble", "bit4"}
	case "Q80", "INT8":
		return []string{"top8"}
	case "NF4", "FP4":
		name := map[string]string{"NF4": "nf4", "FP4": "fp4"}[f.name]
		if vnni {
			return []string{name + "words"}
		}
		return []string{"lanes40", "nibbles", name + "low", name + "high"}
	case "IQ4NL", "IQ4XS":
		return []string{"lanes4", "nibbles", "iq4", "top8"}
	case "Q3K":
		if vnni {
			return []string{"bits13to14", "top3", "halves"}
		}
		return []string{"bits13to14", "bit15", "halves"}
	case "Q6K":
		if vnni {
			return []string{"bits10to13", "top6", "halves"}
		}
		return []string{"bits10to13", "top2", "halves"}
	}
	return nil
}

// A block is the storage block whose code is being emitted.
type block struct {
	w     Register // address of the block
	off   int      // to be added to it
	stack Mem      // 64 bytes to use between open and load
	vnni  bool     // AVX-512 may be used
	exact bool     // words are to be integers, whatever the format's shift
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
	{"Q40", 1, 18, single, 12, openHalf(0), func(b *block, g int) (e, o VecVirtual) {
		e, o = YMM(), YMM()
		VBROADCASTI128(b.at(2), o)
		VPXOR(b.konst("flip4"), o, o)  // q-8, in two's complement
		VPSLLVD(b.konst("low4"), o, o) // low nibbles up, in the lower half
		VPSLLW(U8(8), o, e)
		VPAND(b.konst("top4"), e, e)
		VPAND(b.konst("top4"), o, o)
		b.down(12, e, o)
		return e, o
	}},
	{"Q41", 1, 20, pair, 0, openPair, func(b *block, g int) (VecVirtual, VecVirtual) { return nibbles16(b, 4) }},
	{"Q50", 1, 22, single, 0, openHalf(0), func(b *block, g int) (VecVirtual, VecVirtual) {
		e, o := nibbles16(b, 6)
		fifth(b, 2, e, o, true)
		return e, o
	}},
	{"Q51", 1, 24, pair, 0, openPair, func(b *block, g int) (VecVirtual, VecVirtual) {
		e, o := nibbles16(b, 8)
		fifth(b, 4, e, o, false)
		return e, o
	}},
	{"Q80", 1, 34, single, 8, openHalf(0), func(b *block, g int) (VecVirtual, VecVirtual) {
		y := YMM()
		VMOVDQU(b.at(2), y)
		return bytes(b, y)
	}},
	{"IQ4NL", 1, 18, single, 8, openHalf(0), func(b *block, g int) (VecVirtual, VecVirtual) { return looked(b, 2) }},
	{"IQ4XS", 8, 136, eights, 8, openXS, func(b *block, g int) (VecVirtual, VecVirtual) { return looked(b, 8+16*g) }},
	{"NF4", 2, 36, single, 3, openLevels(nf4), func(b *block, g int) (VecVirtual, VecVirtual) { return levels(b, nf4, 4+16*g) }},
	{"FP4", 2, 36, single, 3, openLevels(fp4), func(b *block, g int) (VecVirtual, VecVirtual) { return levels(b, fp4, 4+16*g) }},
	{"INT8", 2, 68, single, 8, openFloat("inv127"), func(b *block, g int) (VecVirtual, VecVirtual) {
		y := YMM()
		VMOVDQU(b.at(4+32*g), y)
		return bytes(b, y)
	}},
	{"Q3K", 8, 110, halves, 13, open3, load3},
	{"Q4K", 8, 144, pairs, 0, openK, func(b *block, g int) (VecVirtual, VecVirtual) { return nibblesK(b, 16, g) }},
	{"Q5K", 8, 176, pairs, 0,
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
	{"Q6K", 8, 210, halves, 10, open6, load6},
}

// bytes makes words of 32 signed bytes.
func bytes(b *block, y VecVirtual) (e, o VecVirtual) {
	e, o = YMM(), YMM()
	VPSLLW(U8(8), y, e)
	VPAND(b.konst("top8"), y, o)
	b.down(8, e, o)
	return e, o
}

// looked: 16 bytes at byte i are indices of the table of iq4: columns 0 to 15
// in the low, 16 to 31 in the high nibbles.
func looked(b *block, i int) (e, o VecVirtual) {
	y, t := YMM(), YMM()
	VBROADCASTI128(b.at(i), y)
	VPSRLVD(b.konst("lanes4"), y, y)
	VPAND(b.konst("nibbles"), y, y)
	VMOVDQU(b.konst("iq4"), t)
	VPSHUFB(y, t, y)
	return bytes(b, y)
}

// openXS: {half d, 16 bits of upper, 32 bits of lower parts of 8 scales};
// group g has scale d·(scale-32) of two upper and four lower bits.
func openXS(b *block) []VecVirtual {
	d := openHalf(0)(b)
	hi, lo := YMM(), YMM()
	t := GP32()
	MOVWLZX(b.at(2), t)
	x := XMM()
	VMOVD(t, x)
	VPBROADCASTD(x, hi)
	VPSRLVD(constant("by2"), hi, hi)
	VPSLLD(U8(30), hi, hi)
	VPSRLD(U8(26), hi, hi)
	VPBROADCASTD(b.at(4), lo)
	VPSRLVD(constant("by4"), lo, lo)
	VPSLLD(U8(28), lo, lo)
	VPSRLD(U8(28), lo, lo)
	VPOR(hi, lo, lo)
	VPSUBD(constant("dword32"), lo, lo)
	VCVTDQ2PS(lo, lo)
	VMULPS(d[0], lo, lo)
	VMOVUPS(lo, b.stack)
	return nil
}

// openHalves puts 16 signed bytes to the stack: times the half at byte i as
// float32, or as words where that goes to the tile.
func openHalves(b *block, sc Register, i int) []VecVirtual {
	d := openHalf(i)(b)
	if b.exact {
		t := YMM()
		VPMOVSXBW(sc, t)
		VMOVDQU(t, b.stack)
		return d
	}
	for h := range 2 {
		t := YMM()
		VPMOVSXBD(sc, t)
		if h == 0 {
			VPSRLDQ(U8(8), sc, sc)
		}
		VCVTDQ2PS(t, t)
		VMULPS(d[0], t, t)
		VMOVUPS(t, b.stack.Offset(32*h))
	}
	return nil
}

// scaled multiplies words by the two scales of their group, in unpack.
func (b *block) scaled(g int, words ...VecVirtual) {
	if !b.exact {
		return
	}
	scale := YMM()
	VPBROADCASTD(b.stack.Offset(4*g), scale)
	VPSHUFB(b.konst("pair"), scale, scale)
	for _, w := range words {
		VPMULLW(scale, w, w)
	}
}

// open3: at 96 the 16 scales, six bits each, less 32: lower four bits of 0 to
// 7 and of 8 to 15 in the nibbles of 8 bytes, then upper two bits in pairs of
// 4 bytes: 0 to 3, 4 to 7, … A half at 108.
func open3(b *block) []VecVirtual {
	b.high = YMM()
	VMOVDQU(b.at(0), b.high)
	VPXOR(b.konst("all"), b.high, b.high)
	sc, hi := XMM(), XMM()
	VMOVQ(b.at(96), sc)
	VPSRLW(U8(4), sc, hi)
	VPUNPCKLQDQ(hi, sc, sc)
	VPAND(constant("nibbles"), sc, sc)
	VPBROADCASTD(b.at(104), hi)
	VPSRLVD(constant("by2"), hi, hi)
	VPAND(constant("twos"), hi, hi)
	VPSLLD(U8(4), hi, hi)
	VPOR(hi, sc, sc)
	VPSUBB(constant("byte32"), sc, sc)
	return openHalves(b, sc, 108)
}

// load3: two bits of four groups in each of 32 bytes at 32 and at 64; the
// third, whose absence takes 4 away, in the bits of 32 bytes at 0.
func load3(b *block, g int) (e, o VecVirtual) {
	c := g % 4
	if c == 0 {
		b.raw = YMM()
		VMOVDQU(b.at(32+8*g), b.raw)
	}
	word := func(first int) VecVirtual { // first bit of the byte in its word
		two, third := YMM(), YMM()
		shift(13-(first+2*c), b.raw, two)
		shift(15-(first+g), b.high, third)
		if b.vnni {
			VPTERNLOGD(U8(0xe4), b.konst("bits13to14"), third, two) // two where the constant is set, else third
			VPAND(b.konst("top3"), two, two)
			return two
		}
		VPAND(b.konst("bits13to14"), two, two)
		VPAND(b.konst("bit15"), third, third)
		VPOR(third, two, two)
		return two
	}
	e, o = word(0), word(8)
	b.down(13, e, o)
	b.scaled(g, e, o)
	return e, o
}

// open6: 16 signed bytes of scales at 192, a half at 208.
func open6(b *block) []VecVirtual {
	sc := XMM()
	VMOVDQU(b.at(192), sc)
	return openHalves(b, sc, 208)
}

// load6: nibbles in the first 128 bytes, for each half of the columns 64; two
// upper bits in the next 64, for each half 32. q-32 in two's complement is put
// together in the upper six bits of words.
func load6(b *block, g int) (e, o VecVirtual) {
	half, c := g/4, g%4
	if c == 0 {
		b.high = YMM()
		VMOVDQU(b.at(128+32*half), b.high)
		VPXOR(b.konst("flip2"), b.high, b.high)
	}
	raw := YMM()
	VMOVDQU(b.at(64*half+32*(c&1)), raw)
	word := func(first int) VecVirtual { // first bit of the byte in its word
		nib, two := YMM(), YMM()
		shift(10-(first+4*(c/2)), raw, nib)
		shift(14-(first+2*c), b.high, two)
		if b.vnni {
			VPTERNLOGD(U8(0xe4), b.konst("bits10to13"), two, nib) // nib where the constant is set, else two
			if first > 0 || c == 3 {
				VPAND(b.konst("top6"), nib, nib)
			}
			return nib
		}
		VPAND(b.konst("bits10to13"), nib, nib)
		VPAND(b.konst("top2"), two, two)
		VPOR(two, nib, nib)
		return nib
	}
	e, o = word(0), word(8)
	b.down(10, e, o)
	b.scaled(g, e, o) // |scale·(q-32)| ≤ 4096
	return e, o
}

// down shifts words to where integers are exact.
func (b *block) down(n int, words ...VecVirtual) {
	if b.exact {
		for _, w := range words {
			VPSRAW(U8(n), w, w)
		}
	}
}

// fifth adds the 32 fifth bits at byte i to nibbles; signed takes 16 away.
func fifth(b *block, i int, e, o VecVirtual, signed bool) {
	if b.vnni {
		h := GP32()
		MOVL(b.at(i), h)
		if signed {
			NOTL(h)
		}
		for _, r := range []struct {
			nib  VecVirtual
			bits uint32
		}{{e, 0x55555555}, {o, 0xaaaaaaaa}} {
			m, t, k := GP32(), GP32(), K()
			MOVL(U32(r.bits), m)
			PEXTL(m, h, t)
			KMOVW(t, k)
			if signed {
				VPSUBW(b.konst("bit4"), r.nib, k, r.nib)
			} else {
				VPADDW(b.konst("bit4"), r.nib, k, r.nib)
			}
		}
		return
	}
	h := YMM() // the lower 16 bits in each word of the lower half, the others in the upper half
	VPBROADCASTD(b.at(i), h)
	VPSHUFB(b.konst("pair"), h, h)
	for _, r := range []struct {
		nib  VecVirtual
		mask string
	}{{e, "evenbit"}, {o, "oddbit"}} {
		t := YMM()
		VPAND(b.konst(r.mask), h, t)
		if signed { // q-16: the upper bits are set where the fifth is not
			VPCMPEQW(b.konst("zero"), t, t)
			VPAND(b.konst("minus16"), t, t)
		} else {
			VPCMPEQW(b.konst(r.mask), t, t)
			VPAND(b.konst("bit4"), t, t)
		}
		VPOR(t, r.nib, r.nib)
	}
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
// upper two bits of u0 and u1 above them, those of groups 4 to 7. Eight of
// them at a time in a general register: vector units have enough to do.
func openK(b *block) []VecVirtual {
	low, high, u2, mask := GP64(), GP64(), GP64(), GP64()
	MOVQ(b.at(4), low)
	MOVQ(low, high)
	SHRQ(U8(2), high)
	MOVQ(U64(0x3030303030303030), mask)
	ANDQ(mask, high)
	MOVQ(U64(0x3f3f3f3f3f3f3f3f), mask)
	ANDQ(mask, low) // sc0 sc1 sc2 sc3 m0 m1 m2 m3
	MOVL(b.at(12), u2.As32())
	MOVL(u2.As32(), mask.As32())
	SHRL(U8(4), mask.As32())
	SHLQ(U8(32), mask)
	ORQ(mask, u2)
	MOVQ(U64(0x0f0f0f0f0f0f0f0f), mask)
	ANDQ(mask, u2)
	ORQ(u2, high) // sc4 … m7
	sc, t := XMM(), XMM()
	VMOVQ(low, sc)
	VPINSRQ(U8(1), high, sc, sc)
	VPSHUFB(constant("weave4"), sc, sc) // sc0 m0 sc1 m1 …
	d := YMM()
	x := XMM()
	VPBROADCASTD(b.at(0), x)
	VCVTPH2PS(x, d)
	VXORPS(b.konst("negodd"), d, d)
	lo, hi := YMM(), YMM()
	VPMOVZXBD(sc, lo)
	VPSRLDQ(U8(8), sc, t)
	VPMOVZXBD(t, hi)
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
