package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Where the parts of a record of FormBytes lie: 256 columns as bytes, for each
// 32 of them a pair of float32 (scale, scale·Σ), for each 16 float32 scale·Σ.
const (
	recordPairs = 256
	recordSums  = 320
	record      = 384
)

// wholes are the formats of FormBytes: how 32 of their integers become bytes
// without a sign. Q6K's are 32 too large, which the sums of x make good.
var wholes = []struct {
	format string
	load   func(b *block, g int) VecVirtual
}{
	{"Q4K", func(b *block, g int) VecVirtual { return nibbleBytes(b, 16, g) }},
	{"Q5K", func(b *block, g int) VecVirtual {
		y, t := nibbleBytes(b, 48, g), YMM()
		shift(4-g, b.high, t)
		VPTERNLOGD(U8(0xf8), b.konst("byte16"), t, y) // y or (t and the constant)
		return y
	}},
	{"Q6K", func(b *block, g int) VecVirtual {
		half, c := g/4, g%4
		if c == 0 {
			b.high = YMM()
			VMOVDQU(b.at(128+32*half), b.high)
		}
		y, t := YMM(), YMM()
		if c < 2 {
			VMOVDQU(b.konst("nibbles"), y)
			VPAND(b.at(64*half+32*c), y, y)
		} else {
			VMOVDQU(b.at(64*half+32*(c-2)), y)
			VPSRLW(U8(4), y, y)
			VPAND(b.konst("nibbles"), y, y)
		}
		shift(4-2*c, b.high, t)
		VPTERNLOGD(U8(0xf8), b.konst("byte48"), t, y)
		return y
	}},
}

// nibbleBytes: each 32 bytes from byte i on hold two groups, the even one in
// the low nibbles.
func nibbleBytes(b *block, i, g int) VecVirtual {
	y := YMM()
	if g%2 == 0 {
		b.raw = YMM()
		VMOVDQU(b.at(i+16*g), b.raw)
		VPAND(b.konst("nibbles"), b.raw, y)
		return y
	}
	VPSRLW(U8(4), b.raw, y)
	VPAND(b.konst("nibbles"), y, y)
	return y
}

// dotBytes emits the product of rows of weights with one row of activations
// of FormBytes: one multiplication of bytes for 32 weights, which are half the
// operations of words. A decoded token is bound by them where two cores get
// more than 30 GB/s.
func dotBytes(i int) {
	whole := wholes[i]
	var f format
	for _, g := range formats {
		if g.name == whole.format {
			f = g
		}
	}
	name := "dot" + f.name + "Bytes"
	TEXT(name, NOSPLIT, "func(dst *float32, ldd int, w *byte, rows int, x *byte, xrow int, blocks int)")
	Doc(append([]string{name + ": dst[j] = w[j]·x for one row x of FormBytes, with AVX-512 VNNI;", "blocks of storage a row."},
		dotSpeed(f.name+"Bytes", 1, true)...)...)
	w, x, blocks := Load(Param("w"), GP64()), Load(Param("x"), GP64()), Load(Param("blocks"), GP64())
	rows, out := Load(Param("rows"), GP64()), Load(Param("dst"), GP64())
	b := &block{w: w, vnni: true, kept: map[string]VecVirtual{}, stack: AllocLocal(64)}
	b.keep("nibbles")
	switch f.name {
	case "Q5K":
		b.keep("byte16")
	case "Q6K":
		b.keep("byte48", "halves")
	}

	Label("row")
	sum, mins := []VecVirtual{YMM(), YMM()}, YMM()
	for _, s := range append(sum, mins) {
		VXORPS(s, s, s)
	}
	xp, left := GP64(), GP64()
	MOVQ(x, xp)
	MOVQ(blocks, left)

	Label("block")
	for i := 0; i < f.bytes; i += 64 {
		PREFETCHT0(b.at(ahead + i))
	}
	open := f.open(b)
	for h := range 2 { // scales times those of x, to be read one by one
		t, ofX := YMM(), Mem{Base: xp, Disp: recordPairs + 32*h}
		if f.kind == pairs {
			VMULPS(ofX, open[h], t)
			VADDPS(t, mins, mins)
		} else {
			s := YMM()
			VMOVUPS(b.stack.Offset(32*h), s)
			VFMADD231PS(Mem{Base: xp, Disp: recordSums + 32*h}, s, mins)
			VMOVSLDUP(ofX, t)
			VMULPS(s, t, t)
		}
		VMOVUPS(t, b.stack.Offset(32*h))
	}
	for g := range f.groups {
		q, p, s := whole.load(b, g), YMM(), YMM()
		VPXOR(p, p, p)
		VPDPBUSD(Mem{Base: xp, Disp: 32 * g}, q, p)
		VCVTDQ2PS(p, p)
		if f.kind == pairs {
			VBROADCASTSS(b.stack.Offset(8*g), s)
		} else {
			VBROADCASTSD(b.stack.Offset(8*g), s)
			VPERMILPS(b.konst("halves"), s, s)
		}
		VFMADD231PS(s, p, sum[g%2])
	}
	ADDQ(I32(f.bytes), w)
	ADDQ(I32(record), xp)
	DECQ(left)
	JNZ(LabelRef("block"))

	VADDPS(sum[1], sum[0], sum[0])
	if f.kind == pairs {
		VANDPS(constant("oddlanes"), mins, mins)
		VADDPS(mins, sum[0], sum[0])
	} else {
		VFNMADD231PS(constant("add32"), mins, sum[0])
	}
	VMOVSS(horizontal(sum[0]), Mem{Base: out})
	ADDQ(I8(4), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// quantiseBytes emits the preparation of activations as FormBytes.
func quantiseBytes() {
	TEXT("quantiseBytesAVX2", NOSPLIT, "func(dst *byte, x *float32, records int)")
	Doc("quantiseBytesAVX2 makes records of 256 numbers each.")
	dst, x, records := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("records"), GP64())
	abs, weave, most, least := YMM(), YMM(), XMM(), XMM()
	VMOVDQU(constant("abs"), abs)
	VMOVDQU(constant("weave"), weave)
	VMOVSS(constant("most8"), most)
	VMOVSS(constant("least"), least)

	Label("record")
	g, q := GP64(), GP64()
	MOVQ(dst, q)
	XORQ(g, g)
	Label("group")
	v, scale, inv := scaled32(x, abs, most, least)
	for i := range v {
		VMULPS(inv, v[i], v[i])
		VCVTPS2DQ(v[i], v[i])
	}
	low, high := YMM(), YMM() // sums of 16
	VPADDD(v[1], v[0], low)
	VPADDD(v[3], v[2], high)
	VPHADDD(high, low, low)
	VPHADDD(low, low, low)
	s, t := low.AsX(), XMM()
	VEXTRACTI128(U8(1), low, t)
	VPADDD(t, s, s)
	VCVTDQ2PS(s, s)
	VBROADCASTSS(scale, t)
	VMULPS(t, s, s)
	VMOVQ(s, Mem{Base: dst, Index: g, Scale: 8, Disp: recordSums})
	VHADDPS(s, s, s)
	VUNPCKLPS(s, scale, s)
	VMOVQ(s, Mem{Base: dst, Index: g, Scale: 8, Disp: recordPairs})

	VPACKSSDW(v[1], v[0], v[0])
	VPACKSSDW(v[3], v[2], v[2])
	VPACKSSWB(v[2], v[0], v[0])
	VPERMD(v[0], weave, v[0])
	VMOVDQU(v[0], Mem{Base: q})
	ADDQ(I8(32), q)
	ADDQ(I32(128), x)
	INCQ(g)
	CMPQ(g, U8(8))
	JNE(LabelRef("group"))
	ADDQ(I32(record), dst)
	DECQ(records)
	JNZ(LabelRef("record"))
	VZEROUPPER()
	RET()
}
