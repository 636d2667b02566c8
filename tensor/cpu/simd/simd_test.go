package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// TestMul compares every kernel of every instruction set that this machine
// has with sums in float64 of what the reference decoder says.
func TestMul(t *testing.T) {
	for _, s := range sets {
		for _, d := range tensor.DTypes() {
			t.Run(s.name+"/"+d.String(), func(t *testing.T) {
				for _, n := range []int{1, 2, 3, 5, 8, 13, 33} {
					for _, blocks := range []int{1, 2, 5} {
						testMul(t, s.kernel(d), n, blocks)
					}
				}
			})
		}
	}
}

func testMul(t *testing.T, k *Kernel, n, blocks int) {
	t.Helper()
	const rows, lo, hi, ldd = 41, 3, 38, 43
	cols := max(k.dtype.BlockLen(), 32) * blocks
	r := rand.New(rand.NewPCG(uint64(k.dtype), uint64(n*100+blocks)))
	w, wf := weights(r, k.dtype, rows, cols)
	x := make([]float32, n*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	prepared := make([]byte, k.PreparedBytes(n, cols))
	mid := n / 2
	k.Prepare(prepared, x, cols, n, mid, n)
	k.Prepare(prepared, x, cols, n, 0, mid)
	got := make([]float32, n*ldd)
	for i := range got {
		got[i] = -7
	}
	k.Mul(got, ldd, w, prepared, cols, n, lo, hi, make([]byte, k.ScratchBytes(n, cols)))

	var diff, norm float64
	for i := range n {
		for j := range ldd {
			g := got[i*ldd+j]
			if j < lo || j >= hi {
				if g != -7 {
					t.Fatalf("n=%d cols=%d: dst[%d, %d] outside the range became %g", n, cols, i, j, g)
				}
				continue
			}
			var want float64
			for c := range cols {
				want += float64(x[i*cols+c]) * float64(wf[j*cols+c])
			}
			diff += (float64(g) - want) * (float64(g) - want)
			norm += want * want
		}
	}
	if e := diff / norm; !(e < 1e-8) {
		t.Errorf("n=%d cols=%d: normalised mean square error %.2g", n, cols, e)
	}
}

// weights are random blocks of type d, and what they mean.
func weights(r *rand.Rand, d tensor.DType, rows, cols int) ([]byte, []float32) {
	f := make([]float32, rows*cols)
	for i := range f {
		f[i] = float32(r.NormFloat64())
		if !d.Quantised() {
			f[i] *= 20 // integers
		}
	}
	b := make([]byte, d.Bytes(len(f)))
	if d.CanEncode() {
		d.Encode(b, f)
	} else {
		random(r, d, b)
	}
	d.Decode(f, b)
	for _, v := range f {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			panic(fmt.Sprintf("random %s holds %g", d, v))
		}
	}
	return b, f
}

// random fills blocks with any bits, but for scales, which become finite.
func random(r *rand.Rand, d tensor.DType, b []byte) {
	f := make([]float32, d.BlockLen())
	for n := d.BlockBytes(); len(b) >= n; b = b[n:] {
		for ok := false; !ok; {
			for i := range n {
				b[i] = byte(r.Uint32())
			}
			d.Decode(f, b[:n])
			ok = true
			for _, v := range f {
				ok = ok && math.Abs(float64(v)) < 1000
			}
		}
	}
}
