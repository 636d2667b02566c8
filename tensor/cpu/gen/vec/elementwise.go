package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func (s isa) elementwise() {
	zip := func(name, doc string, f func(a Op, b, dst Op)) {
		s.routine(name, "dst, a, b *float32, n int", doc)
		dst, a, b, n := ptr("dst"), ptr("a"), ptr("b"), ptr("n")
		step := func(count int) {
			for i := range count {
				v := s.load(at(a, i*s.bytes()))
				f(at(b, i*s.bytes()), v, v)
				VMOVUPS(v, at(dst, i*s.bytes()))
			}
			for _, p := range []Op{a, b, dst} {
				ADDQ(I32(count*s.bytes()), p)
			}
		}
		loop("four", n, 4*s.lanes, func() { step(4) })
		loop("one", n, s.lanes, func() { step(1) })
		VZEROUPPER()
		RET()
	}
	zip("add", "sets dst = a + b.", func(b, a, d Op) { VADDPS(b, a, d) })
	zip("mul", "sets dst = a · b.", func(b, a, d Op) { VMULPS(b, a, d) })

	s.routine("scale", "dst, x *float32, n int, f float32", "sets dst = x · f.")
	dst, x, n, f := ptr("dst"), ptr("x"), ptr("n"), s.param("f")
	loop("one", n, s.lanes, func() {
		v := s.vec()
		VMULPS(at(x, 0), f, v)
		VMOVUPS(v, at(dst, 0))
		ADDQ(I32(s.bytes()), x)
		ADDQ(I32(s.bytes()), dst)
	})
	VZEROUPPER()
	RET()

	s.routine("scaleMul", "dst, x, w *float32, n int, f float32", "sets dst = x · f · w.")
	dst, x, n, f = ptr("dst"), ptr("x"), ptr("n"), s.param("f")
	w := ptr("w")
	loop("one", n, s.lanes, func() {
		v := s.vec()
		VMULPS(at(x, 0), f, v)
		VMULPS(at(w, 0), v, v)
		VMOVUPS(v, at(dst, 0))
		ADDQ(I32(s.bytes()), x)
		ADDQ(I32(s.bytes()), w)
		ADDQ(I32(s.bytes()), dst)
	})
	VZEROUPPER()
	RET()

	s.reduction("sumSq", "is Σx².", s.zero, func(x Op, acc VecVirtual) {
		v := s.load(x)
		VFMADD231PS(v, v, acc)
	}, addPS)
	s.reduction("max", "is the largest number; NaN is passed over.", func() VecVirtual { return s.load(constant(math.Inf(-1))) },
		func(x Op, acc VecVirtual) { // the processor returns its second source, our first, when one is NaN
			v := s.load(x)
			VMAXPS(acc, v, acc)
		}, maxPS)
}

// reduction folds a row with four partial results a lane.
func (s isa) reduction(name, doc string, start func() VecVirtual, step func(x Op, acc VecVirtual), join func(ops ...Op)) {
	s.routine(name, "x *float32, n int) (y float32", doc)
	x, n := ptr("x"), ptr("n")
	var acc [4]VecVirtual
	for i := range acc {
		acc[i] = start()
	}
	loop("four", n, 4*s.lanes, func() {
		for i := range acc {
			step(at(x, i*s.bytes()), acc[i])
		}
		ADDQ(I32(4*s.bytes()), x)
	})
	loop("one", n, s.lanes, func() {
		step(at(x, 0), acc[0])
		ADDQ(I32(s.bytes()), x)
	})
	join(acc[1], acc[0], acc[0])
	join(acc[3], acc[2], acc[2])
	join(acc[2], acc[0], acc[0])
	Store(s.fold(acc[0], join), Return("y"))
	VZEROUPPER()
	RET()
}
