package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A plain format converts to float32 with an instruction or two.
type plain struct {
	name  string
	bytes int
	eight func(src Mem, dst VecVirtual)            // 8 numbers
	one   func(src Mem, dst Register, t GPVirtual) // one number to the lowest lane, zeros above
}

var plains = []plain{
	{"F32", 4,
		func(src Mem, dst VecVirtual) { VMOVUPS(src, dst) },
		func(src Mem, dst Register, _ GPVirtual) { VMOVSS(src, dst) }},
	{"F16", 2,
		func(src Mem, dst VecVirtual) { VCVTPH2PS(src, dst) },
		func(src Mem, dst Register, t GPVirtual) {
			MOVWLZX(src, t.As32())
			VMOVD(t.As32(), dst)
			VCVTPH2PS(dst, dst)
		}},
	{"BF16", 2,
		func(src Mem, dst VecVirtual) {
			VPMOVZXWD(src, dst)
			VPSLLD(U8(16), dst, dst)
		},
		func(src Mem, dst Register, t GPVirtual) {
			MOVWLZX(src, t.As32())
			SHLL(U8(16), t.As32())
			VMOVD(t.As32(), dst)
		}},
}

// convert emits the conversion of a row to float32.
func convert(p plain) {
	TEXT("convert"+p.name+"AVX2", NOSPLIT, "func(dst *float32, src *byte, n int)")
	Doc("convert" + p.name + "AVX2 makes n numbers float32.")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	n := Load(Param("n"), GP64())
	Label("eights")
	SUBQ(I8(8), n)
	JL(LabelRef("rest"))
	y := YMM()
	p.eight(Mem{Base: src}, y)
	VMOVUPS(y, Mem{Base: dst})
	ADDQ(I8(8*p.bytes), src)
	ADDQ(I8(32), dst)
	JMP(LabelRef("eights"))
	Label("rest")
	ADDQ(I8(8), n)
	JZ(LabelRef("end"))
	Label("ones")
	x := XMM()
	p.one(Mem{Base: src}, x, GP64())
	VMOVSS(x, Mem{Base: dst})
	ADDQ(I8(p.bytes), src)
	ADDQ(I8(4), dst)
	DECQ(n)
	JNZ(LabelRef("ones"))
	Label("end")
	VZEROUPPER()
	RET()
}

// dotPlain emits dst[c*ldd+j] = Σ w[j]·x[c] for n rows of float32 x and any
// number of columns.
func dotPlain(p plain, n int) {
	name := fmt.Sprintf("dot%sAVX2x%d", p.name, n)
	TEXT(name, NOSPLIT, "func(dst *float32, ldd int, w *byte, rows int, x *byte, xrow int, cols int)")
	Doc(append([]string{fmt.Sprintf("%s: dst[c*ldd+j] = w[j]·x[c] for %d rows x of xrow bytes; ldd in bytes.", name, n)},
		dotSpeed(p.name, n, false)...)...)
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	step := Load(Param("xrow"), GP64())
	cols := Load(Param("cols"), GP64())
	step3 := triple(step, n)
	depth := map[int]int{1: 4, 2: 2, 4: 1}[n] // sums a column, so that no addition waits for the last
	xp, left := GP64(), GP64()

	Label("row")
	sum := make([][]VecVirtual, n)
	for c := range sum {
		for range depth {
			s := YMM()
			VXORPS(s, s, s)
			sum[c] = append(sum[c], s)
		}
	}
	MOVQ(x, xp)
	MOVQ(cols, left)
	xs := newColumns(xp, step, step3, n)
	eights := func(label string, count int) {
		Label(label)
		SUBQ(I8(8*count), left)
		JL(LabelRef(label + "end"))
		for u := range count {
			v := YMM()
			p.eight(Mem{Base: w, Disp: 8 * p.bytes * u}, v)
			for c := range n {
				VFMADD231PS(xs.at(c, 32*u), v, sum[c][u%depth])
			}
		}
		ADDQ(I32(8*p.bytes*count), w)
		xs.advance(32 * count)
		JMP(LabelRef(label))
		Label(label + "end")
		ADDQ(I8(8*count), left)
	}
	eights("many", 4)
	eights("few", 1)
	TESTQ(left, left)
	JZ(LabelRef("end"))
	Label("ones")
	v, t := XMM(), XMM()
	p.one(Mem{Base: w}, v, GP64())
	for c := range n {
		y := YMM()
		VMOVSS(xs.at(c, 0), t) // zeros above: the other lanes of the sum stay
		VMULPS(v, t, y.AsX())
		VADDPS(y, sum[c][0], sum[c][0])
	}
	ADDQ(I8(p.bytes), w)
	xs.advance(4)
	DECQ(left)
	JNZ(LabelRef("ones"))
	Label("end")

	out, ldd := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64())
	for c := range n {
		s := sum[c][0]
		for _, more := range sum[c][1:] {
			VADDPS(more, s, s)
		}
		VMOVSS(horizontal(s), Mem{Base: out})
		if c+1 < n {
			ADDQ(ldd, out)
		}
	}
	ADDQ(I8(4), NewParamAddr("dst", 0))
	DECQ(NewParamAddr("rows", 24))
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// gemmFloat is gemm on tiles of float32: a record is 16 columns of 16 rows,
// 1024 bytes. width is the number of floats in a register.
func gemmFloat(isa string, n, width int) {
	name := fmt.Sprintf("gemmFloat%sx%d", isa, n)
	TEXT(name, NOSPLIT, "func(dst *float32, ldd int, tile *byte, groups int, x *byte, scales int, xrow int, add int)")
	Doc(append([]string{fmt.Sprintf("%s: dst[c*ldd+j] (+)= tile[j]·x[c] for 16 rows j and %d rows x of xrow bytes.", name, n),
		"ldd is in bytes; scales means nothing; add is 0 to overwrite dst."}, gemmSpeed(name)...)...)
	tile := Load(Param("tile"), GP64())
	groups := Load(Param("groups"), GP64())
	x := Load(Param("x"), GP64())
	step := Load(Param("xrow"), GP64())
	xs := newColumns(x, step, triple(step, n), n)
	reg := YMM
	if width == 16 {
		reg = ZMM
	}
	parts := 16 / width
	sum := make([][]VecVirtual, n)
	for c := range sum {
		for range parts {
			s := reg()
			if width == 16 {
				VPXORD(s, s, s)
			} else {
				VXORPS(s, s, s)
			}
			sum[c] = append(sum[c], s)
		}
	}
	Label("group")
	for k := range 16 {
		w := make([]VecVirtual, parts)
		for h := range w {
			w[h] = reg()
			VMOVUPS(Mem{Base: tile, Disp: 64*k + 32*h}, w[h])
		}
		for c := range n {
			if width == 16 {
				VFMADD231PS_BCST(xs.at(c, 4*k), w[0], sum[c][0])
				continue
			}
			b := reg()
			VBROADCASTSS(xs.at(c, 4*k), b)
			for h := range w {
				VFMADD231PS(b, w[h], sum[c][h])
			}
		}
	}
	ADDQ(I32(1024), tile)
	xs.advance(64)
	DECQ(groups)
	JNZ(LabelRef("group"))

	dst, ldd, add := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64()), Load(Param("add"), GP64())
	out := newColumns(dst, ldd, triple(ldd, n), n)
	TESTQ(add, add)
	JZ(LabelRef("store"))
	for c := range sum {
		for h, s := range sum[c] {
			VADDPS(out.at(c, 32*h), s, s)
		}
	}
	Label("store")
	for c := range sum {
		for h, s := range sum[c] {
			VMOVUPS(s, out.at(c, 32*h))
		}
	}
	VZEROUPPER()
	RET()
}
