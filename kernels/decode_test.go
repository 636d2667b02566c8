package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// A newToken is one attention with what comes before it: norms, turning and
// store of one token's heads.
type newToken struct {
	d               tensor.DType
	past, rows      int // tokens in the cache, its rows
	heads, kvs, dim int
	rope            int // numbers of a head that are turned
	neox, norm      bool
	window          int
	softcap         float32
	splits, minimum int32 // of the context at most; keys of a split, a power of two
}

// TestDecodeToken runs three tokens one after the other, so that the second and
// third see what those before have stored.
func TestDecodeToken(t *testing.T) {
	d := emulated(t)
	for _, c := range []newToken{
		{d: tensor.F16, past: 0, rows: 64, heads: 4, kvs: 2, dim: 64, rope: 64, splits: 4, minimum: 16},
		{d: tensor.F16, past: 127, rows: 512, heads: 8, kvs: 2, dim: 128, rope: 128, neox: true, norm: true, splits: 1, minimum: 128},
		{d: tensor.F16, past: 127, rows: 512, heads: 7, kvs: 1, dim: 128, rope: 128, neox: true, splits: 3, minimum: 64},
		{d: tensor.F16, past: 300, rows: 302, heads: 4, kvs: 1, dim: 256, rope: 256, neox: true, norm: true, window: 100, splits: 5, minimum: 16},
		{d: tensor.F16, past: 1000, rows: 100, heads: 4, kvs: 1, dim: 256, rope: 256, neox: true, norm: true, window: 90, splits: 7, minimum: 16},
		{d: tensor.F16, past: 77, rows: 200, heads: 8, kvs: 1, dim: 256, rope: 256, splits: 1, minimum: 256},
		{d: tensor.F16, past: 40, rows: 64, heads: 6, kvs: 2, dim: 80, rope: 20, neox: true, splits: 2, minimum: 16},
		{d: tensor.F16, past: 40, rows: 64, heads: 6, kvs: 2, dim: 96, rope: 96, neox: true, splits: 1, minimum: 64},
		{d: tensor.F16, past: 40, rows: 64, heads: 2, kvs: 2, dim: 112, rope: 112, splits: 2, minimum: 16, softcap: 20},
		{d: tensor.F16, past: 40, rows: 64, heads: 14, kvs: 1, dim: 64, rope: 64, splits: 3, minimum: 16},
		{d: tensor.F16, past: 600, rows: 1000, heads: 8, kvs: 1, dim: 128, rope: 0, splits: 1, minimum: 16},
		{d: tensor.Q8_0, past: 127, rows: 512, heads: 9, kvs: 3, dim: 64, rope: 64, splits: 3, minimum: 64},
		{d: tensor.Q8_0, past: 44, rows: 512, heads: 2, kvs: 1, dim: 96, rope: 32, neox: true, norm: true, splits: 1, minimum: 64},
		{d: tensor.Q8_0, past: 127, rows: 128, heads: 24, kvs: 2, dim: 128, rope: 128, neox: true, splits: 3, minimum: 16},
		{d: tensor.Q8_0, past: 400, rows: 100, heads: 4, kvs: 1, dim: 256, rope: 256, neox: true, norm: true, window: 60, splits: 4, minimum: 16},
	} {
		t.Run(fmt.Sprintf("%s, %d in %d, %d:%d heads of %d, window %d, %d splits", c.d, c.past, c.rows, c.heads, c.kvs, c.dim, c.window, c.splits),
			func(t *testing.T) { c.test(t, d) })
	}
}

func (c newToken) test(t *testing.T, d *Device) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, uint64(c.dim+c.past)))
	cols, s := c.kvs*c.dim, tensor.NewStream(d)
	tensorOf := func(dt tensor.DType, shape ...int) *tensor.Tensor {
		x, err := d.New(dt, shape...)
		must(err)
		return x
	}
	given := func(x []float32, shape ...int) *tensor.Tensor {
		y := tensorOf(tensor.F32, shape...)
		must(d.Write(y, floatBytes(x)))
		return y
	}
	kc, vc, pos, out := tensorOf(c.d, c.rows, cols), tensorOf(c.d, c.rows, cols), tensorOf(tensor.I32, 1), tensorOf(tensor.F32, 1, c.heads*c.dim)
	keys, values := normal(rng, c.past*cols), normal(rng, c.past*cols) // as stored
	qNorm, kNorm := normal(rng, c.dim), normal(rng, c.dim)
	kept := min(c.past, c.rows)
	if kept > 0 {
		which := make([]byte, 0, 4*kept)
		for i := c.past - kept; i < c.past; i++ {
			which = binary.LittleEndian.AppendUint32(which, uint32(i))
		}
		at := tensorOf(tensor.I32, kept)
		must(d.Write(at, which))
		s.Store(kc, given(keys[(c.past-kept)*cols:], kept, cols), at)
		s.Store(vc, given(values[(c.past-kept)*cols:], kept, cols), at)
	}
	keys, values = c.stored(keys), c.stored(values)

	for p := c.past; p < c.past+3; p++ {
		q, k, v := normal(rng, c.heads*c.dim), normal(rng, cols), normal(rng, cols)
		op := &tensor.Op{Kind: tensor.OpAttention, Dst: out, A: given(q, 1, len(q)), B: kc, C: vc, Pos: pos,
			Heads: c.heads, KVHeads: c.kvs, Scale: 0.125, Window: c.window, Softcap: c.softcap}
		must(d.Write(pos, binary.LittleEndian.AppendUint32(nil, uint32(p))))
		kNew, vNew := given(k, cols), given(v, cols)
		var qw, kw *tensor.Tensor
		if c.norm {
			qw, kw = given(qNorm, c.dim), given(kNorm, c.dim)
		}
		must(s.Sync())
		must(c.launch(d, op, kNew, vNew, qw, kw))
		must(d.Sync())
		got := make([]byte, 4*c.heads*c.dim)
		must(d.Read(got, out))

		for h := range c.heads {
			c.prepare(q[h*c.dim:][:c.dim], qNorm, p)
		}
		for h := range c.kvs {
			c.prepare(k[h*c.dim:][:c.dim], kNorm, p)
		}
		keys, values = append(keys, c.stored(k)...), append(values, c.stored(v)...)
		want := c.attention(q, keys, values, p)
		diff, square := 0.0, 0.0
		for i, w := range want {
			e := w - float64(math.Float32frombits(binary.LittleEndian.Uint32(got[4*i:])))
			diff, square = diff+e*e, square+w*w
		}
		if !(diff <= 1e-6*square) {
			t.Errorf("position %d: error %.3g", p, diff/square)
		}
	}
}

func (c newToken) launch(d *Device, op *tensor.Op, k, v, qNorm, kNorm *tensor.Tensor) error {
	if err := d.enter("test"); err != nil {
		return err
	}
	defer d.leave()
	a, err := d.decodeArgs(op)
	if err != nil {
		return err
	}
	a.kNew, a.vNew, a.qNorm, a.kNorm = ptr(k), ptr(v), ptr(qNorm), ptr(kNorm)
	a.eps, a.mscale, a.rope = 1e-6, 1.25, int32(c.rope)
	if c.neox {
		a.neox = 1
	}
	if c.rope > 0 {
		if a.turns, err = d.ropeTable(&tensor.Rope{Dims: c.rope, Base: 10000}, nil); err != nil {
			return err
		}
	}
	a.splits, a.splitShift = c.splits, 0
	for 1<<a.splitShift < c.minimum {
		a.splitShift++
	}
	mem, err := d.scratch(attentionScratch, 4*decodeSets+int(a.sets*a.splits)*decodePartial(c.dim))
	if err != nil {
		return err
	}
	a.counters, a.partials = mem, mem+4*decodeSets
	return d.launch(headKernel("decode", c.dim, c.d), int(a.sets*a.splits), decodeThreads, decodeShared, unsafe.Pointer(&a))
}

// prepare is norm and turning of a head, in float64.
func (c newToken) prepare(x, w []float32, pos int) {
	y := make([]float64, len(x))
	square := 0.0
	for i, v := range x {
		y[i] = float64(v)
		square += y[i] * y[i]
	}
	if c.norm {
		for i := range y {
			y[i] *= float64(w[i]) / math.Sqrt(square/float64(len(x))+1e-6)
		}
	}
	for i := range c.rope / 2 {
		a, b := 2*i, 2*i+1
		if c.neox {
			a, b = i, i+c.rope/2
		}
		sin, cos := math.Sincos(float64(pos) * math.Pow(10000, -2*float64(i)/float64(c.rope)))
		y[a], y[b] = 1.25*(y[a]*cos-y[b]*sin), 1.25*(y[a]*sin+y[b]*cos)
	}
	for i := range x {
		x[i] = float32(y[i])
	}
}

func (c newToken) stored(x []float32) []float32 {
	b, y := make([]byte, c.d.Bytes(len(x))), make([]float32, len(x))
	c.d.Encode(b, x)
	c.d.Decode(y, b)
	return y
}

func (c newToken) attention(q, k, v []float32, pos int) (out []float64) {
	first := max(0, pos-c.rows+1)
	if c.window > 0 {
		first = max(first, pos-c.window+1)
	}
	for h := range c.heads {
		at := func(x []float32, i int) []float32 { return x[(i*c.kvs+h/(c.heads/c.kvs))*c.dim:][:c.dim] }
		head, sum := make([]float64, c.dim), 0.0
		for i := first; i <= pos; i++ {
			score := 0.0
			for j, x := range at(k, i) {
				score += float64(x) * float64(q[h*c.dim+j])
			}
			score *= 0.125
			if s := float64(c.softcap); s != 0 {
				score = s * math.Tanh(score/s)
			}
			w := math.Exp(score)
			sum += w
			for j, x := range at(v, i) {
				head[j] += w * float64(x)
			}
		}
		for _, x := range head {
			out = append(out, x/sum)
		}
	}
	return out
}

func normal(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func floatBytes(x []float32) []byte {
	var b []byte
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
