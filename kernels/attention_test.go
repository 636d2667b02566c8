package kernels

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// TestAttentionPositions: queries in any order, some at one position, and with
// numbers that f16 does not hold.
func TestAttentionPositions(t *testing.T) {
	d := emulated(t)
	for _, size := range []float32{1e-12, 1, 1e9} { // of q; the scale makes up for it
		for _, c := range []newToken{
			{d: tensor.F16, rows: 256, heads: 4, kvs: 2, dim: 64},
			{d: tensor.F16, rows: 256, heads: 4, kvs: 1, dim: 256, window: 30},
			{d: tensor.Q8_0, rows: 256, heads: 6, kvs: 2, dim: 128, softcap: 5},
			{d: tensor.F32, rows: 256, heads: 2, kvs: 1, dim: 48},
		} {
			for _, n := range []int{3, 40} {
				t.Run(fmt.Sprintf("%d of size %g, %s, heads of %d", n, size, c.d, c.dim), func(t *testing.T) { c.anywhere(t, d, n, size) })
			}
		}
	}
}

func (c newToken) anywhere(t *testing.T, d *Device, n int, size float32) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(2, uint64(c.dim+n)))
	cols, s := c.kvs*c.dim, tensor.NewStream(d)
	given := func(dt tensor.DType, b []byte, shape ...int) *tensor.Tensor {
		x, err := d.New(dt, shape...)
		must(err)
		if b != nil {
			must(d.Write(x, b))
		}
		return x
	}
	k, v, q := normal(rng, c.rows*cols), normal(rng, c.rows*cols), normal(rng, n*c.heads*c.dim)
	var all, pos []byte
	at := make([]int, n)
	for i := range c.rows {
		all = binary.LittleEndian.AppendUint32(all, uint32(i))
	}
	for i := range at {
		at[i] = rng.IntN(c.rows)
		pos = binary.LittleEndian.AppendUint32(pos, uint32(at[i]))
	}
	kc, vc, order := given(c.d, nil, c.rows, cols), given(c.d, nil, c.rows, cols), given(tensor.I32, all, c.rows)
	s.Store(kc, given(tensor.F32, floatBytes(k), c.rows, cols), order)
	s.Store(vc, given(tensor.F32, floatBytes(v), c.rows, cols), order)
	big := make([]float32, len(q))
	for i, x := range q {
		big[i] = x * size
	}
	out := given(tensor.F32, nil, n, c.heads*c.dim)
	s.Attention(out, given(tensor.F32, floatBytes(big), n, c.heads*c.dim), kc, vc, given(tensor.I32, pos, n),
		tensor.Attend{Heads: c.heads, KVHeads: c.kvs, Scale: 0.125 / size, Window: c.window, Softcap: c.softcap})
	must(s.Sync())
	got := make([]byte, 4*out.Len())
	must(d.Read(got, out))

	k, v = c.stored(k), c.stored(v)
	diff, square := 0.0, 0.0
	for i, p := range at {
		for j, w := range c.attention(q[i*c.heads*c.dim:][:c.heads*c.dim], k, v, p) {
			e := w - float64(math.Float32frombits(binary.LittleEndian.Uint32(got[4*(i*c.heads*c.dim+j):])))
			diff, square = diff+e*e, square+w*w
		}
	}
	if !(diff <= 1e-6*square) {
		t.Errorf("error %.3g", diff/square)
	}
}

// TestCrowdTurned: queries of one sequence whose cache has turned. The first ones see fewer keys than their
// positions say, which make more splits than more keys would (1,281 keys, as 144 each, make 9, 1,280 make 10).
func TestCrowdTurned(t *testing.T) {
	const dim, heads, n = 64, 4, 10
	t.Setenv("EMU_SMS", "20")
	for _, c := range []struct{ rows, past, window int }{{1284, 1000, 0}, {1284, 1400, 0}, {1300, 1400, 1290}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			run := func(dev tensor.Device) (out []float32) {
				rng, s := rand.New(rand.NewPCG(1, 2)), tensor.NewStream(dev)
				given := func(dt tensor.DType, b []byte, shape ...int) *tensor.Tensor {
					x, err := dev.New(dt, shape...)
					if err == nil && b != nil {
						err = dev.Write(x, b)
					}
					if err != nil {
						t.Fatal(err)
					}
					return x
				}
				random := func(rows, cols int) *tensor.Tensor {
					return given(tensor.F32, floatBytes(normal(rng, rows*cols)), rows, cols)
				}
				positions := func(from, n int) *tensor.Tensor {
					var b []byte
					for i := range n {
						b = binary.LittleEndian.AppendUint32(b, uint32(from+i))
					}
					return given(tensor.I32, b, n)
				}
				k, v := given(tensor.F16, nil, c.rows, dim), given(tensor.F16, nil, c.rows, dim)
				for at := 0; at < c.past+n; at += n {
					s.Store(k, random(n, dim), positions(at, n))
					s.Store(v, random(n, dim), positions(at, n))
				}
				q, y := random(n, heads*dim), given(tensor.F32, nil, n, heads*dim)
				s.Sequences(given(tensor.I32, make([]byte, 4*n), n), 1)
				s.Alike(tensor.AlikeFew)
				for range 2 { // the second finds the first one's counters
					s.Attention(y, q, k, v, positions(c.past, n), tensor.Attend{Heads: heads, KVHeads: 1, Scale: 0.125, Window: c.window})
				}
				b := make([]byte, y.Bytes())
				if err := errors.Join(s.Sync(), dev.Read(b, y)); err != nil {
					t.Fatal(err)
				}
				out = make([]float32, y.Len())
				tensor.F32.Decode(out, b)
				return out
			}
			if e := errorOf(run(emulated(t)), run(cpu.Default())); e > 1e-5 {
				t.Errorf("error %g", e)
			}
		})
	}
}
