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
