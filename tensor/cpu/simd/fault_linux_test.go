package simd

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// TestNothingOutside puts the weights against either end of a page that has
// forbidden neighbours: the file's map may end anywhere.
func TestNothingOutside(t *testing.T) {
	page := syscall.Getpagesize()
	const size = 64 // pages between
	m, err := syscall.Mmap(-1, 0, (size+2)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(m)
	for _, end := range [][]byte{m[:page], m[(size+1)*page:]} {
		if err := syscall.Mprotect(end, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inside := m[page : (size+1)*page]
	for _, s := range sets {
		for _, d := range tensor.DTypes() {
			k := s.kernel(d, tensor.Apart)
			cols := max(256, d.BlockLen())
			const rows = 17
			w, _ := weights(rand.New(rand.NewPCG(3, 4)), d, rows, cols)
			for _, n := range []int{1, 2, 4, 12} {
				x := make([]float32, n*cols)
				prepared := make([]byte, k.PreparedBytes(n, cols))
				k.Prepare(prepared, x, cols, n, 0, n)
				for _, at := range []int{0, len(inside) - len(w)} {
					copy(inside[at:], w)
					k.Mul(make([]float32, n*rows), rows, inside[at:at+len(w)], prepared, cols, n, 0, rows, make([]byte, k.ScratchBytes(n, cols)))
				}
			}
		}
	}
}
