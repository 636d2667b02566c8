package conformance

import (
	"fmt"

	"github.com/llcuda/llcuda/tensor"
)

const productBound = 5e-4

func matMul() []Case {
	var all []Case
	add := func(w, x, dst tensor.DType, n, m, k int) {
		all = append(all, Case{"matmul", fmt.Sprintf("%s(%d,%d)=%s(%d,%d)·%s(%d,%d)", dst, n, m, x, n, k, w, m, k), productBound,
			func(e *env) (got, want []float64) {
				w, x := e.weight(w, m, k), e.normal(x, 1, n, k)
				out := e.empty(dst, n, m)
				e.s.MatMul(out, w.Tensor, x.Tensor)
				return e.read(out), product(w.x, x.x, n, m, k)
			}})
	}
	for _, d := range tensor.DTypes() { // every type of weights
		for _, n := range []int{1, 7} {
			add(d, tensor.F32, tensor.F32, n, 33, 512)
		}
		if d.BlockLen() <= 32 {
			add(d, tensor.F32, tensor.F32, 3, 5, 160) // no whole number of 256 blocks
		}
		if d.BlockLen() == 1 {
			add(d, tensor.F32, tensor.F32, 2, 3, 37)
		}
	}
	for _, d := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1,
		tensor.Q8_0, tensor.Q4_K, tensor.Q5_K, tensor.Q6_K, tensor.NF4, tensor.LLM_INT8} { // what models are made of
		for _, n := range []int{1, 2, 4, 8, 31, 64, 513} {
			add(d, tensor.F32, tensor.F32, n, 67, 768)
		}
		add(d, tensor.F32, tensor.F32, 1, 500, 2304)
		add(d, tensor.F32, tensor.F32, 5, 1, 256)
	}
	for _, x := range []tensor.DType{tensor.F16, tensor.BF16} {
		for _, dst := range []tensor.DType{x, tensor.F32} {
			add(tensor.F16, x, dst, 7, 33, 256)
			add(tensor.Q4_K, x, dst, 1, 33, 256)
		}
	}
	all = append(all, Case{"matmul", "rows of a placed weight", productBound, func(e *env) (got, want []float64) {
		w, x, out := e.weight(tensor.Q8_0, 64, 256), e.normal(tensor.F32, 1, 3, 256), e.empty(tensor.F32, 3, 20)
		e.s.MatMul(out, w.Slice(7, 27), x.Tensor)
		return e.read(out), product(w.x[7*256:27*256], x.x, 3, 20, 256)
	}}, Case{"matmul", "several of one input, which then changes", productBound, func(e *env) (got, want []float64) {
		a, b, x := e.weight(tensor.Q4_K, 64, 256), e.weight(tensor.Q8_0, 32, 256), e.normal(tensor.F32, 1, 3, 256)
		outs := []*tensor.Tensor{e.empty(tensor.F32, 3, 64), e.empty(tensor.F32, 3, 32), e.empty(tensor.F32, 3, 64)}
		p, err := e.s.Record(func() {
			e.s.MatMul(outs[0], a.Tensor, x.Tensor)
			e.s.MatMul(outs[1], b.Tensor, x.Tensor)
			e.s.Scale(x.Tensor, x.Tensor, 2)
			e.s.MatMul(outs[2], a.Tensor, x.Tensor)
		})
		e.must(err)
		defer p.Free()
		e.s.Run(p)
		for _, o := range outs {
			got = append(got, e.read(o)...)
		}
		want = append(product(a.x, x.x, 3, 64, 256), product(b.x, x.x, 3, 32, 256)...)
		for _, v := range want[:3*64] {
			want = append(want, 2*v)
		}
		return got, want
	}})
	return all
}

// product is x (n, k) · wᵀ, where w is (m, k).
func product(w, x []float64, n, m, k int) []float64 {
	out := make([]float64, n*m)
	for i := range n {
		for j := range m {
			a, b, sum := x[i*k:][:k], w[j*k:][:k], 0.0
			for l := range a {
				sum += a[l] * b[l]
			}
			out[i*m+j] = sum
		}
	}
	return out
}
