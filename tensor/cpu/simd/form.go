package simd

import (
	"unsafe"
)

// A Form is how a kernel wants its activations. Kernels of equal forms read
// what any of them prepared.
type Form uint8

const (
	// FormFloat is float32 as it is.
	FormFloat Form = iota
)

// rowBytes is the size of one prepared row.
func (f Form) rowBytes(cols int) int { return 4 * cols }

func (f Form) prepare(_ *set, dst []byte, x []float32) { copy(dst, bytesOf(x)) }

// bytesOf and floatsOf show the same memory as another type: the host is
// little endian or never looks inside, and Go's types keep it alive.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

// floatsOf copies when b does not lie where float32 may lie.
func floatsOf(b []byte, n int) []float32 {
	p := unsafe.Pointer(unsafe.SliceData(b[:4*n]))
	if uintptr(p)%4 == 0 {
		return unsafe.Slice((*float32)(p), n)
	}
	x := make([]float32, n)
	copy(bytesOf(x), b)
	return x
}

// dot is the sum of x·y with float32 products in eight float32 sums.
func dot(x, y []float32) float32 {
	var s [8]float32
	y = y[:len(x)]
	for len(x) >= 8 {
		a, b := (*[8]float32)(x), (*[8]float32)(y)
		for i := range s {
			s[i] += a[i] * b[i]
		}
		x, y = x[8:], y[8:]
	}
	for i := range x {
		s[i] += x[i] * y[i]
	}
	return (s[0] + s[4]) + (s[1] + s[5]) + ((s[2] + s[6]) + (s[3] + s[7]))
}
