package simd

import (
	"unsafe"
)

// A Form is how a kernel wants its activations. Kernels of equal forms read
// what any of them prepared.
type Form uint8

const (
	// FormFloat is float32, with zeros up to a multiple of 16 columns.
	FormFloat Form = iota

	// FormInt is integers of at most ±16383 with a scale for each 32 columns.
	// A row is: for each 32 columns, the 16 even ones and then the 16 odd ones
	// as words, which is how nibbles fall out of 16-bit lanes; then for each
	// 32 columns float32 scale and scale·Σ, the factor of a format's mins.
	//
	// 16383·4096·32 < 2³¹: words of weights may go to ±4096 (Q6_K's scale
	// times integer) and sums of 32 products stay exact.
	FormInt

	// FormBytes is integers of at most ±127 with a scale for each 32 columns,
	// for one row of activations and formats with blocks of 256. A row is
	// records of 384 bytes: 256 columns as bytes; for each 32 of them float32
	// scale and scale·Σ; for each 16 float32 scale·Σ.
	FormBytes
)

// rowBytes is the size of one prepared row: an odd number of cache lines, so
// that equal columns of several rows do not compete for one set of the cache.
func (f Form) rowBytes(cols int) int {
	switch f {
	case FormInt:
		return (cols*2+cols/32*8+63)&^63 | 64
	case FormBytes:
		return cols / 256 * 384
	}
	return (4*cols+63)&^63 | 64
}

// groupCols is how many columns 64 bytes of a row stand for.
func (f Form) groupCols() int {
	if f == FormInt {
		return 32
	}
	return 16
}

func (f Form) prepare(s *set, dst []byte, x []float32) {
	switch f {
	case FormInt:
		s.quantise(&dst[0], &x[0], len(x)/32)
		return
	case FormBytes:
		s.quantiseBytes(&dst[0], &x[0], len(x)/256)
		return
	}
	clear(dst[copy(dst, bytesOf(x)):])
}

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
