package expr

import (
	"fmt"
	"slices"
	"strings"
)

// attributes are what may follow a tensor's point without brackets, with what
// they mean.
var attributes = map[string]string{
	"shape":  "sizes of the dimensions, outermost first",
	"dtype":  "storage format of the numbers",
	"device": "where the numbers are",
	"numel":  "how many numbers there are",
	"nbytes": "bytes that the numbers take",
	"ndim":   "how many dimensions there are",
	"T":      "the transpose",
}

// Attribute describes an attribute of tensors, "" if there is none.
func Attribute(name string) string { return attributes[name] }

func init() {
	register(
		Function{Name: "reshape", Usage: "reshape(A, 2, -1)", Doc: "the same numbers in another shape; one dimension may be -1", method: true, run: reshape},
		Function{Name: "view", Usage: "A.view(2, -1)", Doc: "another name of reshape", method: true, run: reshape},
		Function{Name: "flatten", Usage: "flatten(A)", Doc: "the same numbers in one dimension", method: true, run: flatten},
		Function{Name: "unsqueeze", Usage: "unsqueeze(A, dim)", Doc: "a dimension of size 1 more, at dim", method: true, named: "dim", run: unsqueeze},
		Function{Name: "squeeze", Usage: "squeeze(A)", Doc: "without the dimensions of size 1", method: true, run: squeeze},
		Function{Name: "transpose", Usage: "transpose(A)", Doc: "rows become columns", method: true, run: transpose},
		Function{Name: "t", Usage: "A.t()", Doc: "rows become columns", method: true, run: transpose},
		Function{Name: "copy", Usage: "copy(A)", Doc: "a tensor with memory of its own", method: true, run: clone},
		Function{Name: "clone", Usage: "clone(A)", Doc: "another name of copy", method: true, run: clone},
		Function{Name: "to", Usage: "A.to(f16), A.to(cpu)", Doc: "in another type or on another device", method: true, named: "dtype device", run: to},
		Function{Name: "cpu", Usage: "A.cpu()", Doc: "on the CPU", method: true, run: toDevice("cpu")},
		Function{Name: "cuda", Usage: "A.cuda()", Doc: "on the first GPU", method: true, run: toDevice("cuda")},
		Function{Name: "item", Usage: "A.item()", Doc: "the one number of a tensor", method: true, run: item},
		Function{Name: "size", Usage: "A.size(dim)", Doc: "the shape, or the size of one dimension", method: true, named: "dim", run: sizeOf},
		Function{Name: "dim", Usage: "A.dim()", Doc: "how many dimensions there are", method: true, run: func(r *run, a *arguments) (Value, error) {
			x := a.array()
			if err := a.finish(); err != nil {
				return nil, err
			}
			return int64(len(x.t.Shape)), nil
		}},
		Function{Name: "len", Usage: "len(A)", Doc: "the size of the first dimension", run: length},
	)
}

// attr is x.id without brackets behind it.
func (r *run) attr(n *attr) (Value, error) {
	x, err := r.eval(n.x)
	if err != nil {
		return nil, err
	}
	a, ok := x.(*Array)
	if !ok {
		return nil, fmt.Errorf("%s has no attribute %s: only tensors have", r.brief(x), n.id)
	}
	if _, ok := attributes[n.id]; ok {
		return r.attribute(n.id, a)
	}
	if f := functions[n.id]; f != nil && f.method {
		return nil, fmt.Errorf("%s is a method: write A.%s(), with its arguments in the brackets; %s", n.id, n.id, f.Usage)
	}
	return nil, fmt.Errorf("tensors have no attribute %s; %s", n.id, suggest(n.id, members(), "there are "+strings.Join(members(), ", ")))
}

func (r *run) attribute(id string, a *Array) (Value, error) {
	switch id {
	case "shape":
		return shapeValue(a.Shape()), nil
	case "dtype":
		return a.DType(), nil
	case "device":
		return a.Device(), nil
	case "numel":
		return int64(a.t.Len()), nil
	case "nbytes":
		return int64(a.t.Bytes()), nil
	case "ndim":
		return int64(len(a.t.Shape)), nil
	}
	return r.flipped(a)
}

// flipped is a.T, which moves nothing: a flag says that a is to be read the
// other way round.
func (r *run) flipped(a *Array) (Value, error) {
	if n := len(a.t.Shape); n != 2 {
		return nil, fmt.Errorf("T of shape %s: want 2 dimensions", shapeString(a.t.Shape))
	}
	return &Array{t: a.t, base: a.base, flip: !a.flip}, nil
}

func shapeValue(shape []int) List {
	l := List{Items: make([]Value, len(shape)), Tuple: true}
	for i, n := range shape {
		l.Items[i] = int64(n)
	}
	return l
}

func reshape(r *run, a *arguments) (Value, error) {
	x, shape := a.array(), a.dims()
	if err := a.finish(); err != nil {
		return nil, err
	}
	open, known := -1, 1
	for i, n := range shape {
		switch {
		case n == -1 && open < 0:
			open = i
		case n < 0:
			return nil, fmt.Errorf("reshape to %s: one dimension may be -1, none less", shapeString(shape))
		case n > 0 && known > x.t.Len():
			known = x.t.Len() + 1
		default:
			known *= n
		}
	}
	if open >= 0 && known > 0 {
		shape[open] = x.t.Len() / known
		known *= shape[open]
	}
	if known != x.t.Len() || open >= 0 && shape[open] < 0 {
		return nil, fmt.Errorf("reshape of %s to %s: %d numbers do not fill it", shapeString(x.Shape()), shapeString(shape), x.t.Len())
	}
	if len(shape) > maxDims {
		return nil, fmt.Errorf("reshape to %d dimensions, at most %d allowed", len(shape), maxDims)
	}
	return r.reshape(x, shape)
}

func flatten(r *run, a *arguments) (Value, error) {
	x := a.array()
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.reshape(x, []int{x.t.Len()})
}

func unsqueeze(r *run, a *arguments) (Value, error) {
	x, dim := a.array(), a.int("dim", nil)
	if err := a.finish(); err != nil {
		return nil, err
	}
	shape := x.Shape()
	if n := int64(len(shape)); dim < -n-1 || dim > n || n == maxDims {
		return nil, fmt.Errorf("unsqueeze at dim %d: shape %s has %d dimensions, at most %d allowed", dim, shapeString(shape), n, maxDims)
	} else if dim < 0 {
		dim += n + 1
	}
	return r.reshape(x, slices.Insert(shape, int(dim), 1))
}

func squeeze(r *run, a *arguments) (Value, error) {
	x := a.array()
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.reshape(x, slices.DeleteFunc(x.Shape(), func(n int) bool { return n == 1 }))
}

func transpose(r *run, a *arguments) (Value, error) {
	x := a.array()
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.flipped(x)
}

func clone(r *run, a *arguments) (Value, error) {
	x := a.array()
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.copy(x)
}

func to(r *run, a *arguments) (Value, error) {
	x := a.array()
	whats := slices.Clone(a.pos[min(a.next, len(a.pos)):])
	a.next = len(a.pos)
	for _, key := range []string{"dtype", "device"} {
		if v, ok := a.named[key]; ok {
			whats = append(whats, v)
		}
	}
	if len(whats) == 0 {
		a.fail("the type or device is missing")
	}
	if err := a.finish(); err != nil {
		return nil, err
	}
	var err error
	for _, w := range whats {
		if x, err = r.to(x, w); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func toDevice(id string) func(r *run, a *arguments) (Value, error) {
	return func(r *run, a *arguments) (Value, error) {
		x := a.array()
		if err := a.finish(); err != nil {
			return nil, err
		}
		dev := r.device(id)
		if dev == nil {
			return nil, r.noDevice(id)
		}
		return r.move(x, dev)
	}
}

func item(r *run, a *arguments) (Value, error) {
	x := a.array()
	if err := a.finish(); err != nil {
		return nil, err
	}
	if x.t.Len() != 1 {
		return nil, fmt.Errorf("item of shape %s: want one number", shapeString(x.Shape()))
	}
	raw, err := read(x.t)
	if err != nil {
		return nil, err
	}
	return decode(x.DType(), raw).value(0), nil
}

func sizeOf(r *run, a *arguments) (Value, error) {
	x, dim := a.array(), a.dim()
	if err := a.finish(); err != nil {
		return nil, err
	}
	if dim == nil {
		return shapeValue(x.Shape()), nil
	}
	k, err := axis(x.Shape(), *dim)
	if err != nil || len(x.Shape()) == 0 {
		return nil, fmt.Errorf("size of dim %d: shape is %s", *dim, shapeString(x.Shape()))
	}
	return int64(x.Shape()[k]), nil
}

func length(r *run, a *arguments) (Value, error) {
	v := a.value("A")
	if err := a.finish(); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case List:
		return int64(len(v.Items)), nil
	case string:
		return int64(len([]rune(v))), nil
	case *Array:
		if len(v.t.Shape) > 0 {
			return int64(v.Shape()[0]), nil
		}
	}
	return nil, fmt.Errorf("len of %s: it has no entries", r.brief(v))
}
