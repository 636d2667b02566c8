package expr

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// A scalarFn is a function of each number, on devices and of scalars.
type scalarFn struct {
	fn     tensor.Fn
	doc    string
	scalar func(float64) float64
	ints   func(int64) int64 // where integers stay integers, else nil
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

var scalarFns = map[string]scalarFn{
	"neg":     {tensor.Neg, "-x", func(x float64) float64 { return -x }, func(n int64) int64 { return -n }},
	"abs":     {tensor.Abs, "x without its sign", math.Abs, func(n int64) int64 { return max(n, -n) }},
	"relu":    {tensor.ReLU, "x, or 0 where x is negative", func(x float64) float64 { return max(x, 0) }, func(n int64) int64 { return max(n, 0) }},
	"exp":     {tensor.Exp, "e to the power of x", math.Exp, nil},
	"log":     {tensor.Log, "natural logarithm", math.Log, nil},
	"sqrt":    {tensor.Sqrt, "square root", math.Sqrt, nil},
	"sin":     {tensor.Sin, "sine", math.Sin, nil},
	"cos":     {tensor.Cos, "cosine", math.Cos, nil},
	"tanh":    {tensor.Tanh, "hyperbolic tangent", math.Tanh, nil},
	"sigmoid": {tensor.Sigmoid, "1/(1+exp(-x))", sigmoid, nil},
	"silu":    {tensor.SiLU, "x·sigmoid(x)", func(x float64) float64 { return x * sigmoid(x) }, nil},
	"gelu":    {tensor.GELUErf, "0.5x(1+erf(x/√2))", func(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }, nil},
	"gelu_tanh": {tensor.GELU, "gelu by its tanh approximation", func(x float64) float64 {
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}, nil},
}

func init() {
	for id, f := range scalarFns {
		register(Function{Name: id, Usage: id + "(A)", Doc: f.doc + ", of each number", method: true,
			run: func(r *run, a *arguments) (Value, error) {
				v := asNumber(a.value("A"))
				if err := a.finish(); err != nil {
					return nil, err
				}
				return r.unaryFn(id, v)
			}})
	}
	reductions := map[string]struct {
		fn  tensor.Fn
		doc string
	}{"sum": {tensor.Sum, "sum"}, "mean": {tensor.Mean, "mean"}, "prod": {tensor.Prod, "product"},
		"max": {tensor.Max, "largest number"}, "min": {tensor.Min, "smallest number"}}
	for id, f := range reductions {
		register(Function{Name: id, Usage: id + "(A, dim=0, keepdim=false)", Doc: f.doc + " of all numbers, or along dimension dim",
			method: true, named: "dim keepdim", run: func(r *run, a *arguments) (Value, error) {
				x, dim, keep := a.array(), a.dim(), a.bool("keepdim")
				if err := a.finish(); err != nil {
					return nil, err
				}
				return r.reduce(x, f.fn, dim, keep)
			}})
	}
	for id, smallest := range map[string]bool{"argmax": false, "argmin": true} {
		doc := "place of the largest number"
		if smallest {
			doc = "place of the smallest number"
		}
		register(Function{Name: id, Usage: id + "(A, dim=0, keepdim=false)", Doc: doc + " of all, or along dimension dim", method: true,
			named: "dim keepdim", run: func(r *run, a *arguments) (Value, error) {
				x, dim, keep := a.array(), a.dim(), a.bool("keepdim")
				if err := a.finish(); err != nil {
					return nil, err
				}
				return r.argMax(x, dim, keep, smallest)
			}})
	}
	for id, op := range map[string]string{"maximum": "maximum", "minimum": "minimum", "pow": "**", "matmul": "@"} {
		doc := map[string]string{"maximum": "the larger of each two numbers", "minimum": "the smaller of each two numbers",
			"pow": "A ** B", "matmul": "A @ B"}[id]
		register(Function{Name: id, Usage: id + "(A, B)", Doc: doc, method: true, run: func(r *run, a *arguments) (Value, error) {
			x, y := a.value("A"), a.value("B")
			if err := a.finish(); err != nil {
				return nil, err
			}
			if isScalar(x) && isScalar(y) && (op == "maximum" || op == "minimum") {
				if (toFloat(x) < toFloat(y)) == (op == "maximum") {
					return y, nil
				}
				return x, nil
			}
			return r.binary(op, x, y)
		}})
	}
	register(Function{Name: "softmax", Usage: "softmax(A, dim=-1)", Doc: "exp(x) divided by its sum along dimension dim", method: true, named: "dim", run: softmax})
}

// unaryFn applies a function of scalarFns to each number of v.
func (r *run) unaryFn(id string, v Value) (Value, error) {
	f := scalarFns[id]
	switch v := v.(type) {
	case int64:
		if f.ints != nil {
			return f.ints(v), nil
		}
		return f.scalar(float64(v)), nil
	case float64:
		return f.scalar(v), nil
	case *Array:
		x, err := r.plain(v)
		if err != nil {
			return nil, err
		}
		if isInt(x.DType()) && f.ints == nil {
			if x, err = r.convert(x, tensor.F32); err != nil {
				return nil, err
			}
		}
		out, err := r.alloc(x.Device(), x.DType(), x.t.Shape...)
		if err != nil || out.t.Len() == 0 {
			return out, err
		}
		s := r.stream(x.Device())
		s.Unary(out.t, x.t, f.fn)
		return out, s.Err()
	}
	return nil, fmt.Errorf("%s: want a tensor or a number, not %s", id, r.brief(v))
}

func softmax(r *run, a *arguments) (Value, error) {
	x, dim := a.array(), a.dim()
	if err := a.finish(); err != nil {
		return nil, err
	}
	if dim == nil {
		last := -1
		dim = &last
	}
	return r.softmax(x, *dim)
}
