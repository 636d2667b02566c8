package cpu

import (
	"errors"
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// binary: dst = fn(a, b), where b repeats along a. Integers are computed in
// int64 and keep their low bits. Div of integers rounds down, as // does in
// Python; NaN comes through Min and Max.
func (p *program) binary(op *tensor.Op) error {
	n, m := op.A.Len(), op.B.Len()
	uses := []access{writes(op.Dst.Data), reads(op.A.Data), reads(op.B.Data)}
	if n == 0 {
		return nil
	}
	if m != n && overlap(op.Dst.Data, op.B.Data) { // b is needed again after its place was written
		return refuse(op, "%s into its second operand %s of another shape", op.Fn, op.B)
	}
	switch {
	case op.A.DType == tensor.F32 && (op.Fn == tensor.Add || op.Fn == tensor.Mul) && m > 1:
		p.addMul(op, uses)
	case integer(op.A.DType):
		p.elements(op, n, 8, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				v, err := integers(op.Fn, getInt(op.A, i), getInt(op.B, i%m))
				if err != nil {
					return err
				}
				putInt(op.Dst, i, v)
			}
			return nil
		}, uses...)
	default:
		p.elements(op, n, 20, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				putFloat(op.Dst, i, floats(op.Fn, getFloat(op.A, i), getFloat(op.B, i%m)))
			}
			return nil
		}, uses...)
	}
	return nil
}

// addMul is what models need: f32 sums and products, of whole tensors or with
// a row for every row.
func (p *program) addMul(op *tensor.Op, uses []access) {
	dst, a, b := f32s(op.Dst), f32s(op.A), f32s(op.B)
	run := vec.Add
	if op.Fn == tensor.Mul {
		run = vec.Mul
	}
	if len(b) == len(a) {
		p.elements(op, len(a), 1, func(lo, hi int) error {
			run(dst[lo:hi], a[lo:hi], b[lo:hi])
			return nil
		}, uses...)
		return
	}
	m := len(b)
	p.each(op, len(a)/m, m, func(_ *worker, lo, hi int) error {
		for i := lo * m; i < hi*m; i += m {
			run(dst[i:i+m], a[i:i+m], b)
		}
		return nil
	}, uses...)
}

func overlap(a, b []byte) bool {
	return addr(a) < addr(b)+uintptr(len(b)) && addr(b) < addr(a)+uintptr(len(a))
}

func floats(fn tensor.Fn, a, b float64) float64 {
	switch fn {
	case tensor.Add:
		return a + b
	case tensor.Sub:
		return a - b
	case tensor.Mul:
		return a * b
	case tensor.Div:
		return a / b
	case tensor.Pow:
		return math.Pow(a, b)
	case tensor.Min:
		return min(a, b)
	case tensor.Max:
		return max(a, b)
	}
	panic("binary: " + fn.String())
}

var (
	errDivide = errors.New("integer division by zero")
	errPower  = errors.New("an integer to a negative power; convert to a float type first")
)

func integers(fn tensor.Fn, a, b int64) (int64, error) {
	switch fn {
	case tensor.Add:
		return a + b, nil
	case tensor.Sub:
		return a - b, nil
	case tensor.Mul:
		return a * b, nil
	case tensor.Div:
		if b == 0 {
			return 0, errDivide
		}
		q := a / b
		if a%b != 0 && (a < 0) != (b < 0) {
			q--
		}
		return q, nil
	case tensor.Pow:
		if b < 0 {
			return 0, errPower
		}
		r := int64(1)
		for ; b > 0; b >>= 1 {
			if b&1 == 1 {
				r *= a
			}
			a *= a
		}
		return r, nil
	case tensor.Min:
		return min(a, b), nil
	case tensor.Max:
		return max(a, b), nil
	}
	panic("binary: " + fn.String())
}
