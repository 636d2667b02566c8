package expr

import (
	"fmt"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// A part is what an index takes of one dimension: every step-th entry.
type part struct {
	lo, hi, step int
	drop         bool // a single entry: the dimension leaves
}

func (p part) len() int { return (p.hi - p.lo + p.step - 1) / p.step }

// index is x[1], x[1:3], x[:, 0]: of tensors and of lists.
func (r *run) index(n *index) (Value, error) {
	x, err := r.eval(n.x)
	if err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case List:
		if len(n.items) != 1 {
			return nil, fmt.Errorf("a list has one dimension, and the index has %d", len(n.items))
		}
		p, err := r.part(n.items[0], len(x.Items), 0)
		if err != nil {
			return nil, err
		}
		if p.drop {
			return x.Items[p.lo], nil
		}
		l := List{Tuple: x.Tuple}
		for i := p.lo; i < p.hi; i += p.step {
			l.Items = append(l.Items, x.Items[i])
		}
		return l, nil
	case *Array:
		shape := x.Shape()
		if len(n.items) > len(shape) {
			return nil, fmt.Errorf("%d indices for shape %s of %d dimensions", len(n.items), shapeString(shape), len(shape))
		}
		parts := make([]part, len(shape))
		for i, d := range shape {
			parts[i] = part{0, d, 1, false}
			if i < len(n.items) {
				if parts[i], err = r.part(n.items[i], d, i); err != nil {
					return nil, err
				}
			}
		}
		return r.slice(x, parts)
	}
	return nil, fmt.Errorf("%s has no entries to index", r.brief(x))
}

// part evaluates the index of dimension dim, which has size entries. Slices
// are cut to the dimension, as in Python; single entries have to be in it.
func (r *run) part(n node, size, dim int) (part, error) {
	s, ok := n.(*span)
	if !ok {
		i, err := r.intValue(n)
		if err == nil && (i < int64(-size) || i >= int64(size)) {
			err = r.wrap(fmt.Errorf("index %d is out of range: dimension %d has %d entries", i, dim, size), n)
		}
		if err != nil {
			return part{}, err
		}
		if i < 0 {
			i += int64(size)
		}
		return part{int(i), int(i) + 1, 1, true}, nil
	}
	ends := [2]int64{0, int64(size)}
	for i, x := range []node{s.lo, s.hi} {
		if x == nil {
			continue
		}
		v, err := r.intValue(x)
		if err != nil {
			return part{}, err
		}
		if v < 0 {
			v += int64(size)
		}
		ends[i] = min(max(v, 0), int64(size))
	}
	step := int64(1)
	if s.step != nil {
		var err error
		if step, err = r.intValue(s.step); err != nil {
			return part{}, err
		}
		if step < 1 {
			return part{}, r.wrap(fmt.Errorf("a slice with step %d: steps are 1 or more, as in PyTorch", step), s.step)
		}
	}
	return part{int(ends[0]), int(max(ends[0], ends[1])), int(min(step, int64(max(size, 1)))), false}, nil
}

func (r *run) intValue(n node) (int64, error) {
	v, err := r.eval(n)
	if err != nil {
		return 0, err
	}
	if i, ok := v.(int64); ok {
		return i, nil
	}
	return 0, r.wrap(fmt.Errorf("an index is an integer or a slice, not %s", r.brief(v)), n)
}

// slice takes parts of a. What lies together in memory is a view; other parts
// are copied by way of the host.
func (r *run) slice(a *Array, parts []part) (*Array, error) {
	a, err := r.rows(a)
	if err != nil {
		return nil, err
	}
	shape := []int{}
	for _, p := range parts {
		if !p.drop {
			shape = append(shape, p.len())
		}
	}
	t := a.t
	for i, p := range parts { // a single entry, then a range, then all: one run of memory
		whole := true
		for j, q := range parts[i+1:] {
			whole = whole && q.step == 1 && q.lo == 0 && q.hi == a.t.Shape[i+1+j]
		}
		if p.step != 1 || p.hi-p.lo != 1 && !whole {
			return r.gather(a, parts, shape)
		}
		if l := t.DType.BlockLen(); i == len(parts)-1 && (p.lo%l != 0 || p.hi%l != 0) {
			return r.gather(a, parts, shape)
		}
		t = t.Slice(p.lo, p.hi)
		if whole {
			break
		}
		t = t.Reshape(t.Shape[1:]...)
	}
	if l := t.DType.BlockLen(); l > 1 && (len(shape) == 0 || shape[len(shape)-1]%l != 0) {
		return r.gather(a, parts, shape)
	}
	return &Array{t: t.Reshape(shape...), base: a.base}, nil
}

func (r *run) gather(a *Array, parts []part, shape []int) (*Array, error) {
	a, err := r.plain(a)
	if err != nil {
		return nil, err
	}
	src, err := read(a.t)
	if err != nil {
		return nil, err
	}
	dst := make([]byte, 0, a.DType().Bytes(tensor.Count(shape)))
	return r.placeBytes(a.Device(), a.DType(), cut(dst, src, a.t.Shape, parts, a.DType().BlockBytes()), shape...)
}

// cut appends the parts of src.
func cut(dst, src []byte, shape []int, parts []part, item int) []byte {
	if len(shape) == 0 {
		return append(dst, src...)
	}
	step := item * tensor.Count(shape[1:])
	if parts[0].step == 1 && !slices.ContainsFunc(parts[1:], func(p part) bool { return p.drop }) && covers(parts[1:], shape[1:]) {
		return append(dst, src[parts[0].lo*step:parts[0].hi*step]...)
	}
	for i := parts[0].lo; i < parts[0].hi; i += parts[0].step {
		dst = cut(dst, src[i*step:(i+1)*step], shape[1:], parts[1:], item)
	}
	return dst
}

func covers(parts []part, shape []int) bool {
	for i, p := range parts {
		if p.step != 1 || p.lo != 0 || p.hi != shape[i] {
			return false
		}
	}
	return true
}
