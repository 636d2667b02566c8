package cpu

import (
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// reduce: one number of each row. Integers are summed in int64 and keep their
// low bits, floats in float64; NaN comes through Min and Max.
func (p *program) reduce(op *tensor.Op) error {
	x, cols := op.A, op.A.Cols()
	if integer(x.DType) && op.Fn == tensor.Mean {
		return refuse(op, "mean of %s: convert it to a float type first", x.DType)
	}
	p.each(op, x.Rows(), 4*cols, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			if integer(x.DType) {
				putInt(op.Dst, i, reduceInts(op.Fn, x, i*cols, cols))
			} else {
				putFloat(op.Dst, i, reduceFloats(op.Fn, x, i*cols, cols))
			}
		}
		return nil
	}, writes(op.Dst.Data), reads(x.Data))
	return nil
}

func reduceInts(fn tensor.Fn, x *tensor.Tensor, at, n int) int64 {
	acc := getInt(x, at)
	for i := at + 1; i < at+n; i++ {
		switch v := getInt(x, i); fn {
		case tensor.Sum:
			acc += v
		case tensor.Prod:
			acc *= v
		case tensor.Min:
			acc = min(acc, v)
		case tensor.Max:
			acc = max(acc, v)
		}
	}
	return acc
}

func reduceFloats(fn tensor.Fn, x *tensor.Tensor, at, n int) float64 {
	acc := getFloat(x, at)
	for i := at + 1; i < at+n; i++ {
		switch v := getFloat(x, i); fn {
		case tensor.Sum, tensor.Mean:
			acc += v
		case tensor.Prod:
			acc *= v
		case tensor.Min:
			acc = math.Min(acc, v)
		case tensor.Max:
			acc = math.Max(acc, v)
		}
	}
	if fn == tensor.Mean {
		acc /= float64(n)
	}
	return acc
}
