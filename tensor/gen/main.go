// Command gen generates the assembly of package tensor: the sums that searching
// encoders take at each scale they try, for AVX2. From tensor:
//
//	go generate
//
// Products and sums are rounded one by one and added in the order of the Go
// code, so that blocks are the same on every machine.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	sums("affine", true)
	sums("symmetric", false)
	Generate()
}

// sums writes a function of 8·k numbers x and their weights w.
func sums(name string, affine bool) {
	signature := "x, w *float32, n int, inv, bottom, top float32, sums *[2]float32"
	doc := "gives Σwq² and Σwxq of the levels q = x·inv from bottom to top."
	if affine {
		signature = "x, w *float32, n int, inv, shift, top float32, sums *[3]float32"
		doc = "gives Σwq, Σwq² and Σwxq of the levels q = x·inv + shift from 0 to top."
	}
	TEXT(name+"AVX2", NOSPLIT, "func("+signature+")")
	Doc(name + "AVX2 " + doc)
	Pragma("noescape")
	ptr := func(name string) GPVirtual { return Load(Param(name), GP64()).(GPVirtual) }
	x, w, n, out := ptr("x"), ptr("w"), ptr("n"), ptr("sums")
	all := func(name string) VecVirtual {
		a, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		v := YMM()
		VBROADCASTSS(a.Addr, v)
		return v
	}
	zero := func() VecVirtual {
		v := YMM()
		VXORPS(v, v, v)
		return v
	}
	inv, top := all("inv"), all("top")
	var shift, bottom VecVirtual
	if affine {
		shift, bottom = all("shift"), zero()
	} else {
		bottom = all("bottom")
	}
	acc := []VecVirtual{zero(), zero()}
	if affine {
		acc = append(acc, zero())
	}
	Label("eight")
	v, q, wq, t := YMM(), YMM(), YMM(), YMM()
	VMOVUPS(Mem{Base: x}, v)
	VMULPS(v, inv, q)
	if affine {
		VADDPS(q, shift, q)
	}
	VROUNDPS(U8(0), q, q) // to the nearest, halves to even
	VMINPS(top, q, q)
	VMAXPS(bottom, q, q)
	VMULPS(Mem{Base: w}, q, wq)
	if affine {
		VADDPS(wq, acc[2], acc[2])
	}
	VMULPS(q, wq, t)
	VADDPS(t, acc[0], acc[0])
	VMULPS(v, wq, t)
	VADDPS(t, acc[1], acc[1])
	ADDQ(I32(32), x)
	ADDQ(I32(32), w)
	SUBQ(I32(8), n)
	JG(LabelRef("eight"))
	for i, a := range acc {
		at := 4 * i
		if affine { // Σwq comes first
			at = 4 * ((i + 1) % 3)
		}
		hi := XMM()
		VEXTRACTF128(U8(1), a, hi)
		VADDPS(hi, a.AsX(), hi) // lanes i and i+4
		other := XMM()
		VMOVHLPS(hi, hi, other)
		VADDPS(other, hi, hi) // and i+2
		VMOVSHDUP(hi, other)
		VADDSS(other, hi, hi) // and i+1
		VMOVSS(hi, Mem{Base: out, Disp: at})
	}
	VZEROUPPER()
	RET()
}
