package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// columns addresses n rows of activations that lie step bytes apart: one base
// register for each four.
type columns struct {
	bases       []Register
	step, step3 Register
}

func newColumns(base, step, step3 Register, n int) columns {
	c := columns{[]Register{base}, step, step3}
	for i := 4; i < n; i += 4 {
		next := GP64()
		LEAQ(Mem{Base: c.bases[len(c.bases)-1], Index: step, Scale: 4}, next)
		c.bases = append(c.bases, next)
	}
	return c
}

// at is byte disp of row i.
func (c columns) at(i, disp int) Mem {
	m := Mem{Base: c.bases[i/4], Disp: disp}
	switch i % 4 {
	case 1, 2:
		m.Index, m.Scale = c.step, uint8(i%4)
	case 3:
		m.Index, m.Scale = c.step3, 1
	}
	return m
}

func (c columns) advance(bytes int) {
	for _, b := range c.bases {
		ADDQ(I32(bytes), b)
	}
}

func triple(step Register, n int) Register {
	if n < 4 {
		return step
	}
	step3 := GP64()
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, step3)
	return step3
}

// gemm is the product of one tile with n rows of activations:
//
//	dst[c*ldd + j] (+)= tile[j]·x[c], c < n, j < 16
//
// Lanes are rows of weights. Words are multiplied and summed in pairs over 32
// columns, then scaled into float32 sums: of 19 multiplications of 16 lanes,
// 16 are words.
type gemm struct {
	n              int
	dst, ldd, tile Register
	groups         Register
	words, scales  columns
}

func newGemm(isa string, n int, mins bool) gemm {
	name := fmt.Sprintf("gemm%sx%d", isa, n)
	if mins {
		name = fmt.Sprintf("gemmMin%sx%d", isa, n)
	}
	TEXT(name, NOSPLIT, "func(dst *float32, ldd int, tile *byte, groups int, x *byte, scales int, xrow int, add int)")
	Doc(append([]string{fmt.Sprintf("%s: dst[c*ldd+j] (+)= tile[j]·x[c] for 16 rows j and %d rows x of xrow bytes,", name, n),
		"whose scales lie scales bytes behind x. ldd is in bytes; add is 0 to overwrite dst."}, gemmSpeed(name)...)...)
	g := gemm{n: n}
	g.tile = Load(Param("tile"), GP64())
	g.groups = Load(Param("groups"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("scales"), GP64())
	ADDQ(x, s)
	step := Load(Param("xrow"), GP64())
	step3 := triple(step, n)
	g.words = newColumns(x, step, step3, n)
	g.scales = newColumns(s, step, step3, n)
	return g
}

// next goes to the next 32 columns.
func (g gemm) next() {
	ADDQ(I32(tileRecord), g.tile)
	g.words.advance(64)
	g.scales.advance(8)
	DECQ(g.groups)
	JNZ(LabelRef("group"))
}

func gemmAVX512(n int, mins bool) {
	g := newGemm("AVX512", n, mins)
	sum, acc := make([]VecVirtual, n), make([]VecVirtual, n)
	for c := range n {
		sum[c], acc[c] = ZMM(), ZMM()
		VPXORD(sum[c], sum[c], sum[c])
	}
	Label("group")
	for c := range n {
		VPXORD(acc[c], acc[c], acc[c])
	}
	for p := range 16 {
		w := ZMM()
		VMOVDQU32(Mem{Base: g.tile, Disp: 64 * p}, w)
		for c := range n {
			VPDPWSSD_BCST(g.words.at(c, 4*p), w, acc[c])
		}
	}
	scale, min := ZMM(), ZMM()
	VMOVUPS(Mem{Base: g.tile, Disp: tileScales}, scale)
	if mins {
		VMOVUPS(Mem{Base: g.tile, Disp: tileMins}, min)
	}
	for c := range n {
		s := ZMM()
		VCVTDQ2PS(acc[c], acc[c])
		VMULPS_BCST(g.scales.at(c, 0), scale, s)
		VFMADD231PS(acc[c], s, sum[c])
		if mins {
			VFMADD231PS_BCST(g.scales.at(c, 4), min, sum[c])
		}
	}
	g.next()

	dst, ldd, add := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64()), Load(Param("add"), GP64())
	step3 := triple(ldd, n)
	out := newColumns(dst, ldd, step3, n)
	TESTQ(add, add)
	JZ(LabelRef("store"))
	for c := range n {
		VADDPS(out.at(c, 0), sum[c], sum[c])
	}
	Label("store")
	for c := range n {
		VMOVUPS(sum[c], out.at(c, 0))
	}
	VZEROUPPER()
	RET()
}

// gemmAVX2 keeps its float32 sums on the stack: 16 registers are enough for
// the integers of 16 rows and four columns.
func gemmAVX2(n int, mins bool) {
	g := newGemm("AVX2", n, mins)
	sums := AllocLocal(64 * n)
	zero := YMM()
	VXORPS(zero, zero, zero)
	for c := range 2 * n {
		VMOVUPS(zero, sums.Offset(32*c))
	}
	Label("group")
	acc := make([][2]VecVirtual, n)
	for p := range 16 {
		var w [2]VecVirtual
		for h := range w {
			w[h] = YMM()
			VMOVDQU(Mem{Base: g.tile, Disp: 64*p + 32*h}, w[h])
		}
		for c := range n {
			x := YMM()
			VPBROADCASTD(g.words.at(c, 4*p), x)
			for h := range w {
				if p == 0 {
					acc[c][h] = YMM()
					VPMADDWD(x, w[h], acc[c][h])
					continue
				}
				t := YMM()
				VPMADDWD(x, w[h], t)
				VPADDD(t, acc[c][h], acc[c][h])
			}
		}
	}
	for c := range n {
		dx, sx := YMM(), YMM()
		VBROADCASTSS(g.scales.at(c, 0), dx)
		if mins {
			VBROADCASTSS(g.scales.at(c, 4), sx)
		}
		for h := range 2 {
			s, sum := YMM(), YMM()
			VMULPS(Mem{Base: g.tile, Disp: tileScales + 32*h}, dx, s)
			VCVTDQ2PS(acc[c][h], acc[c][h])
			VMOVUPS(sums.Offset(64*c+32*h), sum)
			VFMADD231PS(acc[c][h], s, sum)
			if mins {
				VFMADD231PS(Mem{Base: g.tile, Disp: tileMins + 32*h}, sx, sum)
			}
			VMOVUPS(sum, sums.Offset(64*c+32*h))
		}
	}
	g.next()

	dst, ldd, add := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64()), Load(Param("add"), GP64())
	out := newColumns(dst, ldd, triple(ldd, n), n)
	TESTQ(add, add)
	JZ(LabelRef("store"))
	for c := range n {
		for h := range 2 {
			s := YMM()
			VMOVUPS(sums.Offset(64*c+32*h), s)
			VADDPS(out.at(c, 32*h), s, s)
			VMOVUPS(s, sums.Offset(64*c+32*h))
		}
	}
	Label("store")
	for c := range n {
		for h := range 2 {
			s := YMM()
			VMOVUPS(sums.Offset(64*c+32*h), s)
			VMOVUPS(s, out.at(c, 32*h))
		}
	}
	VZEROUPPER()
	RET()
}
