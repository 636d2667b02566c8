package expr

import (
	"fmt"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

var binaryFns = map[string]tensor.Fn{"+": tensor.Add, "-": tensor.Sub, "*": tensor.Mul, "/": tensor.Div, "**": tensor.Pow,
	"maximum": tensor.Max, "minimum": tensor.Min}

// floorDiv asks elementwise for integers' own division.
const floorDiv = ^tensor.Fn(0)

// binary applies an operator, or maximum or minimum, to two values.
func (r *run) binary(op string, x, y Value) (Value, error) {
	x, y = asNumber(x), asNumber(y)
	a, aArray := x.(*Array)
	b, bArray := y.(*Array)
	switch {
	case isScalar(x) && isScalar(y):
		return scalars(op, x, y)
	case !aArray && !isScalar(x) || !bArray && !isScalar(y):
		return nil, fmt.Errorf("%s %s %s: want tensors and numbers", r.brief(x), op, r.brief(y))
	case op == "@" && aArray && bArray:
		return r.matmul(a, b)
	case op == "@":
		return nil, fmt.Errorf("%s @ %s: both sides have to be tensors; to scale write *", r.brief(x), r.brief(y))
	}
	if op == "//" || op == "%" {
		return r.floor(op, x, y)
	}
	return r.elementwise(op, binaryFns[op], x, y)
}

// floor is x // y and x % y of integers: devices divide them like that.
func (r *run) floor(op string, x, y Value) (Value, error) {
	if !isInt(promote(x, y)) {
		return nil, fmt.Errorf("%s works on integers and numbers; for floats write A / B", op)
	}
	q, err := r.elementwise(op, floorDiv, x, y)
	if err != nil || op == "//" {
		return q, err
	}
	if q, err = r.elementwise(op, tensor.Mul, q, y); err != nil {
		return nil, err
	}
	return r.elementwise(op, tensor.Sub, x, q)
}

// elementwise computes fn with PyTorch's rules: the types of both sides meet in
// one (promote), and shapes are broadcast.
func (r *run) elementwise(op string, fn tensor.Fn, x, y Value) (Value, error) {
	d := promote(x, y)
	if fn == floorDiv {
		fn = tensor.Div
	} else if fn == tensor.Div && isInt(d) {
		d = tensor.F32
	}
	if n, ok := y.(int64); ok && fn == tensor.Pow && isInt(d) && n < 0 {
		return nil, fmt.Errorf("integers have no negative powers; write %d.0 or convert with .to(f32)", n)
	}
	dev, err := r.common(op, x, y)
	if err != nil {
		return nil, err
	}
	a, err := r.operand(dev, d, x)
	if err != nil {
		return nil, err
	}
	b, err := r.operand(dev, d, y)
	if err != nil {
		return nil, err
	}
	shape, ok := broadcast(a.t.Shape, b.t.Shape)
	if !ok {
		return nil, fmt.Errorf("%s of shapes %s and %s: counted from the last, dimensions have to be equal or 1",
			op, shapeString(a.t.Shape), shapeString(b.t.Shape))
	}
	commutes := fn == tensor.Add || fn == tensor.Mul || fn == tensor.Max || fn == tensor.Min
	if commutes && !slices.Equal(a.t.Shape, shape) && slices.Equal(b.t.Shape, shape) {
		a, b = b, a
	}
	if a, err = r.expand(a, shape); err != nil {
		return nil, err
	}
	if !isSuffix(b.t.Shape, shape) {
		if b, err = r.expand(b, shape); err != nil {
			return nil, err
		}
	}
	out, err := r.alloc(dev, d, shape...)
	if err != nil || out.t.Len() == 0 {
		return out, err
	}
	s := r.stream(dev)
	s.Binary(out.t, a.t, b.t, fn)
	return out, s.Err()
}

// common is the device of the operands.
func (r *run) common(op string, vs ...Value) (tensor.Device, error) {
	var dev tensor.Device
	for _, v := range vs {
		if a, ok := v.(*Array); ok {
			if dev != nil && a.Device() != dev {
				return nil, fmt.Errorf("%s: one tensor is on %s, the other on %s; bring them together with .to('%s')",
					op, dev.Name(), a.Device().Name(), dev.Name())
			}
			dev = a.Device()
		}
	}
	return dev, nil
}

// operand makes v an array of type d in row order.
func (r *run) operand(dev tensor.Device, d tensor.DType, v Value) (*Array, error) {
	a, ok := v.(*Array)
	if !ok {
		return r.full(dev, d, v)
	}
	a, err := r.plain(a)
	if err != nil {
		return nil, err
	}
	return r.convert(a, d)
}

// promote is the type in which two operands meet (pytorch.org/docs, "type
// promotion"): a tensor's type wins over a 0-dimensional tensor's and that
// over a number's, unless the lesser is a float and the greater an integer.
func promote(vs ...Value) tensor.DType {
	var types [3]tensor.DType // of tensors with dimensions, without, of numbers
	var seen [3]bool
	for _, v := range vs {
		d, class := tensor.I64, 2
		switch v := v.(type) {
		case float64:
			d = tensor.F32
		case *Array:
			d, class = v.DType(), 0
			if d.Quantised() {
				d = tensor.F32
			}
			if len(v.t.Shape) == 0 {
				class = 1
			}
		}
		if seen[class] {
			d = wider(types[class], d)
		}
		types[class], seen[class] = d, true
	}
	result, any := tensor.F32, false
	for class, d := range types {
		switch {
		case !seen[class]:
		case !any || isInt(result) && !isInt(d):
			result, any = d, true
		}
	}
	return result
}

// wider is the type that holds both, like PyTorch's table.
func wider(a, b tensor.DType) tensor.DType {
	switch {
	case a == b:
		return a
	case isInt(a) && isInt(b):
		return max(a, b) // i8 < i16 < i32 < i64
	case isInt(a):
		return b
	case isInt(b):
		return a
	case a == tensor.F64 || b == tensor.F64:
		return tensor.F64
	}
	return tensor.F32
}

// broadcast is the shape that two shapes grow to.
func broadcast(a, b []int) ([]int, bool) {
	n := max(len(a), len(b))
	shape := make([]int, n)
	for i := 1; i <= n; i++ {
		x, y := 1, 1
		if i <= len(a) {
			x = a[len(a)-i]
		}
		if i <= len(b) {
			y = b[len(b)-i]
		}
		if x != y && x != 1 && y != 1 {
			return nil, false
		}
		shape[n-i] = x
		if x == 1 {
			shape[n-i] = y
		}
	}
	return shape, true
}

// isSuffix says whether devices broadcast shape a over shape b themselves.
func isSuffix(a, b []int) bool {
	return tensor.Count(a) == 1 || len(a) <= len(b) && slices.Equal(a, b[len(b)-len(a):])
}

// expand repeats a's numbers to fill shape, which its own broadcasts to. It
// goes through the host: no model needs it.
func (r *run) expand(a *Array, shape []int) (*Array, error) {
	if slices.Equal(a.t.Shape, shape) {
		return a, nil
	}
	if tensor.Count(a.t.Shape) == tensor.Count(shape) {
		return &Array{t: a.t.Reshape(shape...), base: a.base}, nil
	}
	if err := r.fits(a.Device(), a.DType(), shape); err != nil {
		return nil, err
	}
	src, err := read(a.t)
	if err != nil {
		return nil, err
	}
	from := append(slices.Repeat([]int{1}, len(shape)-len(a.t.Shape)), a.t.Shape...)
	dst := make([]byte, 0, a.DType().Bytes(tensor.Count(shape)))
	return r.placeBytes(a.Device(), a.DType(), repeat(dst, src, from, shape, a.DType().BlockBytes()), shape...)
}

// repeat appends src of shape from to dst as it looks in shape to.
func repeat(dst, src []byte, from, to []int, item int) []byte {
	if slices.Equal(from, to) {
		return append(dst, src...)
	}
	start := len(dst)
	step := item * tensor.Count(from[1:])
	for i := range from[0] {
		dst = repeat(dst, src[i*step:(i+1)*step], from[1:], to[1:], item)
	}
	if from[0] == 1 {
		once := len(dst) - start
		for range to[0] - 1 {
			dst = append(dst, dst[start:start+once]...)
		}
	}
	return dst
}

// negate is -x.
func (r *run) negate(x Value) (Value, error) {
	switch x := asNumber(x).(type) {
	case int64:
		return scalars("-", int64(0), x)
	case float64:
		return -x, nil
	case *Array:
		return r.unaryFn("neg", x)
	default:
		return nil, fmt.Errorf("-%s: want a tensor or a number", r.brief(x))
	}
}
