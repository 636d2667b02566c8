// Command vec generates the assembly of package tensor/cpu/vec, once for AVX2
// with FMA and F16C and once for AVX-512 (F, BW, DQ, VL). From tensor/cpu/vec:
//
//	go generate
//
// Every routine takes whole vectors only: package vec does the rest in Go.
package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// An isa is an instruction set. Its methods are the few places where the two
// differ.
type isa struct {
	name  string
	lanes int // float32 in a vector
}

var (
	avx2   = isa{"AVX2", 8}
	avx512 = isa{"AVX512", 16}
)

func main() {
	ConstraintExpr("amd64")
	for _, s := range []isa{avx2, avx512} {
		s.elementwise()
		s.functions()
		s.convert()
		s.rope()
		s.softmax()
		s.attention()
	}
	Generate()
}

func (s isa) vec() VecVirtual {
	if s.lanes == 16 {
		return ZMM()
	}
	return YMM()
}

// bytes is the size of a vector.
func (s isa) bytes() int { return 4 * s.lanes }

// routine begins a function of the given signature.
func (s isa) routine(name, signature, doc string) {
	TEXT(name+s.name, NOSPLIT, "func("+signature+")")
	Doc(name + s.name + " " + doc)
	Pragma("noescape")
}

func ptr(name string) GPVirtual { return Load(Param(name), GP64()).(GPVirtual) }

func at(p Register, disp int) Mem { return Mem{Base: p, Disp: disp} }

// loop runs body n/step times for a register n that counts down.
func loop(label string, n Register, step int, body func()) {
	Label(label)
	CMPQ(n, I32(step))
	JL(LabelRef(label + "_end"))
	body()
	SUBQ(I32(step), n)
	JMP(LabelRef(label))
	Label(label + "_end")
}

func (s isa) zero() VecVirtual {
	v := s.vec()
	s.clear(v)
	return v
}

func (s isa) clear(v VecVirtual) {
	if s.lanes == 16 {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

func (s isa) load(m Op) VecVirtual {
	v := s.vec()
	VMOVUPS(m, v)
	return v
}

// broadcast loads a parameter or memory into all lanes.
func (s isa) broadcast(m Op) VecVirtual {
	v := s.vec()
	VBROADCASTSS(m, v)
	return v
}

func (s isa) param(name string) VecVirtual {
	a, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return s.broadcast(a.Addr)
}

// halves loads binary16 and widens it.
func (s isa) halves(m Op) VecVirtual {
	v := s.vec()
	VCVTPH2PS(m, v)
	return v
}

var constants = map[uint32]Mem{}

// constant is 16 times a number in memory: an operand of either instruction set.
func constant(f float64) Mem {
	bits := math.Float32bits(float32(f))
	m, ok := constants[bits]
	if !ok {
		m = GLOBL(hex(bits), RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(bits))
		}
		constants[bits] = m
	}
	return m
}

func hex(b uint32) string {
	const digits = "0123456789abcdef"
	s := []byte("c00000000")
	for i := 8; i > 0; i-- {
		s[i] = digits[b&15]
		b >>= 4
	}
	return string(s)
}

// fold adds (or combines) all lanes of v into the lowest.
func (s isa) fold(v VecVirtual, with func(ops ...Op)) Register {
	y := YMM()
	if s.lanes == 16 {
		VEXTRACTF64X4(Imm(1), v, y)
		with(y, v.AsY(), y)
	} else {
		VMOVAPS(v, y)
	}
	x, t := XMM(), XMM()
	VEXTRACTF128(Imm(1), y, x)
	with(y.AsX(), x, x)
	VMOVHLPS(x, x, t)
	with(t, x, x)
	VMOVSHDUP(x, t)
	with(t, x, x)
	return x
}

func addPS(ops ...Op) { VADDPS(ops...) }
func maxPS(ops ...Op) { VMAXPS(ops...) }
