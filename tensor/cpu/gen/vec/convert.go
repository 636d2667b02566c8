package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func (s isa) convert() {
	s.routine("fromHalf", "dst *float32, src *uint16, n int", "widens binary16.")
	dst, src, n := ptr("dst"), ptr("src"), ptr("n")
	loop("one", n, s.lanes, func() {
		VMOVUPS(s.halves(at(src, 0)), at(dst, 0))
		ADDQ(I32(s.bytes()/2), src)
		ADDQ(I32(s.bytes()), dst)
	})
	VZEROUPPER()
	RET()

	s.routine("toHalf", "dst *uint16, src *float32, n int", "rounds to binary16, ties to even.")
	dst, src, n = ptr("dst"), ptr("src"), ptr("n")
	loop("one", n, s.lanes, func() {
		VCVTPS2PH(Imm(0), s.load(at(src, 0)), at(dst, 0))
		ADDQ(I32(s.bytes()), src)
		ADDQ(I32(s.bytes()/2), dst)
	})
	VZEROUPPER()
	RET()

	s.routine("fromQ8", "dst *float32, src *byte, blocks int", "decodes blocks of q8_0: half d; int8 q[32].")
	dst, src, n = ptr("dst"), ptr("src"), ptr("blocks")
	loop("one", n, 1, func() {
		h, d := XMM(), s.vec()
		VPBROADCASTW(at(src, 0), h)
		VCVTPH2PS(h, h)
		VBROADCASTSS(h, d)
		for i := 0; i < 32; i += s.lanes {
			v := s.vec()
			VPMOVSXBD(at(src, 2+i), v)
			VCVTDQ2PS(v, v)
			VMULPS(d, v, v)
			VMOVUPS(v, at(dst, 4*i))
		}
		ADDQ(Imm(34), src)
		ADDQ(Imm(128), dst)
	})
	VZEROUPPER()
	RET()
}

func (s isa) rope() {
	s.routine("turn", "dst, x, cos, sin *float32, n int", "rotates n pairs of neighbours.")
	dst, x, cos, sin, n := ptr("dst"), ptr("x"), ptr("cos"), ptr("sin"), ptr("n")
	loop("one", n, s.lanes/2, func() {
		c, sn, v, w := s.vec(), s.vec(), s.load(at(x, 0)), s.vec()
		for _, t := range []struct{ p, v Op }{{at(cos, 0), c}, {at(sin, 0), sn}} { // each number twice
			VPMOVZXDQ(t.p, t.v)
			VMOVSLDUP(t.v, t.v)
		}
		VPERMILPS(Imm(0xb1), v, w) // neighbours swapped
		VMULPS(sn, w, w)
		VFMADDSUB213PS(w, c, v) // even: v·c - w, odd: v·c + w
		VMOVUPS(v, at(dst, 0))
		ADDQ(I32(s.bytes()), x)
		ADDQ(I32(s.bytes()), dst)
		ADDQ(I32(s.bytes()/2), cos)
		ADDQ(I32(s.bytes()/2), sin)
	})
	VZEROUPPER()
	RET()

	s.routine("turnHalf", "dst, x, cos, sin *float32, n, half int", "rotates n pairs of numbers that are half apart.")
	dst, x, cos, sin, n = ptr("dst"), ptr("x"), ptr("cos"), ptr("sin"), ptr("n")
	half := ptr("half")
	loop("one", n, s.lanes, func() {
		b := Mem{Base: x, Index: half, Scale: 4}
		u, v := s.vec(), s.vec()
		c, sn, va, vb := s.load(at(cos, 0)), s.load(at(sin, 0)), s.load(at(x, 0)), s.load(b)
		VMULPS(sn, vb, u)
		VFMSUB231PS(c, va, u) // a·c - b·s
		VMULPS(sn, va, v)
		VFMADD231PS(c, vb, v) // b·c + a·s
		VMOVUPS(u, at(dst, 0))
		VMOVUPS(v, Mem{Base: dst, Index: half, Scale: 4})
		for _, p := range []Op{x, dst, cos, sin} {
			ADDQ(I32(s.bytes()), p)
		}
	})
	VZEROUPPER()
	RET()
}
