package simd

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// TestMul compares every kernel of every instruction set that this machine
// has with sums in float64 of what the reference decoder says.
func TestMul(t *testing.T) {
	for _, s := range sets {
		for _, d := range tensor.DTypes() {
			k := s.kernel(d, tensor.Apart)
			t.Run(s.name+"/"+d.String(), func(t *testing.T) {
				for _, cols := range someCols(d) {
					for _, n := range []int{1, 2, 3, 5, 6, 13, 33} {
						if k.dot == nil && n > 2 && n < 33 && cols != someCols(d)[0] {
							continue // the same routines as float32
						}
						testMul(t, k, n, cols)
					}
				}
			})
		}
	}
}

// someCols are few and many, with every kind of rest that blocks allow.
func someCols(d tensor.DType) []int {
	switch b := d.BlockLen(); {
	case b == 1:
		return []int{1, 7, 37, 300}
	case b < 256:
		return []int{b, 5 * b, 19 * b, 40 * b}
	}
	return []int{256, 1280}
}

// TestAlike: a row has the same product, to the last bit, whatever rows there
// are beside it, and it is a right one.
func TestAlike(t *testing.T) {
	const rows = 19
	for _, s := range sets {
		for _, d := range tensor.DTypes() {
			for _, alike := range []tensor.Alike{tensor.AlikeFew, tensor.AlikeSome, tensor.AlikeMany} {
				k := s.kernel(d, alike)
				cols := someCols(d)[1]
				testMul(t, k, 5, cols)
				r := rand.New(rand.NewPCG(uint64(d), 5))
				w, _ := weights(r, d, rows, cols)
				x := activations(r, 37, cols)
				mul := func(first, n int) []float32 {
					prepared, got := make([]byte, k.PreparedBytes(n, cols)), make([]float32, n*rows)
					k.Prepare(prepared, x[first*cols:], cols, n, 0, n)
					k.Mul(got, rows, w, prepared, cols, n, 0, rows, make([]byte, k.ScratchBytes(n, cols)))
					return got
				}
				all := mul(0, 37)
				for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 12, 13, 25} {
					first := 37 - n - n%3
					if got, want := mul(first, n), all[first*rows:][:n*rows]; !slices.Equal(got, want) {
						t.Errorf("%s/%s, alike %d: %d rows from row %d on are not as among 37", s.name, d, alike, n, first)
					}
				}
			}
		}
	}
}

func testMul(t *testing.T, k *Kernel, n, cols int) {
	t.Helper()
	const rows, lo, hi, ldd = 41, 3, 38, 43
	r := rand.New(rand.NewPCG(uint64(k.dtype), uint64(n*10000+cols)))
	w, wf := weights(r, k.dtype, rows, cols)
	x := activations(r, n, cols)
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
	bound := 1e-7
	if k.Form(n) == FormBytes { // 8 bits; what other engines keep for all formats
		bound = 5e-4
	}
	if e := diff / norm; !(e < bound) {
		t.Errorf("n=%d cols=%d: normalised mean square error %.2g", n, cols, e)
	}
}

// activations are normal numbers with a few that stand out, as in models.
func activations(r *rand.Rand, n, cols int) []float32 {
	x := make([]float32, n*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
		if r.IntN(100) == 0 {
			x[i] *= 30
		}
	}
	return x
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
	if d.CanEncode() && !d.Quantised() {
		d.Encode(b, f)
	} else {
		random(r, d, b)
	}
	d.Decode(f, b)
	return b, f
}

// random fills blocks with any bits, but for scales, which become finite.
func random(r *rand.Rand, d tensor.DType, b []byte) {
	f := make([]float32, d.BlockLen())
	for n := d.BlockBytes(); len(b) >= n; b = b[n:] {
		for ok := false; !ok; {
			for i := 0; i < n; i++ {
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

// TestExtremes: the largest integers that formats and activations can have
// overflow nothing.
func TestExtremes(t *testing.T) {
	for _, s := range sets {
		for _, d := range tensor.DTypes() {
			k := s.kernel(d, tensor.Apart)
			if k.form != FormInt {
				continue
			}
			for _, fill := range []byte{0x00, 0x7f, 0x80, 0xff} {
				for _, n := range []int{1, 2, 4, 12} {
					t.Run(fmt.Sprintf("%s/%s/%#x/n%d", s.name, d, fill, n), func(t *testing.T) { testExtreme(t, k, fill, n) })
				}
			}
		}
	}
}

// halves lists where formats keep half-precision scales, bytes in a block.
var halves = map[tensor.DType][]int{tensor.Q4_0: {0}, tensor.Q4_1: {0, 2}, tensor.Q5_0: {0}, tensor.Q5_1: {0, 2}, tensor.Q8_0: {0},
	tensor.Q4_K: {0, 2}, tensor.Q5_K: {0, 2}, tensor.Q6_K: {208}, tensor.Q2_K: {80, 82}, tensor.Q3_K: {108}, tensor.IQ4_NL: {0}, tensor.IQ4_XS: {0}}

// singles lists where formats keep float32 scales.
var singles = map[tensor.DType]int{tensor.NF4: 0, tensor.FP4: 0, tensor.LLM_INT8: 0}

func testExtreme(t *testing.T, k *Kernel, fill byte, n int) {
	const cols, rows = 512, 16
	w := make([]byte, k.dtype.Bytes(rows*cols))
	for i := range w {
		w[i] = fill
	}
	for i := 0; i < len(w); i += k.dtype.BlockBytes() {
		for _, h := range halves[k.dtype] {
			w[i+h], w[i+h+1] = 0, 0x3c // 1
		}
		if at, ok := singles[k.dtype]; ok {
			binary.LittleEndian.PutUint32(w[i+at:], math.Float32bits(1))
		}
	}
	bound := 1e-5
	if k.dtype == tensor.NF4 {
		bound = 1e-4 // levels that are no multiples of a unit, all off to one side
	}
	f := make([]float32, rows*cols)
	k.dtype.Decode(f, w)
	for _, sign := range []float32{1, -1} {
		x := make([]float32, n*cols)
		for i := range x {
			x[i] = sign * 3
		}
		prepared := make([]byte, k.PreparedBytes(n, cols))
		k.Prepare(prepared, x, cols, n, 0, n)
		got := make([]float32, n*rows)
		k.Mul(got, rows, w, prepared, cols, n, 0, rows, make([]byte, k.ScratchBytes(n, cols)))
		var want float64
		for c := range cols {
			want += float64(x[c]) * float64(f[c])
		}
		for i, g := range got {
			if math.Abs(float64(g)-want) > bound*math.Abs(want)+1e-6*float64(cols) {
				t.Fatalf("product %d is %g, want %g", i, g, want)
			}
		}
	}
}

// TestNotFinite: what is not finite in the activations shows in the products.
func TestNotFinite(t *testing.T) {
	for _, s := range sets {
		for _, d := range []tensor.DType{tensor.Q4_1, tensor.Q8_0, tensor.Q6_K, tensor.F16} {
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				for _, n := range []int{1, 12, 24} {
					k := s.kernel(d, tensor.Apart)
					const cols, rows = 512, 16
					w, _ := weights(rand.New(rand.NewPCG(5, 6)), d, rows, cols)
					x := activations(rand.New(rand.NewPCG(7, 8)), n, cols)
					x[cols/2+5] = float32(bad)
					prepared := make([]byte, k.PreparedBytes(n, cols))
					k.Prepare(prepared, x, cols, n, 0, n)
					got := make([]float32, n*rows)
					k.Mul(got, rows, w, prepared, cols, n, 0, rows, make([]byte, k.ScratchBytes(n, cols)))
					for j, g := range got {
						if finite := !math.IsNaN(float64(g)) && !math.IsInf(float64(g), 0); finite != (j >= rows) {
							t.Errorf("%s/%s n=%d: product (%d, %d) with %g is %g", s.name, d, n, j/rows, j%rows, bad, g)
						}
					}
				}
			}
		}
	}
}

// TestEmpty: a product over no columns is zero.
func TestEmpty(t *testing.T) {
	for _, s := range sets {
		for _, n := range []int{1, 7} {
			k := s.kernel(tensor.Q8_0, tensor.Apart)
			prepared := make([]byte, k.PreparedBytes(n, 0))
			k.Prepare(prepared, nil, 0, n, 0, n)
			got := slices.Repeat([]float32{1}, 2*n)
			k.Mul(got, 2, nil, prepared, 0, n, 0, 2, make([]byte, k.ScratchBytes(n, 0)))
			for i, g := range got {
				if g != 0 {
					t.Errorf("%s: n=%d: product %d is %g, want 0", s.name, n, i, g)
				}
			}
		}
	}
}

// TestZeros: rows without any activation, and the smallest ones.
func TestZeros(t *testing.T) {
	for _, s := range sets {
		for _, v := range []float32{0, 1e-38, 1e-45} {
			k := s.kernel(tensor.Q8_0, tensor.Apart)
			const cols, n = 64, 7
			w, _ := weights(rand.New(rand.NewPCG(1, 1)), k.dtype, 16, cols)
			x := make([]float32, n*cols)
			for i := range x {
				x[i] = v
			}
			prepared := make([]byte, k.PreparedBytes(n, cols))
			k.Prepare(prepared, x, cols, n, 0, n)
			got := make([]float32, n*16)
			k.Mul(got, 16, w, prepared, cols, n, 0, 16, make([]byte, k.ScratchBytes(n, cols)))
			for i, g := range got {
				if !(math.Abs(float64(g)) < 1e-25) {
					t.Errorf("%s: activations of %g: product %d is %g", s.name, v, i, g)
				}
			}
		}
	}
}
