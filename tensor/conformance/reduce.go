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
