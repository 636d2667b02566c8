package conformance

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

func ropes() []Case {
	var all []Case
	add := func(name string, n, heads, dim int, factors bool, r tensor.Rope) {
		for _, neox := range []bool{false, true} {
			r := r
			r.NeoX = neox
			pairing := "neighbours"
			if neox {
				pairing = "halves"
			}
			all = append(all, Case{"rope", fmt.Sprintf("%s (%d,%d,%d) %s", name, n, heads, dim, pairing), usualBound,
				func(e *env) (got, want []float64) {
					x, pos := e.normal(tensor.F32, 1, n, heads, dim), make([]int, n)
					for i := range pos {
						pos[i] = (i*37 + 5) % 8000
					}
					var f operand
					if factors {
						x := make([]float64, r.Dims/2)
						for i := range x {
							x[i] = 1 + 7*float64(i)/float64(len(x))
						}
						f = e.given(tensor.F32, x, r.Dims/2)
					}
					out := x.Tensor
					if n%2 == 0 { // else in place
						out = e.empty(tensor.F32, n, heads, dim)
					}
					e.s.RoPE(out, x.Tensor, e.ids(pos...), f.Tensor, r)
					for i := range n * heads {
						want = append(want, turned(x.x[i*dim:][:dim], pos[i/heads], f.x, &r)...)
					}
					return e.read(out), want
				}})
		}
	}
	for _, n := range []int{1, 2, 7, 64, 513} {
		add("plain", n, 3, 64, false, tensor.Rope{Dims: 64, Base: 10000})
	}
	add("plain", 7, 1, 128, false, tensor.Rope{Dims: 128, Base: 500000})
	add("plain", 3, 4, 80, false, tensor.Rope{Dims: 80, Base: 10000})
	add("plain", 3, 2, 256, false, tensor.Rope{Dims: 256, Base: 1e6})
	add("first 32 of 96", 7, 3, 96, false, tensor.Rope{Dims: 32, Base: 10000})
	add("linear", 7, 3, 64, false, tensor.Rope{Dims: 64, Base: 10000, Scale: 1. / 8})
	add("factors", 7, 3, 64, true, tensor.Rope{Dims: 64, Base: 500000})
	add("factors and multiplier", 7, 3, 96, true, tensor.Rope{Dims: 96, Base: 10000, AttnMul: 1.19})
	add("yarn", 7, 3, 128, false, tensor.Rope{Dims: 128, Base: 1e6, Scale: 0.25, AttnMul: 1.1386, YaRN: 1, BetaFast: 32, BetaSlow: 1, OrigCtx: 4096})
	return all
}

// turned is one head at a position, from the definitions in the papers: pairs
// as complex numbers times exp(i·angle).
func turned(x []float64, pos int, factors []float64, r *tensor.Rope) []float64 {
	y := append([]float64(nil), x...)
	for i := range r.Dims / 2 {
		theta := float64(pos) * math.Pow(r.Base, -2*float64(i)/float64(r.Dims))
		if factors != nil {
			theta /= factors[i]
		}
		scale := r.Scale
		if scale == 0 {
			scale = 1
		}
		if r.YaRN != 0 { // section 3.2: between pairs that are interpolated and pairs that are left alone
			pair := func(rotations float64) float64 { // the pair that turns so often in the training's context
				return float64(r.Dims) / 2 * math.Log(float64(r.OrigCtx)/(2*math.Pi*rotations)) / math.Log(r.Base)
			}
			lo, hi := max(math.Floor(pair(r.BetaFast)), 0), min(math.Ceil(pair(r.BetaSlow)), float64(r.Dims-1))
			interpolated := min(max((float64(i)-lo)/(hi-lo), 0), 1)
			w := (1 - interpolated) * r.YaRN
			theta = theta*w + theta*scale*(1-w)
		} else {
			theta *= scale
		}
		a, b := 2*i, 2*i+1
		if r.NeoX {
			a, b = i, i+r.Dims/2
		}
		sin, cos := math.Sincos(theta)
		if r.AttnMul != 0 {
			sin, cos = sin*r.AttnMul, cos*r.AttnMul
		}
		y[a], y[b] = x[a]*cos-x[b]*sin, x[a]*sin+x[b]*cos
	}
	return y
}
