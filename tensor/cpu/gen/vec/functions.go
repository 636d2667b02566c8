package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// exp makes x exp(x), to 2e-7 of its value, with Cephes' polynomial for expf
// (Moshier): x = n·ln 2 + r. Below -87.3 the result is 0 with AVX2 and
// denormal with AVX-512; above 88.7 it is +Inf with AVX-512 and large with
// AVX2, where nothing is taken to exp that is not negative or about to be
// divided by. NaN stays NaN.
func (s isa) exp(x VecVirtual) {
	wide := s.lanes == 16
	lo, hi := -87.33, 88.37
	if wide {
		lo, hi = -110, 89
	}
	n, p, top := s.vec(), s.vec(), s.vec()
	var keep VecVirtual
	if !wide {
		keep = s.vec()
		VMOVUPS(constant(lo), keep)
		VCMPPS(Imm(0x1a), x, keep, keep) // not lo > x
	}
	// A bound that is the first source loses against NaN, which comes second.
	VMOVUPS(constant(lo), top)
	VMAXPS(x, top, x)
	VMOVUPS(constant(hi), top)
	VMINPS(x, top, x)
	VMULPS(constant(math.Log2E), x, n)
	if wide {
		VRNDSCALEPS(Imm(8), n, n)
	} else {
		VROUNDPS(Imm(8), n, n)
	}
	VFNMADD231PS(constant(0.693359375), n, x)
	VFNMADD231PS(constant(-2.12194440e-4), n, x)
	VMOVUPS(constant(1.9875691500e-4), p)
	for _, c := range []float64{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, 1} {
		VFMADD213PS(constant(c), x, p)
	}
	if wide {
		VSCALEFPS(n, p, x)
		return
	}
	VCVTPS2DQ(n, n)
	VPSLLD(Imm(23), n, n)
	VPADDD(n, p, x)
	VANDPS(keep, x, x)
}

// sigmoid makes x 1/(1+exp(-x)).
func (s isa) sigmoid(x VecVirtual) {
	s.negate(x)
	s.exp(x)
	VADDPS(constant(1), x, x)
	one := s.load(constant(1))
	VDIVPS(x, one, x)
}

func (s isa) negate(x VecVirtual) {
	if s.lanes == 16 {
		VPXORD(constant(math.Copysign(0, -1)), x, x)
	} else {
		VXORPS(constant(math.Copysign(0, -1)), x, x)
	}
}

func (s isa) functions() {
	gated := func(name, doc string, f func(x VecVirtual)) {
		s.routine(name, "dst, x, y *float32, n int", doc)
		dst, x, y, n := ptr("dst"), ptr("x"), ptr("y"), ptr("n")
		loop("one", n, s.lanes, func() {
			v := s.load(at(x, 0))
			f(v)
			VMULPS(at(y, 0), v, v)
			VMOVUPS(v, at(dst, 0))
			for _, p := range []Op{x, y, dst} {
				ADDQ(I32(s.bytes()), p)
			}
		})
		VZEROUPPER()
		RET()
	}
	gated("silu", "sets dst = x·sigmoid(x) · y.", func(x VecVirtual) {
		v := s.copy(x)
		s.sigmoid(v)
		VMULPS(v, x, x)
	})
	gated("gelu", "sets dst = gelu(x) · y = x·sigmoid(2√(2/π)(x+0.044715x³)) · y.", func(x VecVirtual) {
		c := 2 * math.Sqrt(2/math.Pi)
		v := s.vec()
		VMULPS(x, x, v)
		VMULPS(constant(c*0.044715), v, v)
		VADDPS(constant(c), v, v)
		VMULPS(x, v, v)
		s.sigmoid(v)
		VMULPS(v, x, x)
	})

	s.geluErf()

	s.routine("tanhCap", "dst, x *float32, n int, cap, inverse float32", "sets dst = cap·tanh(x·inverse).")
	dst, x, n, limit, inverse := ptr("dst"), ptr("x"), ptr("n"), s.param("cap"), s.param("inverse")
	loop("one", n, s.lanes, func() {
		v := s.load(at(x, 0))
		VMULPS(inverse, v, v)
		s.tanh(v)
		VMULPS(limit, v, v)
		VMOVUPS(v, at(dst, 0))
		ADDQ(I32(s.bytes()), x)
		ADDQ(I32(s.bytes()), dst)
	})
	VZEROUPPER()
	RET()

	s.routine("expSum", "dst, x *float32, n int, sub float32) (sum float32", "sets dst = exp(x-sub) and returns their sum.")
	dst, x, n = ptr("dst"), ptr("x"), ptr("n")
	sub, sum := s.param("sub"), s.zero()
	loop("one", n, s.lanes, func() {
		v := s.load(at(x, 0))
		VSUBPS(sub, v, v)
		s.exp(v)
		VMOVUPS(v, at(dst, 0))
		VADDPS(v, sum, sum)
		ADDQ(I32(s.bytes()), x)
		ADDQ(I32(s.bytes()), dst)
	})
	Store(s.fold(sum, addPS), Return("sum"))
	VZEROUPPER()
	RET()
}

func (s isa) copy(x VecVirtual) VecVirtual {
	v := s.vec()
	VMOVAPS(x, v)
	return v
}

// tanh is 1-2/(1+exp(2x)) where |x| >= 0.625, and Cephes' polynomial below,
// where that would cancel.
func (s isa) tanh(x VecVirtual) {
	far := s.vec()
	VADDPS(x, x, far)
	s.sigmoid(far)
	VADDPS(far, far, far)
	VSUBPS(constant(1), far, far)

	z, p := s.vec(), s.vec()
	VMULPS(x, x, z)
	VMOVUPS(constant(-5.70498872745e-3), p)
	for _, c := range []float64{2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1} {
		VFMADD213PS(constant(c), z, p)
	}
	VMULPS(z, p, p)
	VFMADD213PS(x, x, p) // x + x·p
	if s.lanes == 16 {
		k := K()
		VCMPPS(Imm(1), constant(0.625*0.625), z, k) // z < c
		VBLENDMPS(p, far, k, x)
		return
	}
	VCMPPS(Imm(1), constant(0.625*0.625), z, z)
	VBLENDVPS(z, p, far, x)
}

// softmax generates soften: the columns of a block of scores, a vector of
// columns at a time.
func (s isa) softmax() {
	s.routine("soften", "s *float32, keys, n int, scale float32, max, sum, factor *float32",
		"is Soften of n columns, a multiple of the vector.")
	base, n, scale := ptr("s"), ptr("n"), s.param("scale")
	maxes, sums, factors := ptr("max"), ptr("sum"), ptr("factor")
	stride := GP64()
	MOVQ(n, stride)
	SHLQ(Imm(2), stride)
	loop("columns", n, s.lanes, func() {
		p, keys := GP64(), GP64()
		old := s.load(at(maxes, 0))
		top := s.copy(old)
		MOVQ(base, p)
		Load(Param("keys"), keys)
		loop("peak", keys, 1, func() {
			v := s.vec()
			VMULPS(at(p, 0), scale, v)
			VMAXPS(top, v, top)
			ADDQ(stride, p)
		})
		VMOVUPS(top, at(maxes, 0))
		ref := s.reference(top)
		VSUBPS(ref, old, old)
		s.exp(old)
		VMOVUPS(old, at(factors, 0))
		sum := s.vec()
		VMULPS(at(sums, 0), old, sum)
		MOVQ(base, p)
		Load(Param("keys"), keys)
		loop("exp", keys, 1, func() {
			v := s.vec()
			VMULPS(at(p, 0), scale, v)
			VSUBPS(ref, v, v)
			s.exp(v)
			VMOVUPS(v, at(p, 0))
			VADDPS(v, sum, sum)
			ADDQ(stride, p)
		})
		VMOVUPS(sum, at(sums, 0))
		for _, p := range []Op{base, maxes, sums, factors} {
			ADDQ(I32(s.bytes()), p)
		}
	})
	VZEROUPPER()
	RET()
}

// reference is top, or 0 where top is -Inf: exp(-Inf-0) is the 0 that masked
// scores should give, where exp(-Inf+Inf) is NaN.
func (s isa) reference(top VecVirtual) VecVirtual {
	ref := s.vec()
	if s.lanes == 16 {
		k := K()
		VCMPPS(Imm(4), constant(math.Inf(-1)), top, k) // not equal
		VMOVAPS_Z(top, k, ref)
		return ref
	}
	VCMPPS(Imm(4), constant(math.Inf(-1)), top, ref)
	VANDPS(top, ref, ref)
	return ref
}

// geluErf is max(x, 0) - |x|·erfc(|x|/√2)/2, where the complement of the error
// function is Chebyshev's fit to 1.2e-7 of its value (Press et al., Numerical
// Recipes, erfcc): erfc(z) = t·exp(-z²+P(t)), t = 1/(1+z/2).
func (s isa) geluErf() {
	s.routine("geluErf", "dst, x *float32, n int", "sets dst = x·erfc(-x/√2)/2.")
	dst, x, n := ptr("dst"), ptr("x"), ptr("n")
	loop("one", n, s.lanes, func() {
		v := s.load(at(x, 0))
		z, r, t, p := s.copy(v), s.zero(), s.vec(), s.vec()
		s.negate(z)
		VMAXPS(v, z, z)
		VMAXPS(v, r, r)
		VMOVUPS(constant(20), t) // beyond, erfc is 0
		VMINPS(z, t, z)
		VMULPS(constant(0.5*math.Sqrt2/2), z, p)
		VADDPS(constant(1), p, p)
		VMOVUPS(constant(1), t)
		VDIVPS(p, t, t)
		VMOVUPS(constant(0.17087277), p)
		for _, c := range []float64{-0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223} {
			VFMADD213PS(constant(c), t, p)
		}
		VMULPS(z, z, v)
		VFNMADD231PS(constant(0.5), v, p)
		s.exp(p)
		VMULPS(t, p, p)
		VMULPS(z, p, p)
		VFNMADD231PS(constant(0.5), p, r)
		VMOVUPS(r, at(dst, 0))
		ADDQ(I32(s.bytes()), x)
		ADDQ(I32(s.bytes()), dst)
	})
	VZEROUPPER()
	RET()
}
