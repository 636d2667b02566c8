package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llcuda/llcuda/tensor"
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
