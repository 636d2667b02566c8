package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// constants of 32 bytes, as words.
var constants = map[string]func(i int) uint16{
	"zero":       func(int) uint16 { return 0 },
	"nibble":     func(int) uint16 { return 15 },
	"bit4":       func(int) uint16 { return 16 },
	"minus16":    func(int) uint16 { return 0xfff0 },
	"flip4":      func(int) uint16 { return 0x8888 },
	"flip2":      func(int) uint16 { return 0xaaaa },
	"top2":       func(int) uint16 { return 0xc000 },
	"top4":       func(int) uint16 { return 0xf000 },
	"top6":       func(int) uint16 { return 0xfc00 },
	"bits10to13": func(int) uint16 { return 0x3c00 },
	"low4":       func(i int) uint16 { return []uint16{4, 0}[i/8] * uint16(1-i%2) },
	"all":        func(int) uint16 { return 0xffff },
	"nibbles":    func(int) uint16 { return 0x0f0f },
	"twos":       func(int) uint16 { return 0x0303 },
	"byte32":     func(int) uint16 { return 0x2020 },
	"dword32":    func(i int) uint16 { return 32 * uint16(1-i%2) },
	"by2":        func(i int) uint16 { return uint16(i) * uint16(1-i%2) },
	"by4":        func(i int) uint16 { return uint16(2*i) * uint16(1-i%2) },
	"top3":       func(int) uint16 { return 0xe000 },
	"top8":       func(int) uint16 { return 0xff00 },
	"bit15":      func(int) uint16 { return 0x8000 },
	"bits13to14": func(int) uint16 { return 0x6000 },
	"unit3":      float(1.0 / (1 << 3)),
	"unit8":      float(1.0 / (1 << 8)),
	"unit13":     float(1.0 / (1 << 13)),
	"iq4": func(i int) uint16 { // kvalues_iq4nl of ggml-common.h
		v := []int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
		return uint16(uint8(v[i%8*2])) | uint16(uint8(v[i%8*2+1]))<<8
	},
	"inv127":   float(1. / 127),
	"lanes40":  func(i int) uint16 { return []uint16{4, 0, 0, 0, 0, 0, 0, 0}[i%8] }, // qwords: 4 in the even ones, 0 in the odd
	"halves":   func(i int) uint16 { return []uint16{0, 1}[i/8] * uint16(1-i%2) },   // dword indices
	"evenbit":  func(i int) uint16 { return 1 << (i % 8 * 2) },
	"oddbit":   func(i int) uint16 { return 2 << (i % 8 * 2) },
	"lanes4":   func(i int) uint16 { return []uint16{0, 4}[i/8] * uint16(1-i%2) }, // dwords: 0 in the lower half, 4 in the upper
	"pair":     func(i int) uint16 { return []uint16{0x0100, 0x0302}[i/8] },       // shuffle: word 0 to the lower half, word 1 to the upper
	"oddlanes": func(i int) uint16 { return []uint16{0, 0xffff}[i/2%2] },
	"lane1":    func(i int) uint16 { return []uint16{0, 0xffff, 0, 0, 0, 0, 0, 0}[i/2] },
	"negodd":   func(i int) uint16 { return []uint16{0, 0, 0, 0x8000}[i%4] },
	"abs":      func(i int) uint16 { return []uint16{0xffff, 0x7fff}[i%2] },
	"weave4":   func(i int) uint16 { return uint16(i%8+i%8/4*4) | uint16(i%8+i%8/4*4+4)<<8 }, // bytes: 0 4 1 5 … 8 12 9 13 …
	"byte16":   func(int) uint16 { return 0x1010 },
	"byte48":   func(int) uint16 { return 0x3030 },
	"add32":    float(32),
	"most8":    float(127),
	"ones":     func(int) uint16 { return 1 },
	"most":     float(16383),
	"least":    float(1e-30),
	"unit10":   float(1.0 / (1 << 10)),
	"unit12":   float(1.0 / (1 << 12)),
	// of the words 0-3 8-11 | 4-7 12-15: even ones first
	"evens": func(i int) uint16 {
		b := []uint16{0, 4, 8, 12, 2, 6, 10, 14}[i%8]
		return b | (b+1)<<8
	},
	"weave": func(i int) uint16 { return []uint16{0, 4, 1, 5, 2, 6, 3, 7}[i/2] * uint16(1-i%2) }, // dword indices
}

// float is one number in all lanes.
func float(f float32) func(i int) uint16 {
	return func(i int) uint16 { return uint16(math.Float32bits(f) >> (16 * (i % 2))) }
}

var made = map[string]Mem{}

func constant(name string) Mem {
	if m, ok := made[name]; ok {
		return m
	}
	value, ok := constants[name]
	if !ok {
		panic("gen: no constant " + name)
	}
	m := GLOBL(name, 0x8|0x10) // RODATA|NOPTR
	for i := 0; i < 16; i += 4 {
		var q uint64
		for j := range 4 {
			q |= uint64(value(i+j)) << (16 * j)
		}
		DATA(2*i, U64(q))
	}
	made[name] = m
	return m
}
