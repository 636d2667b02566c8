package conformance

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// cacheTypes are the types of a cache, with the error of storing in them.
var cacheTypes = []struct {
	d     tensor.DType
	bound float64
}{{tensor.F32, 1e-12}, {tensor.F16, 1e-6}, {tensor.BF16, 1e-5}, {tensor.Q8_0, 1e-4}}

// caches: a query that sees one key gets its value, which shows what Store
// wrote whatever the order in the cache.
func caches() []Case {
	var all []Case
	for _, c := range cacheTypes {
		for _, start := range []int{0, 3, 1000} { // 1000: the ring has turned
			all = append(all, Case{"store", fmt.Sprintf("%s from %d", c.d, start), c.bound, func(e *env) (got, want []float64) {
				const n, ctx, heads, dim = 6, 9, 3, 64
				k, v, q := e.empty(c.d, ctx, heads*dim), e.empty(c.d, ctx, heads*dim), e.normal(tensor.F32, 1, n, heads*dim)
				x, pos, out := e.normal(tensor.F32, 1, n, heads*dim), e.ids(count(start, n)...), e.empty(tensor.F32, n, heads*dim)
				e.s.Store(k, x.Tensor, pos)
				e.s.Store(v, x.Tensor, pos)
				e.s.Attention(out, q.Tensor, k, v, pos, tensor.Attend{Heads: heads, KVHeads: heads, Scale: 1, Window: 1})
				return e.read(out), x.x
			}})
		}
	}
	return all
}

func count(from, n int) []int {
	x := make([]int, n)
	for i := range x {
		x[i] = from + i
	}
	return x
}

// A scene is one attention: n queries after past positions.
type scene struct {
	d                             tensor.DType
	n, past, ctx, heads, kvs, dim int
	window                        int
	softcap                       float32
}

func attentions() []Case {
	var all []Case
	add := func(s scene) {
		name := fmt.Sprintf("%d after %d, cache of %d %s, %d:%d heads of %d, window %d, softcap %v",
			s.n, s.past, s.ctx, s.d, s.heads, s.kvs, s.dim, s.window, s.softcap)
		all = append(all, Case{"attention", name, productBound, s.run})
	}
	for _, c := range cacheTypes {
		for _, n := range []int{1, 2, 7, 64, 513} {
			add(scene{d: c.d, n: n, past: 35, ctx: 600, heads: 3, kvs: 1, dim: 64})
		}
		add(scene{d: c.d, n: 1, past: 0, ctx: 16, heads: 4, kvs: 4, dim: 64})
		add(scene{d: c.d, n: 1, past: 1999, ctx: 2000, heads: 4, kvs: 1, dim: 256})
		add(scene{d: c.d, n: 33, past: 57, ctx: 512, heads: 4, kvs: 1, dim: 256, window: 40})
		add(scene{d: c.d, n: 5, past: 300, ctx: 64, heads: 4, kvs: 2, dim: 64, window: 50})
		add(scene{d: c.d, n: 3, past: 70, ctx: 128, heads: 8, kvs: 4, dim: 128, softcap: 50})
	}
	for _, h := range [][2]int{{1, 1}, {9, 3}, {8, 8}, {14, 2}, {32, 4}, {5, 1}, {71, 1}} { // shared heads
		for _, n := range []int{1, 3, 20} {
			add(scene{d: tensor.F16, n: n, past: 150, ctx: 256, heads: h[0], kvs: h[1], dim: 64})
		}
	}
	for _, dim := range []int{8, 40, 80, 96, 112, 128, 192, 256} {
		for _, n := range []int{1, 17} {
			add(scene{d: tensor.F16, n: n, past: 90, ctx: 128, heads: 4, kvs: 2, dim: dim})
		}
	}
	for _, n := range []int{1, 16, 64} { // windows, whole and in a ring; softcap in tiles
		add(scene{d: tensor.F16, n: n, past: 400, ctx: 512, heads: 4, kvs: 2, dim: 64, window: 128})
		add(scene{d: tensor.F16, n: n, past: 400, ctx: 192, heads: 4, kvs: 2, dim: 64, window: 128})
		add(scene{d: tensor.F16, n: n, past: 1000, ctx: 191, heads: 4, kvs: 2, dim: 64, window: 1})
		add(scene{d: tensor.F16, n: n, past: 200, ctx: 512, heads: 4, kvs: 2, dim: 64, softcap: 30})
	}
	return all
}

func (s scene) run(e *env) (got, want []float64) {
	total, cols := s.past+s.n, s.kvs*s.dim
	k, v := e.normal(tensor.F32, 1, total, cols), e.normal(tensor.F32, 1, total, cols)
	q, out := e.normal(tensor.F32, 1, s.n, s.heads*s.dim), e.empty(tensor.F32, s.n, s.heads*s.dim)
	kc, vc := e.empty(s.d, s.ctx, cols), e.empty(s.d, s.ctx, cols)
	for lo := 0; lo < total; { // what is past in pieces that fit into a ring, then the queries' own
		hi := min(lo+s.ctx, s.past)
		if lo >= s.past {
			hi = total
		}
		pos := e.ids(count(lo, hi-lo)...)
		e.s.Store(kc, k.Slice(lo, hi), pos)
		e.s.Store(vc, v.Slice(lo, hi), pos)
		lo = hi
	}
	e.s.Attention(out, q.Tensor, kc, vc, e.ids(count(s.past, s.n)...), s.attend())
	kx, vx := rounded(s.d, k.x), rounded(s.d, v.x)
	for i := range s.n {
		want = append(want, s.query(q.x[i*s.heads*s.dim:], kx, vx, s.past+i)...)
	}
	return e.read(out), want
}

// query is what the heads of a query at a position get of keys and values that
// lie in the order of positions.
func (s scene) query(q, k, v []float64, pos int) (want []float64) {
	scale := float64(s.scale())
	for h := range s.heads {
		kv := h / (s.heads / s.kvs)
		first := 0
		if s.window > 0 {
			first = max(0, pos-s.window+1)
		}
		var scores []float64
		for j := first; j <= pos; j++ {
			sum := 0.0
			for d := range s.dim {
				sum += q[h*s.dim+d] * k[(j*s.kvs+kv)*s.dim+d]
			}
			sum *= scale
			if c := float64(s.softcap); c != 0 {
				sum = c * math.Tanh(sum/c)
			}
			scores = append(scores, sum)
		}
		head := make([]float64, s.dim)
		for j, p := range softmaxOf(scores) {
			for d := range head {
				head[d] += p * v[((first+j)*s.kvs+kv)*s.dim+d]
			}
		}
		want = append(want, head...)
	}
	return want
}

func (s scene) scale() float32 { return float32(1 / math.Sqrt(float64(s.dim))) }

func (s scene) attend() tensor.Attend {
	return tensor.Attend{Heads: s.heads, KVHeads: s.kvs, Scale: s.scale(), Window: s.window, Softcap: s.softcap}
}
