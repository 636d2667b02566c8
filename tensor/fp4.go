package tensor

import "math"

// mxfp4 and nvfp4: 4-bit floats E2M1 (a sign, 2 exponent bits, 1 of fraction)
// that share a scale.
//
// mxfp4 is of the OCP Microscaling Formats specification 1.0: 32 numbers in 17
// bytes. nvfp4 is NVIDIA's: 64 numbers in 36 bytes, a scale for each 16.
//
//	mxfp4: u8 e; u8 q[16]          x = 2^(e − 127)·E2M1(q)
//	nvfp4: u8 s[4]; u8 q[4][8]     x = UE4M3(s)·E2M1(q)
//
// The low nibbles of a group are its first half, the high ones its second.
// The table holds doubled values and the scales are halved, so that a decoder
// multiplies with integers.
func init() {
	Register(Format{DType: MXFP4, Name: "mxfp4", BlockLen: 32, BlockBytes: 17, Decode: decodeMXFP4, Encode: encodeMXFP4})
	Register(Format{DType: NVFP4, Name: "nvfp4", BlockLen: 64, BlockBytes: 36, Decode: decodeNVFP4, Encode: encodeNVFP4})
}

// e2m1 are the doubled values of E2M1.
var e2m1 = [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

func decodeMXFP4(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[17:] {
		decodeE2M1(dst[:32], src[1:17], halfE8M0(src[0]))
	}
}

func decodeNVFP4(dst []float32, src []byte) {
	for ; len(dst) >= 64; dst, src = dst[64:], src[36:] {
		for i := range 4 {
			decodeE2M1(dst[16*i:16*i+16], src[4+8*i:12+8*i], halfUE4M3(src[i]))
		}
	}
}

func decodeE2M1(dst []float32, src []byte, d float32) {
	lo, hi := dst[:len(src)], dst[len(src):]
	for i, q := range src {
		lo[i] = d * e2m1[q&15]
		hi[i] = d * e2m1[q>>4]
	}
}

// halfE8M0 is half of the power of two that e stands for, 2^(e−128): below
// e = 2 a subnormal float32.
func halfE8M0(e byte) float32 {
	if e < 2 {
		return math.Float32frombits(1 << 21 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

// halfUE4M3 is half of the float that s stands for: 4 exponent bits with bias
// 7, 3 of fraction. 127 is NaN, which counts as 0 here.
func halfUE4M3(s byte) float32 {
	exp, frac := int(s>>3&15), float64(s&7)
	switch {
	case s == 127:
		return 0
	case exp == 0:
		return float32(math.Ldexp(frac, -10))
	}
	return float32(math.Ldexp(1+frac/8, exp-8))
}

// encodeMXFP4 makes the power of two of the largest magnitude E2M1's 4, so
// that the largest number falls into 4…8, of which 6 is the last that exists.
func encodeMXFP4(dst []byte, src []float32) {
	for ; len(src) >= 32; dst, src = dst[17:], src[32:] {
		dst[0] = 0
		if m := abs(largest(src[:32])); m > 0 {
			// The logarithm is rounded to float32, as others do: just below a
			// power of two it makes a difference.
			e := math.Floor(float64(float32(math.Log2(float64(m))))) + 125
			dst[0] = byte(min(max(e, 0), 254))
		}
		encodeE2M1(dst[1:17], src[:32], halfE8M0(dst[0]))
	}
}

func encodeNVFP4(dst []byte, src []float32) {
	for ; len(src) >= 64; dst, src = dst[36:], src[64:] {
		for i := range 4 {
			x := src[16*i : 16*i+16]
			dst[i] = toUE4M3(abs(largest(x)) / 6)
			encodeE2M1(dst[4+8*i:12+8*i], x, halfUE4M3(dst[i]))
		}
	}
}

func encodeE2M1(dst []byte, src []float32, d float32) {
	for i := range dst {
		dst[i] = nearestE2M1(src[i], d) | nearestE2M1(src[i+len(dst)], d)<<4
	}
}

// nearestE2M1 is the first of the nearest values.
func nearestE2M1(x, d float32) byte {
	best, least := 0, abs(x)
	for i, v := range e2m1 {
		if off := abs(float32(d*v) - x); off < least {
			best, least = i, off
		}
	}
	return byte(best)
}

// toUE4M3 rounds a float that is not negative. From 256 on it gives 448: as
// ggml does, although the format has three values between.
func toUE4M3(v float32) byte {
	if !(v > 0) {
		return 0
	}
	bits := math.Float32bits(min(v, 448))
	exp := int(bits>>23) - 127 + 7
	if exp <= 0 { // units of 2⁻⁹
		return byte(min(int(float32(v*512)+0.5), 7))
	}
	if exp >= 15 {
		return 0x7e
	}
	// Exponent and fraction in one number: a carry of the rounding moves up.
	n := exp<<3 | int(bits>>20&7)
	if n += int(bits >> 19 & 1); n >= 15<<3 {
		return 0x7e
	}
	return byte(n)
}
