package conformance

import (
	"fmt"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// A crowd is an attention over caches of several sequences. scene.ctx is what
// one of them has; scene.n and past are not used.
type crowd struct {
	scene
	past  []int // positions of each sequence before
	rows  []int // sequence of each row; -1: none
	alike tensor.Alike
}

func sequences() []Case {
	var all []Case
	add := func(name string, c crowd) {
		for _, alike := range []tensor.Alike{tensor.Apart, tensor.AlikeFew, tensor.AlikeSome, tensor.AlikeMany} {
			c := c
			c.alike = alike
			name := fmt.Sprintf("%s, alike %d, cache of %d·%d %s, %d:%d heads of %d, window %d",
				name, alike, len(c.past), c.ctx, c.d, c.heads, c.kvs, c.dim, c.window)
			all = append(all, Case{"sequences", name, productBound, c.run})
		}
	}
	singles := []int{2, 0, 3, -1, 1}
	mixed := slices.Concat([]int{3}, slices.Repeat([]int{1}, 70), []int{0, -1, 2}, slices.Repeat([]int{1}, 9), slices.Repeat([]int{3}, 20))
	for _, c := range cacheTypes {
		add("single rows", crowd{scene: scene{d: c.d, ctx: 160, heads: 3, kvs: 1, dim: 64}, past: []int{5, 70, 150, 0}, rows: singles})
		add("prompts among single rows", crowd{scene: scene{d: c.d, ctx: 160, heads: 4, kvs: 2, dim: 64}, past: []int{5, 70, 150, 0}, rows: mixed})
	}
	for _, s := range []scene{
		{d: tensor.F16, ctx: 130, heads: 4, kvs: 2, dim: 128, window: 40}, // rings
		{d: tensor.F16, ctx: 150, heads: 4, kvs: 1, dim: 256, window: 20},
		{d: tensor.F16, ctx: 128, heads: 4, kvs: 4, dim: 40, window: 30},
	} {
		add("single rows", crowd{scene: s, past: []int{5, 700, 150, 128}, rows: singles})
		add("prompts among single rows", crowd{scene: s, past: []int{5, 700, 150, 128}, rows: mixed})
	}
	add("one row", crowd{scene: scene{d: tensor.F16, ctx: 64, heads: 4, kvs: 2, dim: 64}, past: []int{9, 40}, rows: []int{1}})
	add("many single rows", crowd{scene: scene{d: tensor.F16, ctx: 1000, heads: 4, kvs: 1, dim: 64},
		past: []int{900, 1, 130, 0, 511, 512, 513, 77, 64, 63, 999, 300, 10, 20, 30, 40}, rows: count(0, 16)})
	return all
}

// run fills the caches with what is past, row by row of all sequences in turn,
// stores the rows' own keys and lets them attend.
func (c crowd) run(e *env) (got, want []float64) {
	cols, seqs, n := c.kvs*c.dim, len(c.past), len(c.rows)
	kc, vc := e.empty(c.d, seqs*c.ctx, cols), e.empty(c.d, seqs*c.ctx, cols)
	kx, vx := make([][]float64, seqs), make([][]float64, seqs) // by position
	store := func(rows []int) (at []int) {
		next := make([]int, seqs)
		k, v := e.normal(tensor.F32, 1, len(rows), cols), e.normal(tensor.F32, 1, len(rows), cols)
		kr, vr := rounded(c.d, k.x), rounded(c.d, v.x)
		for i, s := range rows {
			if s < 0 {
				at = append(at, 3) // of no interest
				continue
			}
			at = append(at, len(kx[s])/cols)
			kx[s], vx[s] = append(kx[s], kr[i*cols:][:cols]...), append(vx[s], vr[i*cols:][:cols]...)
			next[s]++
		}
		e.s.Sequences(e.ids(rows...), seqs)
		e.s.Store(kc, k.Tensor, e.ids(at...))
		e.s.Store(vc, v.Tensor, e.ids(at...))
		return at
	}
	for done := 0; done < slices.Max(c.past); done += 64 {
		var rows []int
		for i := range 64 {
			for s, past := range c.past {
				if done+i < past {
					rows = append(rows, s)
				}
			}
		}
		store(rows)
	}
	at := store(c.rows)
	q, out := e.normal(tensor.F32, 1, n, c.heads*c.dim), e.normal(tensor.F32, 1, n, c.heads*c.dim)
	e.s.Alike(c.alike)
	e.s.Attention(out.Tensor, q.Tensor, kc, vc, e.ids(at...), c.attend())
	for i, s := range c.rows {
		if s < 0 {
			want = append(want, make([]float64, c.heads*c.dim)...)
			continue
		}
		want = append(want, c.query(q.x[i*c.heads*c.dim:], kx[s], vx[s], at[i])...)
	}
	return e.read(out.Tensor), want
}

// forks: a sequence that was given another one's beginning goes on from there.
func forks() []Case {
	var all []Case
	for _, c := range cacheTypes {
		for _, ring := range []bool{false, true} {
			all = append(all, Case{"fork", fmt.Sprintf("%s, ring %v", c.d, ring), productBound, func(e *env) (got, want []float64) {
				s := scene{d: c.d, ctx: 40, heads: 2, kvs: 1, dim: 64}
				n := 23
				if ring {
					s.window, n = 9, 100
				}
				const seqs, from, to = 3, 2, 0
				k, v := e.normal(tensor.F32, 1, n, s.dim), e.normal(tensor.F32, 1, n, s.dim)
				kc, vc := e.empty(s.d, seqs*s.ctx, s.dim), e.empty(s.d, seqs*s.ctx, s.dim)
				rows := func(seq int) *tensor.Tensor { return e.ids(slices.Repeat([]int{seq}, n)...) }
				for lo := 0; lo < n; lo += 30 {
					hi := min(lo+30, n)
					e.s.Sequences(rows(from).Slice(lo, hi), seqs)
					e.s.Store(kc, k.Slice(lo, hi), e.ids(count(lo, hi-lo)...))
					e.s.Store(vc, v.Slice(lo, hi), e.ids(count(lo, hi-lo)...))
				}
				e.s.Fork(kc, seqs, from, to, n)
				e.s.Fork(vc, seqs, from, to, n)
				kx, vx := rounded(s.d, k.x), rounded(s.d, v.x)
				q := e.normal(tensor.F32, 1, 3, s.heads*s.dim)
				out := e.empty(tensor.F32, 3, s.heads*s.dim)
				at := []int{n - 1, n - 1, n - 1}
				e.s.Sequences(e.ids(to, 1, from), seqs) // 1 has zeros
				e.s.Attention(out, q.Tensor, kc, vc, e.ids(at...), s.attend())
				for i := range at {
					if i == 1 {
						want = append(want, make([]float64, s.heads*s.dim)...)
						continue
					}
					want = append(want, s.query(q.x[i*s.heads*s.dim:], kx, vx, n-1)...)
				}
				return e.read(out), want
			}})
		}
	}
	return all
}

// alikes: what becomes of a row does not change in one bit with the rows that
// are computed with it.
func alikes() []Case {
	var all []Case
	add := func(op, name string, total int, each func(e *env, alike tensor.Alike) func(rows []int) []float64) {
		for alike, sizes := range [][]int{tensor.AlikeFew: {1, 2, 3, 8, 17, 32}, tensor.AlikeSome: {1, 2, 8, 17, 32}, tensor.AlikeMany: {1, 5, 16, 33, 70, 150}} {
			if alike == 0 {
				continue
			}
			all = append(all, Case{"alike", fmt.Sprintf("%s %s, alike %d", op, name, alike), 0, func(e *env) (got, want []float64) {
				do := each(e, tensor.Alike(alike))
				whole := do(count(0, total))
				row := len(whole) / total
				for _, n := range sizes {
					first := (total - n) / 2
					got = append(got, do(count(first, n))...)
					want = append(want, whole[first*row:(first+n)*row]...)
				}
				return got, want
			}})
		}
	}
	for _, d := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0, tensor.Q4_1, tensor.Q4_K, tensor.Q6_K, tensor.IQ4_NL} {
		const total, k, m = 160, 1024, 70
		add("product", d.String(), total, func(e *env, alike tensor.Alike) func(rows []int) []float64 {
			w, x := e.weight(d, m, k), e.normal(tensor.F32, 1, total, k)
			return func(rows []int) []float64 {
				out := e.empty(tensor.F32, len(rows), m)
				e.s.Alike(alike)
				e.s.MatMul(out, w.Tensor, x.Slice(rows[0], rows[0]+len(rows)))
				return e.read(out)
			}
		})
	}
	for _, cols := range []int{64, 2048} {
		const total = 300
		add("norm", fmt.Sprint(cols), total, func(e *env, alike tensor.Alike) func(rows []int) []float64 {
			x := e.normal(tensor.F32, 1, total, cols)
			return func(rows []int) []float64 {
				out := e.empty(tensor.F32, len(rows), cols)
				e.s.Alike(alike)
				e.s.RMSNorm(out, x.Slice(rows[0], rows[0]+len(rows)), nil, 1e-5)
				return e.read(out)
			}
		})
	}
	for _, s := range []scene{
		{d: tensor.F16, ctx: 300, heads: 6, kvs: 2, dim: 64},
		{d: tensor.F16, ctx: 300, heads: 8, kvs: 1, dim: 64},
		{d: tensor.Q8_0, ctx: 300, heads: 4, kvs: 1, dim: 128},
		{d: tensor.F32, ctx: 300, heads: 2, kvs: 2, dim: 64},
		{d: tensor.F16, ctx: 300, heads: 4, kvs: 1, dim: 64, window: 77},
	} {
		const total, seqs = 160, 4
		name := fmt.Sprintf("%s, %d:%d heads of %d, window %d", s.d, s.heads, s.kvs, s.dim, s.window)
		add("attention", name, total, func(e *env, alike tensor.Alike) func(rows []int) []float64 {
			cols := s.kvs * s.dim
			k, v, q := e.normal(s.d, 1, seqs*s.ctx, cols), e.normal(s.d, 1, seqs*s.ctx, cols), e.normal(tensor.F32, 1, total, s.heads*s.dim)
			kc, vc := e.empty(s.d, seqs*s.ctx, cols), e.empty(s.d, seqs*s.ctx, cols)
			var seq, pos []int
			for i := range seqs * s.ctx {
				seq, pos = append(seq, i/s.ctx), append(pos, i%s.ctx)
			}
			put := func(c *tensor.Tensor, x operand) {
				f := e.given(tensor.F32, x.x, seqs*s.ctx, cols)
				e.s.Sequences(e.ids(seq...), seqs)
				e.s.Store(c, f.Tensor, e.ids(pos...))
			}
			put(kc, k)
			put(vc, v)
			return func(rows []int) []float64 { // of four texts, 20 rows in turn
				var seq, pos []int
				for _, i := range rows {
					seq, pos = append(seq, i/20%seqs), append(pos, 30*(i/20%seqs)+i/80*20+i%20+130)
				}
				out := e.empty(tensor.F32, len(rows), s.heads*s.dim)
				e.s.Sequences(e.ids(seq...), seqs)
				e.s.Alike(alike)
				e.s.Attention(out, q.Slice(rows[0], rows[0]+len(rows)), kc, vc, e.ids(pos...), s.attend())
				return e.read(out)
			}
		})
	}
	return all
}
