package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// quantise emits the preparation of activations: for each 32 columns, words
// q = round(x/scale) with the largest |q| = 16383, even columns first; behind
// the words of the whole row, pairs of float32 (scale, scale·Σq).
func quantise() {
	TEXT("quantiseAVX2", NOSPLIT, "func(dst *byte, x *float32, groups int)")
	Doc("quantiseAVX2 makes the words and scales of groups times 32 numbers.")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	groups := Load(Param("groups"), GP64())
	scales := GP64()
	MOVQ(groups, scales)
	SHLQ(U8(6), scales)
	ADDQ(dst, scales)
	abs, evens, weave, one, most, least := YMM(), YMM(), YMM(), YMM(), XMM(), XMM()
	VMOVDQU(constant("abs"), abs)
	VMOVDQU(constant("evens"), evens)
	VMOVDQU(constant("weave"), weave)
	VMOVDQU(constant("ones"), one)
	VMOVSS(constant("most"), most)
	VMOVSS(constant("least"), least)

	Label("group")
	v, scale, inv := scaled32(x, abs, most, least)
	for i := range v {
		VMULPS(inv, v[i], v[i])
		VCVTPS2DQ(v[i], v[i])
	}
	a, b := YMM(), YMM()
	VPACKSSDW(v[1], v[0], a)
	VPACKSSDW(v[3], v[2], b)
	sum, sumB := YMM(), YMM()
	VPMADDWD(one, a, sum)
	VPMADDWD(one, b, sumB)
	VPADDD(sumB, sum, sum)
	for _, r := range []VecVirtual{a, b} { // even words to the lower half, odd ones to the upper
		VPSHUFB(evens, r, r)
		VPERMD(r, weave, r)
	}
	e, o := YMM(), YMM()
	VPERM2I128(U8(0x20), b, a, e)
	VPERM2I128(U8(0x31), b, a, o)
	VMOVDQU(e, Mem{Base: dst})
	VMOVDQU(o, Mem{Base: dst, Disp: 32})

	s, u := sum.AsX(), XMM()
	VEXTRACTI128(U8(1), sum, u)
	VPADDD(u, s, s)
	VPSHUFD(U8(0x4e), s, u)
	VPADDD(u, s, s)
	VPSHUFD(U8(0xb1), s, u)
	VPADDD(u, s, s)
	VCVTDQ2PS(s, s)
	VMULSS(scale, s, s)
	VMOVSS(scale, Mem{Base: scales})
	VMOVSS(s, Mem{Base: scales, Disp: 4})
	ADDQ(I8(64), dst)
	ADDQ(I32(128), x)
	ADDQ(I8(8), scales)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// scaled32 loads 32 numbers, and finds the scale that makes the largest most,
// and its inverse.
func scaled32(x Register, abs VecVirtual, most, least VecVirtual) (v [4]VecVirtual, scale, inv VecVirtual) {
	top := YMM()
	for i := range v {
		v[i] = YMM()
		VMOVUPS(Mem{Base: x, Disp: 32 * i}, v[i])
		if i == 0 {
			VANDPS(abs, v[i], top)
			continue
		}
		t := YMM()
		VANDPS(abs, v[i], t)
		VPMAXSD(t, top, top)
	}
	m, t := top.AsX(), XMM() // as integers, so that NaN is the largest and spoils the scale
	VEXTRACTF128(U8(1), top, t)
	VPMAXSD(t, m, m)
	VMOVHLPS(m, m, t)
	VPMAXSD(t, m, m)
	VMOVSHDUP(m, t)
	VPMAXSD(t, m, m)
	VPMAXSD(least, m, m) // no division by zero
	scale, inv = XMM(), YMM()
	inverse := XMM()
	VDIVSS(most, m, scale)
	VDIVSS(m, most, inverse)
	VBROADCASTSS(inverse, inv)
	return v, scale, inv
}
