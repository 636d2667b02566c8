package expr

import (
	"fmt"
	"math"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// reduce is a.sum() and its sisters: of all numbers, or along a dimension.
func (r *run) reduce(a *Array, fn tensor.Fn, dim *int, keep bool) (*Array, error) {
	a, err := r.plain(a)
	if err != nil {
		return nil, err
	}
	d := a.DType()
	if fn == tensor.Mean && isInt(d) { // f32, as / gives; PyTorch would refuse
		if a, err = r.convert(a, tensor.F64); err != nil {
			return nil, err
		}
		if a, err = r.reduce(a, fn, dim, keep); err != nil {
			return nil, err
		}
		return r.convert(a, tensor.F32)
	}
	if (fn == tensor.Sum || fn == tensor.Prod) && isInt(d) {
		d = tensor.I64
	}
	if a, err = r.convert(a, d); err != nil {
		return nil, err
	}
	return r.along(a, dim, keep, func(x *tensor.Tensor) (*Array, error) {
		if x.Cols() == 0 {
			return r.reduceNothing(x, fn)
		}
		out, err := r.alloc(a.Device(), d, x.Rows())
		if err != nil || out.t.Len() == 0 {
			return out, err
		}
		s := r.stream(a.Device())
		s.Reduce(out.t, x, fn)
		return out, s.Err()
	})
}

// reduceNothing is the reduction of rows without numbers.
func (r *run) reduceNothing(x *tensor.Tensor, fn tensor.Fn) (*Array, error) {
	switch fn {
	case tensor.Sum:
		return r.alloc(x.Device, x.DType, x.Rows())
	case tensor.Prod:
		return r.full(x.Device, x.DType, int64(1), x.Rows())
	case tensor.Mean:
		return r.full(x.Device, x.DType, math.NaN(), x.Rows())
	}
	return nil, fmt.Errorf("%s of no numbers", fn)
}

// argMax is the place of the largest (or smallest) number, the first of equals.
func (r *run) argMax(a *Array, dim *int, keep, smallest bool) (*Array, error) {
	a, err := r.plain(a)
	if err != nil {
		return nil, err
	}
	exactOnHost := a.DType() == tensor.F64 || a.DType() == tensor.I32 || a.DType() == tensor.I64 || smallest
	if !exactOnHost {
		if a, err = r.convert(a, tensor.F32); err != nil {
			return nil, err
		}
	}
	return r.along(a, dim, keep, func(x *tensor.Tensor) (*Array, error) {
		if x.Cols() == 0 {
			return nil, fmt.Errorf("argmax of no numbers")
		}
		if exactOnHost {
			return r.argMaxHost(x, smallest)
		}
		ids, err := r.alloc(a.Device(), tensor.I32, x.Rows())
		if err == nil && ids.t.Len() > 0 {
			s := r.stream(a.Device())
			s.ArgMax(ids.t, x)
			err = s.Err()
		}
		if err != nil {
			return nil, err
		}
		return r.convert(ids, tensor.I64)
	})
}

func (r *run) argMaxHost(x *tensor.Tensor, smallest bool) (*Array, error) {
	raw, err := read(x)
	if err != nil {
		return nil, err
	}
	n, cols := decode(x.DType, raw), x.Cols()
	ids := make([]int64, x.Rows())
	for i := range ids {
		for j := 1; j < cols; j++ {
			best, next := i*cols+int(ids[i]), i*cols+j
			if !smallest && n.less(best, next) || smallest && n.less(next, best) {
				ids[i] = int64(j)
			}
		}
	}
	return r.place(x.Device, tensor.I64, numbers{ints: ids}, x.Rows())
}

func (n numbers) less(i, j int) bool {
	if n.ints != nil {
		return n.ints[i] < n.ints[j]
	}
	return n.floats[i] < n.floats[j]
}

// along applies f, which makes one number of each row, to dimension dim of a
// plain array, or to all numbers when dim is nil.
func (r *run) along(a *Array, dim *int, keep bool, f func(x *tensor.Tensor) (*Array, error)) (*Array, error) {
	shape := a.t.Shape
	if dim != nil {
		if _, err := axis(shape, *dim); err != nil {
			return nil, err
		}
	}
	if dim == nil || len(shape) == 0 {
		out, err := f(a.t.Reshape(1, a.t.Len()))
		if err != nil {
			return nil, err
		}
		shape = nil
		if keep {
			shape = slices.Repeat([]int{1}, len(a.t.Shape))
		}
		return r.reshape(out, shape)
	}
	k, err := axis(shape, *dim)
	if err != nil {
		return nil, err
	}
	x, err := r.last(a, k)
	if err != nil {
		return nil, err
	}
	out, err := f(x)
	if err != nil {
		return nil, err
	}
	left := slices.Clone(shape)
	if keep {
		left[k] = 1
	} else {
		left = slices.Delete(left, k, k+1)
	}
	return r.reshape(out, left)
}

// last gives a as a matrix whose rows run along dimension k, in the order of
// the other dimensions.
func (r *run) last(a *Array, k int) (*tensor.Tensor, error) {
	shape := a.t.Shape
	if len(shape) == 0 {
		return a.t.Reshape(1, 1), nil
	}
	outer, n, inner := tensor.Count(shape[:k]), shape[k], tensor.Count(shape[k+1:])
	if inner == 1 || a.t.Len() == 0 {
		return a.t.Reshape(outer*inner, n), nil
	}
	out, err := r.alloc(a.Device(), a.DType(), outer, inner, n)
	if err != nil {
		return nil, err
	}
	s, x := r.stream(a.Device()), a.t.Reshape(outer, n, inner)
	for i := range outer {
		s.Transpose(out.t.Slice(i, i+1).Reshape(inner, n), x.Slice(i, i+1).Reshape(n, inner))
	}
	return out.t.Reshape(outer*inner, n), s.Err()
}

// softmax along dimension dim; integers become f32, other floats stay.
func (r *run) softmax(a *Array, dim int) (*Array, error) {
	a, err := r.plain(a)
	if err != nil {
		return nil, err
	}
	d := a.DType()
	if isInt(d) {
		d = tensor.F32
	}
	k, err := axis(a.t.Shape, dim)
	if err != nil {
		return nil, err
	}
	if a, err = r.convert(a, tensor.F32); err != nil {
		return nil, err
	}
	x, err := r.last(a, k)
	if err != nil {
		return nil, err
	}
	out, err := r.alloc(a.Device(), tensor.F32, x.Shape...)
	if err != nil {
		return nil, err
	}
	s := r.stream(a.Device())
	if out.t.Len() > 0 {
		s.Softmax(out.t, x)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	back, err := r.unlast(out, a.t.Shape, k)
	if err != nil {
		return nil, err
	}
	return r.convert(back, d)
}

// unlast undoes last: the rows of a become dimension k of shape again.
func (r *run) unlast(a *Array, shape []int, k int) (*Array, error) {
	if len(shape) == 0 || tensor.Count(shape[k+1:]) == 1 || a.t.Len() == 0 {
		return r.reshape(a, shape)
	}
	outer, n, inner := tensor.Count(shape[:k]), shape[k], tensor.Count(shape[k+1:])
	out, err := r.alloc(a.Device(), a.DType(), outer, n, inner)
	if err != nil {
		return nil, err
	}
	s, x := r.stream(a.Device()), a.t.Reshape(outer, inner, n)
	for i := range outer {
		s.Transpose(out.t.Slice(i, i+1).Reshape(n, inner), x.Slice(i, i+1).Reshape(inner, n))
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return r.reshape(out, shape)
}

// axis makes dim, which may count from the end, an index of shape.
func axis(shape []int, dim int) (int, error) {
	n := max(len(shape), 1)
	if dim < -n || dim >= n {
		return 0, fmt.Errorf("dim %d is out of range: shape %s has %d dimensions (%d to %d)", dim, shapeString(shape), len(shape), -n, n-1)
	}
	if dim < 0 {
		dim += n
	}
	return dim, nil
}
