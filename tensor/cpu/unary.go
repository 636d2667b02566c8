package cpu

import (
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// unary: dst = fn(x). Integers have the functions that stay among integers;
// f64 is computed in float64, so are the others before they are rounded.
func (p *program) unary(op *tensor.Op) error {
	x, fn, limit := op.A, op.Fn, float64(op.Scale)
	uses := []access{writes(op.Dst.Data), reads(x.Data)}
	if integer(x.DType) {
		var f func(int64) int64
		switch fn {
		case tensor.Neg:
			f = func(v int64) int64 { return -v }
		case tensor.Abs:
			f = func(v int64) int64 { return max(v, -v) }
		case tensor.ReLU:
			f = func(v int64) int64 { return max(v, 0) }
		default:
			return refuse(op, "%s of %s: convert it to a float type first", fn, x.DType)
		}
		p.elements(op, x.Len(), 4, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				putInt(op.Dst, i, f(getInt(x, i)))
			}
			return nil
		}, uses...)
		return nil
	}
	if x.DType == tensor.F32 && fn == tensor.Tanhcap {
		dst, x := f32s(op.Dst), f32s(x)
		p.elements(op, len(x), 4, func(lo, hi int) error {
			vec.TanhCap(dst[lo:hi], x[lo:hi], op.Scale)
			return nil
		}, uses...)
		return nil
	}
	if x.DType == tensor.F32 && fn == tensor.GELUErf {
		dst, x := f32s(op.Dst), f32s(x)
		p.elements(op, len(x), 4, func(lo, hi int) error {
			vec.GELUErfs(dst[lo:hi], x[lo:hi])
			return nil
		}, uses...)
		return nil
	}
	p.elements(op, x.Len(), 40, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			putFloat(op.Dst, i, function(fn, getFloat(x, i), limit))
		}
		return nil
	}, uses...)
	return nil
}

// function is fn of one number; limit is Tanhcap's.
func function(fn tensor.Fn, x, limit float64) float64 {
	switch fn {
	case tensor.Neg:
		return -x
	case tensor.Abs:
		return math.Abs(x)
	case tensor.Exp:
		return math.Exp(x)
	case tensor.Log:
		return math.Log(x)
	case tensor.Sqrt:
		return math.Sqrt(x)
	case tensor.Sin:
		return math.Sin(x)
	case tensor.Cos:
		return math.Cos(x)
	case tensor.Tanh:
		return math.Tanh(x)
	case tensor.Sigmoid:
		return vec.Sigmoid(x)
	case tensor.ReLU:
		if x < 0 { // and NaN stays NaN
			return 0
		}
		return x
	case tensor.SiLU:
		return x * vec.Sigmoid(x)
	case tensor.GELU:
		return vec.GELU(x)
	case tensor.GELUErf:
		return vec.GELUErf(x)
	case tensor.Tanhcap:
		return limit * math.Tanh(x/limit)
	}
	panic("unary: " + fn.String())
}
