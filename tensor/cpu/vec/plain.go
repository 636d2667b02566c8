package vec

import (
	"encoding/binary"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// plain is what the loops compute, in Go that any machine runs.
var plain = loops{
	add: func(dst, a, b []float32) {
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	},
	mul: func(dst, a, b []float32) {
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	},
	scale: func(dst, x []float32, f float32) {
		for i := range dst {
			dst[i] = x[i] * f
		}
	},
	scaleMul: func(dst, x, w []float32, f float32) {
		for i := range dst {
			dst[i] = x[i] * f * w[i]
		}
	},
	sumSq: func(x []float32) float32 {
		sum := 0.0
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		return float32(sum)
	},
	max: func(x []float32) float32 {
		m := float32(math.Inf(-1))
		for _, v := range x {
			if v > m {
				m = v
			}
		}
		return m
	},
	expSum: func(dst, x []float32, sub float32) float32 {
		sum := 0.0
		for i, v := range x {
			e := math.Exp(float64(v - sub))
			dst[i] = float32(e)
			sum += e
		}
		return float32(sum)
	},
	silu: func(dst, x, y []float32) {
		for i, v := range x {
			dst[i] = float32(float64(v)*Sigmoid(float64(v))) * y[i]
		}
	},
	gelu: func(dst, x, y []float32) {
		for i, v := range x {
			dst[i] = float32(GELU(float64(v))) * y[i]
		}
	},
	geluErf: func(dst, x []float32) {
		for i, v := range x {
			dst[i] = float32(GELUErf(float64(v)))
		}
	},
	tanhCap: func(dst, x []float32, cap float32) {
		for i, v := range x {
			dst[i] = cap * float32(math.Tanh(float64(v/cap)))
		}
	},
	turn: func(dst, x, cos, sin []float32) {
		for i, c := range cos {
			a, b, s := x[2*i], x[2*i+1], sin[i]
			dst[2*i], dst[2*i+1] = a*c-b*s, a*s+b*c
		}
	},
	turnHalf: func(dst, x, cos, sin []float32) {
		h := len(cos)
		for i, c := range cos {
			a, b, s := x[i], x[i+h], sin[i]
			dst[i], dst[i+h] = a*c-b*s, a*s+b*c
		}
	},
	fromHalf: func(dst []float32, src []uint16) {
		for i, h := range src {
			dst[i] = tensor.HalfToFloat(h)
		}
	},
	toHalf: func(dst []uint16, src []float32) {
		for i, v := range src {
			dst[i] = tensor.FloatToHalf(v)
		}
	},
	fromQ8: func(dst []float32, src []byte) {
		for len(dst) >= 32 {
			d := tensor.HalfToFloat(binary.LittleEndian.Uint16(src))
			for i, q := range src[2:34] {
				dst[i] = d * float32(int8(q))
			}
			dst, src = dst[32:], src[34:]
		}
	},
	gemm: func(c []float32, ldc int, a []float32, rowA, colA int, b []float32, ldb int, m, n, k int, add bool) {
		for i := range m {
			row := c[i*ldc:][:n]
			if !add {
				clear(row)
			}
			for l := range k {
				f := a[i*rowA+l*colA]
				for j, v := range b[l*ldb:][:n] {
					row[j] += f * v
				}
			}
		}
	},
	soften: func(s []float32, keys, n int, scale float32, max, sum, factor []float32) {
		inf := float32(math.Inf(-1))
		for j := range n {
			top := max[j]
			for i := range keys {
				s[i*n+j] *= scale
				if v := s[i*n+j]; v > top {
					top = v
				}
			}
			ref := top
			if ref == inf { // nothing but masked scores so far: exp(-Inf-0) is the 0 that we want
				ref = 0
			}
			factor[j] = float32(math.Exp(float64(max[j] - ref)))
			sum[j] *= factor[j]
			for i := range keys {
				e := float32(math.Exp(float64(s[i*n+j] - ref)))
				s[i*n+j] = e
				sum[j] += e
			}
			max[j] = top
		}
	},
	scores: func(dst []float32, ldd int, q []float32, heads, dim int, k []float32, ldk, keys int) {
		for h := range heads {
			for j := range keys {
				dst[h*ldd+j] = dot(q[h*dim:][:dim], k[j*ldk:][:dim])
			}
		}
	},
	scores16: func(dst []float32, ldd int, q []float32, heads, dim int, k []uint16, ldk, keys int) {
		for h := range heads {
			for j := range keys {
				sum := float32(0)
				for i, x := range k[j*ldk:][:dim] {
					sum += q[h*dim+i] * tensor.HalfToFloat(x)
				}
				dst[h*ldd+j] = sum
			}
		}
	},
	gemm16: func(c []float32, ldc int, a []float32, rowA, colA int, b []uint16, ldb int, m, n, k int, add bool) {
		for i := range m {
			row := c[i*ldc:][:n]
			if !add {
				clear(row)
			}
			for l := range k {
				f := a[i*rowA+l*colA]
				for j, h := range b[l*ldb:][:n] {
					row[j] += f * tensor.HalfToFloat(h)
				}
			}
		}
	},
}

// dot has four sums, which is also what keeps a plain processor busy.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + (s2 + s3)
}
