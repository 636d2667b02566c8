package expr

import (
	"fmt"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// matmul is a @ b as PyTorch has it: vectors get a dimension that leaves again,
// and leading dimensions are a batch.
func (r *run) matmul(a, b *Array) (Value, error) {
	as, bs := a.Shape(), b.Shape()
	if len(as) == 0 || len(bs) == 0 {
		return nil, fmt.Errorf("%s @ %s: want at least one dimension; to scale write *", shapeString(as), shapeString(bs))
	}
	if _, err := r.common("@", a, b); err != nil {
		return nil, err
	}
	m, n := as, bs // both sides as matrices
	if len(as) == 1 {
		m = []int{1, as[0]}
	}
	if len(bs) == 1 {
		n = []int{bs[0], 1}
	}
	inner, rows, cols := m[len(m)-1], m[len(m)-2], n[len(n)-1]
	if inner != n[len(n)-2] {
		return nil, fmt.Errorf("%s @ %s: the last dimension on the left is %d, the one on the right that it meets is %d",
			shapeString(as), shapeString(bs), inner, n[len(n)-2])
	}
	batch, ok := broadcast(m[:len(m)-2], n[:len(n)-2])
	if !ok {
		return nil, fmt.Errorf("%s @ %s: the leading dimensions do not fit together", shapeString(as), shapeString(bs))
	}
	shape := slices.Clone(batch)
	if len(as) > 1 {
		shape = append(shape, rows)
	}
	if len(bs) > 1 {
		shape = append(shape, cols)
	}
	out, err := r.product(a, b, m, n, batch)
	if err != nil {
		return nil, err
	}
	return r.reshape(out, shape)
}

// product multiplies matrices of shapes m and n, batch times.
func (r *run) product(a, b *Array, m, n, batch []int) (*Array, error) {
	inner, rows, cols := m[len(m)-1], m[len(m)-2], n[len(n)-1]
	if len(n) == 2 && len(m) > 2 { // one matrix for all rows
		rows *= tensor.Count(m[:len(m)-2])
		m, batch = []int{rows, inner}, nil
	}
	d := promote(a, b)
	if len(a.t.Shape) == 0 || len(b.t.Shape) == 0 {
		d = wider(a.DType(), b.DType())
	}
	if len(batch) == 0 {
		x, err := r.matrix(a, m)
		if err != nil {
			return nil, err
		}
		w, err := r.matrix(b, n)
		if err != nil {
			return nil, err
		}
		return r.product2(x, w, d)
	}
	var err error
	if a, err = r.batched(a, m, batch); err != nil {
		return nil, err
	}
	if b, err = r.batched(b, n, batch); err != nil {
		return nil, err
	}
	count := tensor.Count(batch)
	out, err := r.alloc(a.Device(), d, count, rows, cols)
	for i := 0; i < count && err == nil; i++ {
		x := &Array{t: a.t.Slice(i, i+1).Reshape(rows, inner), base: a.base}
		w := &Array{t: b.t.Slice(i, i+1).Reshape(inner, cols), base: b.base}
		var part *Array
		if part, err = r.product2(x, w, d); err == nil && part.t.Len() > 0 {
			s := r.stream(a.Device())
			s.Convert(out.t.Slice(i, i+1).Reshape(rows, cols), part.t)
			err = s.Err()
		}
	}
	return out, err
}

// matrix gives a in the two dimensions of shape; a transpose stays one.
func (r *run) matrix(a *Array, shape []int) (*Array, error) {
	if len(a.t.Shape) == 2 && slices.Equal(a.Shape(), shape) {
		return a, nil
	}
	return r.reshape(a, shape)
}

// batched gives a of shape m as (batch, rows, cols) with the batch expanded.
func (r *run) batched(a *Array, m, batch []int) (*Array, error) {
	a, err := r.plain(a)
	if err != nil {
		return nil, err
	}
	mat := m[len(m)-2:]
	if a, err = r.expand(&Array{t: a.t.Reshape(m...), base: a.base}, slices.Concat(batch, mat)); err != nil {
		return nil, err
	}
	return r.reshape(a, []int{tensor.Count(batch), mat[0], mat[1]})
}

// product2 is x (n, k) @ w (k, m) in type d. Devices multiply by the transpose
// of their weights, so w goes in transposed: free for W.T, whatever its type.
func (r *run) product2(x, w *Array, d tensor.DType) (*Array, error) {
	rows, inner, cols := x.Shape()[0], x.Shape()[1], w.Shape()[1]
	if isInt(d) || d == tensor.F64 {
		return r.exactProduct(x, w, d)
	}
	var err error
	if x, err = r.plain(x); err != nil {
		return nil, err
	}
	if x, err = r.convert(x, d); err != nil {
		return nil, err
	}
	if w.flip { // w = tᵀ: t is what the device wants
		w = &Array{t: w.t, base: w.base}
	} else {
		if w, err = r.plain(w); err == nil {
			w, err = r.transpose(w.t)
		}
	}
	if err == nil && !w.DType().Quantised() {
		w, err = r.convert(w, d)
	}
	if err != nil {
		return nil, err
	}
	out, err := r.alloc(x.Device(), d, rows, cols)
	if err != nil || out.t.Len() == 0 || inner == 0 {
		return out, err
	}
	s := r.stream(x.Device())
	// In pieces of some 10⁹ products, between which an interrupt is heard.
	step := max(64, 1<<30/inner/cols)
	for i := 0; i < rows; i += step {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		j := min(i+step, rows)
		s.MatMul(out.t.Slice(i, j), w.t, x.t.Slice(i, j))
	}
	return out, s.Err()
}

// exactProduct multiplies integers and float64 on the host: devices have
// products of the shorter floats only.
func (r *run) exactProduct(x, w *Array, d tensor.DType) (*Array, error) {
	n, k, m := x.Shape()[0], x.Shape()[1], w.Shape()[1]
	if err := r.fits(x.Device(), d, []int{n, m}); err != nil {
		return nil, err
	}
	a, err := r.hostNumbers(x, d)
	if err != nil {
		return nil, err
	}
	b, err := r.hostNumbers(w, d)
	if err != nil {
		return nil, err
	}
	out := numbers{floats: make([]float64, n*m)}
	if isInt(d) {
		out = numbers{ints: make([]int64, n*m)}
	}
	for i := range n {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		for l := range k {
			if isInt(d) {
				for j, f := 0, a.ints[i*k+l]; j < m; j++ {
					out.ints[i*m+j] += f * b.ints[l*m+j]
				}
			} else {
				for j, f := 0, a.floats[i*k+l]; j < m; j++ {
					out.floats[i*m+j] += f * b.floats[l*m+j]
				}
			}
		}
	}
	return r.wrapInts(x.Device(), d, out, n, m)
}

// hostNumbers reads a in row order as type d.
func (r *run) hostNumbers(a *Array, d tensor.DType) (numbers, error) {
	a, err := r.plain(a)
	if err != nil {
		return numbers{}, err
	}
	if a, err = r.convert(a, d); err != nil {
		return numbers{}, err
	}
	if err := r.stream(a.Device()).Err(); err != nil {
		return numbers{}, err
	}
	raw, err := read(a.t)
	return decode(d, raw), err
}

// wrapInts places numbers; integers that do not fit wrap around, as sums and
// products of devices do.
func (r *run) wrapInts(dev tensor.Device, d tensor.DType, n numbers, shape ...int) (*Array, error) {
	if n.ints != nil {
		shift := 64 - 8*d.BlockBytes()
		for i, v := range n.ints {
			n.ints[i] = v << shift >> shift
		}
	}
	return r.place(dev, d, n, shape...)
}
