package tensor

import (
	"encoding/binary"
	"math"
)

// nf4 and fp4: the 4-bit types of bitsandbytes, 64 numbers in 36 bytes.
//
//	float absmax; u8 q[32]    x = absmax·level[q]
//
// The high nibble of a byte is the first of its two numbers. The levels of nf4
// are quantiles of the normal distribution (Dettmers et al. 2023, QLoRA,
// appendix E), those of fp4 a sign and the twelfths 0, 1/16, 8, 12, 4, 6, 2, 3:
// other floats than E2M1 of mxfp4.
//
// bitsandbytes keeps absmax for 32 to 4096 numbers, apart from the nibbles, and
// may quantise it in turn: package bnb makes these blocks of what it stores.
// Decoders and encoders give the bits of its CPU version (0.50, MIT licence,
// https://github.com/bitsandbytes-foundation/bitsandbytes).
func init() {
	for _, f := range []struct {
		dtype  DType
		name   string
		levels *levels4
	}{{NF4, "nf4", &nf4}, {FP4, "fp4", &fp4}} {
		f.levels.order()
		Register(Format{DType: f.dtype, Name: f.name, BlockLen: 64, BlockBytes: 36, Decode: f.levels.decode, Encode: f.levels.encode})
	}
}

// levels4 are what 16 nibbles stand for, and how a number finds the nearest.
type levels4 struct {
	of     [16]float32
	sorted [16]byte    // nibbles in the order of their levels
	bounds [15]float32 // halfway between those
}

var nf4 = levels4{of: [16]float32{-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
	-0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
	0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1}}

var fp4 = levels4{of: [16]float32{0, 0.0625 / 12., 8 / 12., 1, 4 / 12., 0.5, 2 / 12., 0.25,
	float32(math.Copysign(0, -1)), -0.0625 / 12., -8 / 12., -1, -4 / 12., -0.5, -2 / 12., -0.25}}

// order sorts the levels. Of fp4's two zeros 0 comes first.
func (l *levels4) order() {
	for i := range l.sorted {
		at := i
		for ; at > 0 && l.of[l.sorted[at-1]] > l.of[i]; at-- {
			l.sorted[at] = l.sorted[at-1]
		}
		l.sorted[at] = byte(i)
	}
	for i := range l.bounds {
		l.bounds[i] = (l.of[l.sorted[i]] + l.of[l.sorted[i+1]]) / 2
	}
}

func (l *levels4) decode(dst []float32, src []byte) {
	for ; len(dst) >= 64; dst, src = dst[64:], src[36:] {
		d := math.Float32frombits(binary.LittleEndian.Uint32(src))
		for i, q := range src[4:36] {
			dst[2*i] = d * l.of[q>>4]
			dst[2*i+1] = d * l.of[q&15]
		}
	}
}

func (l *levels4) encode(dst []byte, src []float32) {
	for ; len(src) >= 64; dst, src = dst[36:], src[64:] {
		top := AbsMax(src[:64])
		binary.LittleEndian.PutUint32(dst, math.Float32bits(top))
		inv := 1 / max(top, 1e-38)
		for i := range dst[4:36] {
			dst[4+i] = l.nearest(src[2*i]*inv)<<4 | l.nearest(src[2*i+1]*inv)
		}
	}
}

// nearest is the nibble of the nearest level, of two equally near the lower.
func (l *levels4) nearest(v float32) byte {
	i := 0
	for step := 8; step > 0; step /= 2 {
		if !(l.bounds[i+step-1] >= v) {
			i += step
		}
	}
	return l.sorted[i]
}

// AbsMax is the largest magnitude, NaN if one of x is.
func AbsMax(x []float32) (top float32) {
	for _, v := range x {
		top = max(top, abs(v))
	}
	return top
}
