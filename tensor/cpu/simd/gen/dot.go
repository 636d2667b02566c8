package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// ahead is how far from where they are read weights are asked for, in bytes:
// 2048 to 4096 were equal within 2 % on Zen 4, 1024 and 8192 5 % slower, without it 15 %.
const ahead = 2048

// dot emits the product of rows of weights with n rows of activations:
//
//	dst[c*ldd + j] = Σ w[j]·x[c], c < n, j < rows
//
// A group of 32 weights is two multiplications of words and one float32
// multiply-add; the min of a group multiplies the sum of its activations.
func dot(f format, n int, vnni bool) {
	isa := "AVX2"
	if vnni {
		isa = "VNNI"
	}
	name := fmt.Sprintf("dot%s%sx%d", f.name, isa, n)
	TEXT(name, NOSPLIT, "func(dst *float32, ldd int, w *byte, rows int, x *byte, xrow int, blocks int)")
	Doc(append([]string{fmt.Sprintf("%s: dst[c*ldd+j] = w[j]·x[c] for %d rows x of xrow bytes; ldd in bytes,", name, n),
		"blocks of storage a row. Bound by memory for few rows x."}, dotSpeed(f.name, n, vnni)...)...)
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	xrow := Load(Param("xrow"), GP64())
	blocks := Load(Param("blocks"), GP64())
	scales := GP64() // of x: behind its words
	IMUL3Q(I32(64*f.groups), blocks, scales)
	ADDQ(x, scales)

	xrow3 := triple(xrow, n)
	b := &block{w: w, vnni: vnni, kept: map[string]VecVirtual{}}
	if f.groups > 1 {
		b.stack = AllocLocal(64 * n)
	}
	if n <= 2 {
		b.keep(f.often(vnni)...)
	}
	depth := 1 // sums a column: an addition takes longer than a group
	if n == 1 {
		depth = 2
	}

	Label("row")
	sum, mins := make([][]VecVirtual, n), make([]VecVirtual, n)
	for c := range n {
		for range depth {
			s := YMM()
			VXORPS(s, s, s)
			sum[c] = append(sum[c], s)
		}
		if f.mins() {
			mins[c] = YMM()
			VXORPS(mins[c], mins[c], mins[c])
		}
	}
	xp, sp, left := GP64(), GP64(), GP64()
	MOVQ(x, xp)
	MOVQ(scales, sp)
	MOVQ(blocks, left)
	xs, ss := newColumns(xp, xrow, xrow3, n), newColumns(sp, xrow, xrow3, n)

	// one storage block, the u-th of an unrolled loop
	emit := func(u int) {
		b.off = u * f.bytes
		for i := 0; i < f.bytes; i += 64 {
			PREFETCHT0(b.at(ahead + i))
		}
		open := f.open(b)
		if f.kind == pairs { // scale and min times those of x, to be read one by one
			for c := range n {
				for h, o := range open {
					t := YMM()
					VMULPS(ss.at(c, 8*u*f.groups+32*h), o, t)
					VADDPS(t, mins[c], mins[c])
					VMOVUPS(t, b.stack.Offset(64*c+32*h))
				}
			}
		}
		for g := range f.groups {
			e, o := f.load(b, g)
			i := u*f.groups + g
			two := YMM()
			if f.kind == halves {
				VBROADCASTSD(b.stack.Offset(8*g), two)
				VPERMILPS(b.konst("halves"), two, two)
			}
			for c := range n {
				p, q := YMM(), YMM()
				VPMADDWD(xs.at(c, 64*i), e, p)
				if vnni {
					VPDPWSSD(xs.at(c, 64*i+32), o, p)
				} else {
					VPMADDWD(xs.at(c, 64*i+32), o, q)
					VPADDD(q, p, p)
				}
				VCVTDQ2PS(p, p)
				s := YMM()
				switch {
				case f.kind == single:
					VBROADCASTSS(ss.at(c, 8*i), s)
					VMULPS(open[0], s, s)
				case f.kind == eights:
					x := YMM()
					VBROADCASTSS(b.stack.Offset(4*g), s)
					VBROADCASTSS(ss.at(c, 8*i), x)
					VMULPS(x, s, s)
				case f.kind == halves:
					VBROADCASTSS(ss.at(c, 8*i), s)
					VMULPS(two, s, s)
				case f.kind == pair:
					x := XMM()
					VMOVQ(ss.at(c, 8*i), x)
					VMULPS(open[0], x, x)
					VADDPS(x, mins[c].AsX(), mins[c].AsX())
					VBROADCASTSS(x, s)
				default:
					VBROADCASTSS(b.stack.Offset(64*c+8*g), s)
				}
				VFMADD231PS(s, p, sum[c][i%depth])
			}
		}
	}
	step := func(u int) {
		ADDQ(I32(u*f.bytes), w)
		ADDQ(I32(u*f.groups*64), xp)
		ADDQ(I32(u*f.groups*8), sp)
		SUBQ(I32(u), left)
	}
	if f.groups <= 2 {
		unroll := 4 / f.groups
		Label("unrolled")
		CMPQ(left, U8(uint8(unroll)))
		JL(LabelRef("rest"))
		for u := range unroll {
			emit(u)
		}
		step(unroll)
		JMP(LabelRef("unrolled"))
		Label("rest")
		TESTQ(left, left)
		JZ(LabelRef("end"))
		emit(0)
		step(1)
		JMP(LabelRef("rest"))
		Label("end")
	} else {
		Label("block")
		emit(0)
		step(1)
		JNZ(LabelRef("block"))
	}

	out, ldd := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64()) // registers are scarce
	for c := range n {
		s := sum[c][0]
		for _, more := range sum[c][1:] {
			VADDPS(more, s, s)
		}
		if f.mins() {
			mask := "oddlanes"
			if f.kind == pair {
				mask = "lane1"
			}
			VANDPS(constant(mask), mins[c], mins[c])
			VADDPS(mins[c], s, s)
		}
		total := horizontal(s)
		if f.shift > 0 {
			VMULSS(constant(fmt.Sprint("unit", f.shift)), total, total)
		}
		VMOVSS(total, Mem{Base: out})
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

// horizontal is the sum of all lanes, in the lowest one.
func horizontal(y VecVirtual) Register {
	x, t := y.AsX(), XMM()
	VEXTRACTF128(U8(1), y, t)
	VADDPS(t, x, x)
	VMOVHLPS(x, x, t)
	VADDPS(t, x, x)
	VMOVSHDUP(x, t)
	VADDSS(t, x, x)
	return x
}
