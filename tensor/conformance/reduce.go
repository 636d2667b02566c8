package conformance

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

func softmaxOf(x []float64) []float64 {
	top, sum := slices.Max(x), 0.0
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = math.Exp(v - top)
		sum += y[i]
	}
	for i := range y {
		y[i] /= sum
	}
	return y
}

func softmaxes() []Case {
	var all []Case
	for _, s := range [][2]int{{1, 1}, {2, 7}, {7, 64}, {64, 513}, {3, 32003}, {513, 33}} {
		for _, spread := range []float64{0.01, 3, 1000} {
			all = append(all, Case{"softmax", fmt.Sprintf("%v spread %v", s, spread), 1e-6, func(e *env) (got, want []float64) {
				x := e.normal(tensor.F32, spread, s[0], s[1])
				out := x.Tensor
				if s[0]%2 == 0 {
					out = e.empty(tensor.F32, s[0], s[1])
				}
				e.s.Softmax(out, x.Tensor)
				return e.read(out), eachRow(x.x, s[1], softmaxOf)
			}})
		}
	}
	all = append(all, Case{"softmax", "masked numbers", 1e-6, func(e *env) (got, want []float64) {
		x := []float64{1, math.Inf(-1), 2, math.Inf(-1), 0.5}
		t := e.given(tensor.F32, x, 1, 5)
		e.s.Softmax(t.Tensor, t.Tensor)
		return e.read(t.Tensor), softmaxOf(x)
	}})
	return all
}

func reductions() []Case {
	var all []Case
	fns := map[tensor.Fn]func(x []float64) float64{
		tensor.Sum: func(x []float64) float64 {
			s := 0.0
			for _, v := range x {
				s += v
			}
			return s
		},
		tensor.Prod: func(x []float64) float64 {
			p := 1.0
			for _, v := range x {
				p *= v
			}
			return p
		},
		tensor.Min: slices.Min[[]float64],
		tensor.Max: slices.Max[[]float64],
	}
	fns[tensor.Mean] = func(x []float64) float64 { return fns[tensor.Sum](x) / float64(len(x)) }
	for fn, f := range fns {
		for _, d := range append(intTypes, floatTypes...) {
			for _, s := range [][2]int{{1, 1}, {3, 40}, {7, 513}} {
				integer := elementBound(d) == 0
				if integer && (fn == tensor.Mean || fn == tensor.Prod) || fn == tensor.Prod && s[1] > 40 {
					continue
				}
				all = append(all, Case{"reduce", fmt.Sprintf("%s of %s %v", fn, d, s), elementBound(d), func(e *env) (got, want []float64) {
					x, out := e.normal(d, 2, s[0], s[1]), e.empty(d, s[0])
					e.s.Reduce(out, x.Tensor, fn)
					want = eachRow(x.x, s[1], func(row []float64) []float64 {
						y := f(row)
						if integer {
							y = wrap(d, y)
						}
						return []float64{y}
					})
					return e.read(out), rounded(d, want)
				}})
			}
		}
	}
	slices.SortFunc(all, func(a, b Case) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func argMaxes() []Case {
	var all []Case
	for _, s := range [][2]int{{1, 1}, {7, 33}, {64, 513}, {2, 151936}} {
		all = append(all, Case{"arg_max", fmt.Sprint(s), 0, func(e *env) (got, want []float64) {
			x, out := e.normal(tensor.F32, 1, s[0], s[1]), e.empty(tensor.I32, s[0])
			e.s.ArgMax(out, x.Tensor)
			return e.read(out), eachRow(x.x, s[1], func(row []float64) []float64 {
				return []float64{float64(slices.Index(row, slices.Max(row)))}
			})
		}})
	}
	all = append(all, Case{"arg_max", "the first of equals", 0, func(e *env) (got, want []float64) {
		x := make([]float64, 2*1000)
		x[900], x[17], x[18], x[1999], x[1500] = 3, 3, 3, -1, 5
		t, out := e.given(tensor.F32, x, 2, 1000), e.empty(tensor.I32, 2)
		e.s.ArgMax(out, t.Tensor)
		return e.read(out), []float64{17, 500}
	}})
	return all
}

// topKs: values and indices of the largest, in order.
func topKs() []Case {
	sorted := func(x []float64, cols, k int) (vals, ids []float64) {
		for row := range slices.Chunk(x, cols) {
			order := numbers(count(0, cols))
			slices.SortStableFunc(order, func(a, b float64) int { return cmp.Compare(row[int(b)], row[int(a)]) })
			for _, i := range order[:k] {
				vals, ids = append(vals, row[int(i)]), append(ids, i)
			}
		}
		return vals, ids
	}
	check := func(e *env, x operand, k int) (got, want []float64) {
		vals, ids := e.empty(tensor.F32, x.Rows(), k), e.empty(tensor.I32, x.Rows(), k)
		e.s.TopK(vals, ids, x.Tensor)
		wantVals, wantIDs := sorted(x.x, x.Cols(), k)
		return append(e.read(vals), e.read(ids)...), append(wantVals, wantIDs...)
	}
	var all []Case
	for _, s := range [][3]int{{1, 1, 1}, {2, 7, 7}, {7, 33, 5}, {1, 1000, 64}, {3, 4097, 256}, {1, 32000, 40}, {1, 151936, 128}, {1, 262144, 256}} {
		all = append(all, Case{"top_k", fmt.Sprintf("%d of [%d %d]", s[2], s[0], s[1]), 0, func(e *env) (got, want []float64) {
			return check(e, e.normal(tensor.F32, 3, s[0], s[1]), s[2])
		}})
	}
	all = append(all, Case{"top_k", "the first of equals", 0, func(e *env) (got, want []float64) {
		x := make([]float64, 5000)
		for i := range x {
			x[i] = float64(e.rng.IntN(20))
		}
		return check(e, e.given(tensor.F32, x, 1, len(x)), 200)
	}}, Case{"top_k", "all equal", 0, func(e *env) (got, want []float64) {
		return check(e, e.given(tensor.F32, make([]float64, 3000), 1, 3000), 100)
	}}, Case{"top_k", "rising", 0, func(e *env) (got, want []float64) {
		return check(e, e.given(tensor.F32, numbers(count(-9000, 20000)), 1, 20000), 256)
	}}, Case{"top_k", "infinities", 0, func(e *env) (got, want []float64) {
		x := []float64{1, math.Inf(-1), 2, math.Inf(1), math.Inf(-1), 0.5}
		return check(e, e.given(tensor.F32, x, 1, 6), 5)
	}}, Case{"top_k", "no numbers", 0, func(e *env) (got, want []float64) {
		x := e.given(tensor.F32, []float64{math.NaN(), 3, math.NaN(), -1, 7}, 1, 5)
		x.x[0], x.x[2] = math.Inf(-1), math.Inf(-1)
		return check(e, x, 4)
	}})
	return all
}
