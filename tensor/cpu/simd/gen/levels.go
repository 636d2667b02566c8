package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A table is the levels of a 4-bit type as integers: level·unit in unpack, the
// same with three bits more in dot.
type table struct {
	name  string
	unit  float64
	level [16]float64
}

// nf4 and fp4 are in tensor/nf4.go. Of all units whose integers are at most
// ±4096, that of nf4 has the least error, 9e-9 of the mean square; fp4's levels
// are 1/192 of integers.
var (
	nf4 = table{"nf4", 3735, [16]float64{-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
		-0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
		0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1}}
	fp4 = table{"fp4", 4032, [16]float64{0, 1. / 192, 2. / 3, 1, 1. / 3, 1. / 2, 1. / 6, 1. / 4,
		0, -1. / 192, -2. / 3, -1, -1. / 3, -1. / 2, -1. / 6, -1. / 4}}
)

func init() {
	for _, t := range []table{nf4, fp4} {
		constants[t.name+"unit"] = float(float32(1 / t.unit))
		for kind, unit := range map[string]float64{"": 8 * t.unit, "exact": t.unit} {
			word := func(i int) uint16 { return uint16(int16(math.Round(unit * t.level[i]))) }
			constants[t.name+kind+"words"] = word
			part := func(shift int) func(i int) uint16 { // bytes of the words, both halves alike
				return func(i int) uint16 {
					return word(i%8*2)>>shift&0xff | word(i%8*2+1)>>shift<<8
				}
			}
			constants[t.name+kind+"low"], constants[t.name+kind+"high"] = part(0), part(8)
		}
	}
}

// openLevels: a float32 at byte 0 and the table's unit.
func openLevels(t table) func(b *block) []VecVirtual { return openFloat(t.name + "unit") }

// openFloat: a float32 scale at byte 0, times a constant.
func openFloat(unit string) func(b *block) []VecVirtual {
	return func(b *block) []VecVirtual {
		y := YMM()
		VBROADCASTSS(b.at(0), y)
		VMULPS(b.konst(unit), y, y)
		return []VecVirtual{y}
	}
}

// levels: 16 bytes at byte i hold even columns in their high, odd ones in their
// low nibbles, which are indices of the table.
func levels(b *block, t table, i int) (e, o VecVirtual) {
	if b.exact {
		t.name += "exact"
	}
	e, o = YMM(), YMM()
	if b.vnni { // looks at the low four bits of a word
		VPMOVZXBW(b.at(i), o)
		VPSRLW(U8(4), o, e)
		VPERMW(b.konst(t.name+"words"), e, e)
		VPERMW(b.konst(t.name+"words"), o, o)
		return e, o
	}
	q, low, high := YMM(), YMM(), YMM() // eight even and the same eight odd columns in each half
	VPBROADCASTQ(b.at(i), low)
	VPBROADCASTQ(b.at(i+8), high)
	VPBLENDD(U8(0xf0), high, low, q)
	VPSRLVQ(b.konst("lanes40"), q, q)
	VPAND(b.konst("nibbles"), q, q)
	for _, r := range []struct {
		name string
		dst  VecVirtual
	}{{"low", low}, {"high", high}} {
		table := b.konst(t.name + r.name)
		if m, ok := table.(Mem); ok {
			table = YMM()
			VMOVDQU(m, table)
		}
		VPSHUFB(q, table, r.dst)
	}
	VPUNPCKLBW(high, low, e)
	VPUNPCKHBW(high, low, o)
	return e, o
}
