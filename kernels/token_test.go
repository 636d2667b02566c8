package kernels

import (
	"errors"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// BenchmarkToken is the host's work for a token: two writes, a program, four
// bytes back. The program is one operation of a few numbers.
func BenchmarkToken(b *testing.B) {
	d := emulated(b)
	id, err1 := d.New(tensor.I32, 1)
	pos, err2 := d.New(tensor.I32, 1)
	x, err3 := d.New(tensor.F32, 64)
	best, err4 := d.New(tensor.I32, 1)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		b.Fatal(err)
	}
	p, err := d.Compile([]tensor.Op{{Kind: tensor.OpArgMax, Dst: best, A: x}})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Free()
	var four [4]byte
	for b.Loop() {
		if err := errors.Join(d.Write(id, four[:]), d.Write(pos, four[:]), p.Run(), d.Read(four[:], best)); err != nil {
			b.Fatal(err)
		}
	}
}
