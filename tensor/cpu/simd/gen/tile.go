package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A tile is 16 rows of weights, unpacked for products with many rows of
// activations. For each 32 columns it holds a record of 1152 bytes: 16 pairs
// of words (two columns each) for each of the 16 rows, pair by pair, 64 bytes
// each; 16 float32 scales; 16 float32 mins.
const (
	tileRecord = 1152
	tileScales = 1024
	tileMins   = 1088
)

// unpack emits the first half of making a tile: one row to words and scales.
func unpack(f format) {
	TEXT("unpack"+f.name, NOSPLIT, "func(words *byte, scales *byte, w *byte, blocks int)")
	Doc("unpack"+f.name+" writes the integers of a row, 64 bytes each 1024 bytes,",
		"and its scale and min each 1152 bytes.")
	words := Load(Param("words"), GP64())
	scales := Load(Param("scales"), GP64())
	w := Load(Param("w"), GP64())
	blocks := Load(Param("blocks"), GP64())
	b := &block{w: w, exact: true, kept: map[string]VecVirtual{}}
	if f.groups > 1 {
		b.stack = AllocLocal(64)
	}
	Label("block")
	open := f.open(b)
	if f.kind == pairs {
		t := GP64()
		for h, o := range open {
			VMOVUPS(o, b.stack.Offset(32*h))
		}
		for g := range f.groups {
			MOVL(b.stack.Offset(8*g), t.As32())
			MOVL(t.As32(), Mem{Base: scales, Disp: g * tileRecord})
			MOVL(b.stack.Offset(8*g+4), t.As32())
			MOVL(t.As32(), Mem{Base: scales, Disp: g*tileRecord + tileMins - tileScales})
		}
	}
	for g := range f.groups {
		e, o := f.load(b, g)
		VMOVDQU(e, Mem{Base: words, Disp: 1024 * g})
		VMOVDQU(o, Mem{Base: words, Disp: 1024*g + 32})
		switch {
		case f.kind == eights:
			t := GP32()
			MOVL(b.stack.Offset(4*g), t)
			MOVL(t, Mem{Base: scales, Disp: g * tileRecord})
		case !f.mins():
			VMOVSS(open[0].AsX(), Mem{Base: scales, Disp: g * tileRecord})
		case f.kind == pair:
			VMOVSS(open[0].AsX(), Mem{Base: scales})
			VEXTRACTPS(U8(1), open[0].AsX(), Mem{Base: scales, Disp: tileMins - tileScales})
		}
	}
	ADDQ(I32(1024*f.groups), words)
	ADDQ(I32(tileRecord*f.groups), scales)
	ADDQ(I32(f.bytes), w)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// prefetch emits requests for n bytes.
func prefetch() {
	TEXT("prefetch", NOSPLIT, "func(p *byte, n int)")
	Doc("prefetch asks for n > 0 bytes from p on.")
	p := Load(Param("p"), GP64())
	n := Load(Param("n"), GP64())
	ADDQ(p, n)
	Label("line")
	PREFETCHT0(Mem{Base: p})
	ADDQ(I8(64), p)
	CMPQ(p, n)
	JB(LabelRef("line"))
	RET()
}

// transpose emits the second half: rows of words to records.
func transpose() {
	TEXT("transposeAVX2", NOSPLIT, "func(dst *byte, src *byte, groups int, record int)")
	Doc("transposeAVX2 turns groups of 16 rows of 16 dwords, 1024 bytes, into records.")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	groups := Load(Param("groups"), GP64())
	record := Load(Param("record"), GP64())
	Label("group")
	for _, corner := range [][2]int{{0, 0}, {0, 8}, {8, 0}, {8, 8}} {
		r, c := corner[0], corner[1]
		// rows i and i+4 share a register: their lower four columns, then the upper
		var a, t [8]VecVirtual
		for i := range 4 {
			for h := range 2 {
				y := YMM()
				VBROADCASTI128(Mem{Base: src, Disp: 64*(r+i) + 4*c + 16*h}, y)
				VINSERTI128(U8(1), Mem{Base: src, Disp: 64*(r+i+4) + 4*c + 16*h}, y, y)
				a[4*h+i] = y
			}
		}
		for h := 0; h < 8; h += 4 {
			for i := range t {
				if i < 4 {
					t[i] = YMM()
				}
			}
			VPUNPCKLDQ(a[h+1], a[h], t[0])
			VPUNPCKHDQ(a[h+1], a[h], t[1])
			VPUNPCKLDQ(a[h+3], a[h+2], t[2])
			VPUNPCKHDQ(a[h+3], a[h+2], t[3])
			for i, p := range [][2]int{{0, 2}, {1, 3}} {
				lo, hi := YMM(), YMM()
				VPUNPCKLQDQ(t[p[1]], t[p[0]], lo)
				VPUNPCKHQDQ(t[p[1]], t[p[0]], hi)
				VMOVDQU(lo, Mem{Base: dst, Disp: 64*(c+h+2*i) + 4*r})
				VMOVDQU(hi, Mem{Base: dst, Disp: 64*(c+h+2*i+1) + 4*r})
			}
		}
	}
	ADDQ(I32(1024), src)
	ADDQ(record, dst)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
