package tensor

import (
	"encoding/binary"
	"math"
)

// What the quantised formats have in common. A format's file states the
// layout of its block and how a number x follows from it. The layouts are
// those of ggml (MIT licence), ggml/src/ggml-common.h and ggml-quants.c in
// https://github.com/ggml-org/llama.cpp.
//
// Products are rounded to float32 before a sum wherever the result of a
// decoder depends on it: a compiler may fuse the two otherwise, and numbers
// would differ from machine to machine.

// superLen is how many numbers a block of the k, iq and tq formats holds.
const superLen = 256

func half(b []byte) float32 { return HalfToFloat(binary.LittleEndian.Uint16(b)) }

func putHalf(b []byte, v float32) { binary.LittleEndian.PutUint16(b, FloatToHalf(v)) }

// inverse is 1/d, and 0 for 0: a block of zeros stays one.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// largest is the number of x with the largest magnitude, the first of equals.
func largest(x []float32) float32 {
	var most, of float32
	for _, v := range x {
		if a := abs(v); a > most {
			most, of = a, v
		}
	}
	return of
}

// ends are the smallest and the largest number of x.
func ends(x []float32) (lo, hi float32) {
	lo, hi = x[0], x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

func abs(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

// away rounds to the nearest integer, halves away from zero, as C's roundf.
func away(v float32) int { return int(math.Round(float64(v))) }

// even rounds to the nearest integer, halves to the even one.
func even(v float32) int { return int(math.RoundToEven(float64(v))) }

// level cuts the fraction of v off, and clamps it to 0…top.
func level(v float32, top int32) uint8 { return uint8(min(max(int32(v), 0), top)) }
