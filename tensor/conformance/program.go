package conformance

import (
	"errors"
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// randoms: the moments of what Random draws, and that a seed is a seed.
func randoms() []Case {
	return []Case{{"random", "moments", 1e-3, func(e *env) (got, want []float64) {
		x := e.empty(tensor.F32, 1<<17)
		e.s.Random(x, 42)
		mean, square, fourth := 0.0, 0.0, 0.0
		drawn := e.read(x)
		for _, v := range drawn {
			mean, square, fourth = mean+v, square+v*v, fourth+v*v*v*v
		}
		n := float64(len(drawn))
		return []float64{1 + mean/n, square / n, fourth / n}, []float64{1, 1, 3}
	}}, {"random", "seeds", 0, func(e *env) (got, want []float64) {
		x, y, z := e.empty(tensor.F32, 5000), e.empty(tensor.F32, 5000), e.empty(tensor.F32, 5000)
		e.s.Random(x, 1)
		e.s.Random(y, 1)
		e.s.Random(z, 2)
		same := 0
		other := e.read(z)
		for i, v := range e.read(x) {
			if v == other[i] {
				same++
			}
		}
		if same > 5 {
			e.must(fmt.Errorf("%d of 5000 numbers are the same for two seeds", same))
		}
		return e.read(x), e.read(y)
	}}}
}

// refusals: what lies in operands is checked when the operation runs, and the
// device works on after it has refused.
func refusals() []Case {
	var all []Case
	add := func(name string, do func(e *env)) {
		for _, recorded := range []bool{false, true} {
			all = append(all, Case{"refuse", fmt.Sprintf("%s, recorded %v", name, recorded), 0, func(e *env) (got, want []float64) {
				if recorded {
					p, err := e.s.Record(func() { do(e) })
					e.must(err)
					defer p.Free()
					e.s.Run(p)
				} else {
					do(e)
				}
				switch err := e.s.Sync(); {
				case err == nil:
					e.must(errors.New("no error"))
				case errors.Is(err, tensor.ErrUnsupported):
					e.must(err)
				}
				x := e.given(tensor.F32, []float64{1, 2, 3}, 3)
				e.s.Scale(x.Tensor, x.Tensor, 2)
				return e.read(x.Tensor), []float64{2, 4, 6}
			}})
		}
	}
	for _, id := range []int{-1, 5, math.MaxInt32} {
		add(fmt.Sprintf("row %d of 5", id), func(e *env) {
			e.s.Rows(e.empty(tensor.F32, 2, 64), e.weight(tensor.F16, 5, 64).Tensor, e.ids(0, id))
		})
	}
	add("store at a negative position", func(e *env) {
		e.s.Store(e.empty(tensor.F16, 8, 64), e.empty(tensor.F32, 2, 64), e.ids(0, -1))
	})
	add("turn by a negative position", func(e *env) {
		x := e.empty(tensor.F32, 2, 1, 64)
		e.s.RoPE(x, x, e.ids(0, -1), nil, tensor.Rope{Dims: 64, Base: 10000})
	})
	add("attention at a negative position", func(e *env) {
		x, c := e.empty(tensor.F32, 2, 64), e.empty(tensor.F16, 8, 64)
		e.s.Attention(x, x, c, c, e.ids(0, -1), tensor.Attend{Heads: 1, KVHeads: 1, Scale: 1})
	})
	for _, seq := range []int{-2, 3} {
		add(fmt.Sprintf("store into sequence %d of 3", seq), func(e *env) {
			e.s.Sequences(e.ids(0, seq), 3)
			e.s.Store(e.empty(tensor.F16, 24, 64), e.empty(tensor.F32, 2, 64), e.ids(0, 1))
			e.s.Sequences(nil, 0)
		})
		for _, dim := range []int{64, 40} {
			add(fmt.Sprintf("attention in sequence %d of 3, heads of %d", seq, dim), func(e *env) {
				x, c := e.empty(tensor.F32, 2, dim), e.empty(tensor.F16, 24, dim)
				e.s.Sequences(e.ids(0, seq), 3)
				e.s.Attention(x, x, c, c, e.ids(0, 1), tensor.Attend{Heads: 1, KVHeads: 1, Scale: 1})
				e.s.Sequences(nil, 0)
			})
		}
	}
	return all
}

// programs: a recorded step reads what its tensors hold when it runs, and does
// what the operations do one by one.
func programs() []Case {
	var all []Case
	for _, n := range []int{1, 7, 40} {
		all = append(all, Case{"program", fmt.Sprintf("a layer on %d rows", n), 1e-10, func(e *env) (got, want []float64) {
			const dim, heads, kvs, hd, ff, ctx = 256, 8, 2, 32, 512, 128
			w := func(m, k int) *tensor.Tensor { return e.weight(tensor.Q8_0, m, k).Tensor }
			wq, wk, wv, wo := w(heads*hd, dim), w(kvs*hd, dim), w(kvs*hd, dim), w(dim, heads*hd)
			wg, wu, wd := w(ff, dim), w(ff, dim), w(dim, ff)
			norm := e.normal(tensor.F32, 0.1, dim).Tensor
			table := e.weight(tensor.Q8_0, 50, dim).Tensor
			ids, pos := e.ids(count(0, n)...), e.ids(count(0, n)...)
			f := func(shape ...int) *tensor.Tensor { return e.empty(tensor.F32, shape...) }
			x, h, q, k, v := f(n, dim), f(n, dim), f(n, heads*hd), f(n, kvs*hd), f(n, kvs*hd)
			g, u := f(n, ff), f(n, ff)
			rope := tensor.Rope{Dims: hd, Base: 10000, NeoX: true}
			step := func(kc, vc *tensor.Tensor) {
				s := e.s
				s.Rows(x, table, ids)
				s.RMSNorm(h, x, norm, 1e-5)
				s.MatMul(q, wq, h)
				s.MatMul(k, wk, h)
				s.MatMul(v, wv, h)
				s.RoPE(q.Reshape(n, heads, hd), q.Reshape(n, heads, hd), pos, nil, rope)
				s.RoPE(k.Reshape(n, kvs, hd), k.Reshape(n, kvs, hd), pos, nil, rope)
				s.Store(kc, k, pos)
				s.Store(vc, v, pos)
				s.Attention(q, q, kc, vc, pos, tensor.Attend{Heads: heads, KVHeads: kvs, Scale: 0.2})
				s.MatMul(h, wo, q)
				s.Add(x, x, h)
				s.RMSNorm(h, x, norm, 1e-5)
				s.MatMul(g, wg, h)
				s.MatMul(u, wu, h)
				s.GLU(g, g, u, tensor.SiLU)
				s.MatMul(h, wd, g)
				s.Add(x, x, h)
			}
			each := func(run func()) (out []float64) {
				for i := range 3 {
					e.must(e.dev.Write(pos, encode(tensor.I32, numbers(count(i*n, n)))))
					e.must(e.dev.Write(ids, encode(tensor.I32, numbers(count(i, n)))))
					run()
					out = append(out, e.read(x)...)
				}
				return out
			}
			cache := func() *tensor.Tensor { return e.empty(tensor.F16, ctx, kvs*hd) }
			kc, vc := cache(), cache()
			want = each(func() { step(kc, vc) })
			kc, vc = cache(), cache()
			p, err := e.s.Record(func() { step(kc, vc) })
			e.must(err)
			defer p.Free()
			return each(func() { e.s.Run(p) }), want
		}})
	}
	all = append(all, texts()...)
	return append(all, Case{"program", "a step that feeds itself", 0, func(e *env) (got, want []float64) {
		const dim, vocab, k, steps = 256, 60, 5, 6
		table, head := e.weight(tensor.Q8_0, vocab, dim).Tensor, e.weight(tensor.Q8_0, vocab, dim).Tensor
		norm, unit := e.normal(tensor.F32, 1, dim).Tensor, e.ids(1)
		each := func(run func(step func()) func()) (out []float64) {
			ids, pos, best := e.ids(7), e.ids(3), e.empty(tensor.I32, 1)
			x, h, logits := e.empty(tensor.F32, 1, dim), e.empty(tensor.F32, 1, dim), e.empty(tensor.F32, 1, vocab)
			vals, top := e.empty(tensor.F32, k), e.empty(tensor.I32, k)
			next := run(func() {
				s := e.s
				s.Rows(x, table, ids)
				s.RMSNorm(h, x, norm, 1e-5)
				s.MatMul(logits, head, h)
				s.ArgMax(best, logits)
				s.TopK(vals, top, logits)
				s.Convert(ids, best)
				s.Add(pos, pos, unit)
			})
			for range steps {
				next()
				for _, t := range []*tensor.Tensor{best, ids, pos, top} {
					out = append(out, e.read(t)...)
				}
			}
			return out
		}
		want = each(func(step func()) func() { return step })
		got = each(func(step func()) func() {
			p, err := e.s.Record(step)
			e.must(err)
			e.programs = append(e.programs, p)
			return func() { e.s.Run(p) }
		})
		return got, want
	}})
}

func numbers(x []int) []float64 {
	f := make([]float64, len(x))
	for i, v := range x {
		f[i] = float64(v)
	}
	return f
}

// texts: a recorded step of several texts does what its operations do one by one,
// and what becomes of a text does not change in one bit with the number of others.
func texts() []Case {
	var all []Case
	for _, cache := range []tensor.DType{tensor.F16, tensor.Q8_0} {
		for _, alike := range []tensor.Alike{tensor.AlikeFew, tensor.AlikeSome} {
			add := func(name string, bound float64, run func(l *layerOfTexts) (got, want []float64)) {
				all = append(all, Case{"program", fmt.Sprintf("%s, alike %d, cache of %s", name, alike, cache), bound, func(e *env) (got, want []float64) {
					return run(newLayerOfTexts(e, alike, cache))
				}})
			}
			for _, n := range []int{1, 7, 32} {
				add(fmt.Sprintf("a layer of %d texts", n), 1e-6, func(l *layerOfTexts) (got, want []float64) {
					return l.steps(n, true), l.steps(n, false)
				})
			}
			add("texts in layers of several sizes", 0, func(l *layerOfTexts) (got, want []float64) {
				whole := l.steps(textsMost, true)
				for _, n := range []int{1, 2, 8, 17} {
					got = append(got, l.steps(n, true)...)
					for i := range textsSteps {
						want = append(want, whole[i*textsMost*textsDim:][:n*textsDim]...)
					}
				}
				return got, want
			})
		}
	}
	return all
}

// A layerOfTexts is a layer with all that an architecture may have in it.
type layerOfTexts struct {
	e     *env
	alike tensor.Alike
	cache tensor.DType

	wq, wk, wv, wo, gate, up, down              *tensor.Tensor
	norm, post, norm2, qNorm, kNorm, bq, bv, bo *tensor.Tensor
	factors                                     *tensor.Tensor
	x                                           []float64 // of 32 rows, in three steps
}

const (
	textsDim, textsHeads, textsKV, textsHead, textsFFN = 512, 8, 2, 64, 1024
	textsContext, textsMost, textsSteps                = 160, 32, 3
)

func newLayerOfTexts(e *env, alike tensor.Alike, cache tensor.DType) *layerOfTexts {
	w := func(d tensor.DType, m, k int) *tensor.Tensor { return e.weight(d, m, k).Tensor }
	v := func(n int) *tensor.Tensor {
		x := make([]float64, n)
		for i := range x {
			x[i] = 0.1 * (1 + e.rng.Float64())
		}
		t, err := e.dev.Place("v", tensor.F32, []int{n}, encode(tensor.F32, x))
		e.must(err)
		e.made = append(e.made, t)
		return t
	}
	const dim, q, kv, ff = textsDim, textsHeads * textsHead, textsKV * textsHead, textsFFN
	l := &layerOfTexts{e: e, alike: alike, cache: cache,
		wq: w(tensor.Q4_K, q, dim), wk: w(tensor.Q4_K, kv, dim), wv: w(tensor.Q6_K, kv, dim), wo: w(tensor.Q4_K, dim, q),
		gate: w(tensor.Q8_0, ff, dim), up: w(tensor.Q8_0, ff, dim), down: w(tensor.Q6_K, dim, ff),
		norm: v(dim), post: v(dim), norm2: v(dim), qNorm: v(textsHead), kNorm: v(textsHead), bq: v(q), bv: v(kv), bo: v(dim), factors: v(textsHead / 2)}
	for range textsSteps * textsMost * dim {
		l.x = append(l.x, e.rng.NormFloat64())
	}
	return l
}

// steps are x after each of several steps of n texts, the last of them at the end of
// a cache.
func (l *layerOfTexts) steps(n int, recorded bool) (out []float64) {
	const dim, heads, kvs, hd, ff, ctx = textsDim, textsHeads, textsKV, textsHead, textsFFN, textsContext
	e, s := l.e, l.e.s
	f := func(shape ...int) *tensor.Tensor { return e.empty(tensor.F32, shape...) }
	x, h, q, att, k, v, g, u := f(n, dim), f(n, dim), f(n, heads*hd), f(n, heads*hd), f(n, kvs*hd), f(n, kvs*hd), f(n, ff), f(n, ff)
	kc, vc := e.empty(l.cache, textsMost*ctx, kvs*hd), e.empty(l.cache, textsMost*ctx, kvs*hd)
	seq, pos := e.ids(count(0, n)...), e.ids(count(0, n)...)
	qh, kh := q.Reshape(n, heads, hd), k.Reshape(n, kvs, hd)
	rope := tensor.Rope{Dims: hd, Base: 10000, NeoX: true}
	step := func() {
		s.Alike(l.alike)
		s.Sequences(seq, textsMost)
		s.RMSNorm(h, x, l.norm, 1e-5)
		s.MatMul(q, l.wq, h)
		s.MatMul(k, l.wk, h)
		s.MatMul(v, l.wv, h)
		s.Add(q, q, l.bq)
		s.Add(v, v, l.bv)
		s.RMSNorm(qh, qh, l.qNorm, 1e-5)
		s.RMSNorm(kh, kh, l.kNorm, 1e-5)
		s.RoPE(qh, qh, pos, l.factors, rope)
		s.RoPE(kh, kh, pos, l.factors, rope)
		s.Store(kc, k, pos)
		s.Store(vc, v, pos)
		s.Attention(att, q, kc, vc, pos, tensor.Attend{Heads: heads, KVHeads: kvs, Scale: 2})
		s.MatMul(h, l.wo, att)
		s.Add(h, h, l.bo)
		s.RMSNorm(h, h, l.post, 1e-5)
		s.Add(x, x, h)
		s.RMSNorm(h, x, l.norm2, 1e-5)
		s.MatMul(g, l.gate, h)
		s.MatMul(u, l.up, h)
		s.GLU(g, g, u, tensor.GELU)
		s.MatMul(h, l.down, g)
		s.Add(x, x, h)
		s.Sequences(nil, 0)
		s.Alike(tensor.Apart)
	}
	run := step
	if recorded {
		p, err := s.Record(step)
		e.must(err)
		defer p.Free()
		run = func() { s.Run(p) }
	}
	for i := range textsSteps {
		e.must(e.dev.Write(x, encode(tensor.F32, l.x[i*textsMost*dim:][:n*dim])))
		at := make([]int, n)
		for j := range at {
			if at[j] = i; i == textsSteps-1 {
				at[j] = ctx - 1 - j
			}
		}
		e.must(e.dev.Write(pos, encode(tensor.I32, numbers(at))))
		run()
		out = append(out, e.read(x)...)
	}
	return out
}
