package engine

import "github.com/llcuda/llcuda/tensor"

// An adapting is a blend at work in one part of a model, with scratch memory of
// its own. nil is the base alone.
type adapting struct {
	deltas map[*tensor.Tensor]*delta
	mem    allocator
	low    *tensor.Tensor // (rows·rank) of the largest rank: A·x
	sum    *tensor.Tensor // B·(A·x) of as many rows as fit
}

// working allocates what p needs for so many rows, and for the logits of heads
// rows. A nil blend needs nothing.
func (b *blend) working(p part, rows, heads int) (*adapting, error) {
	if b == nil {
		return nil, nil
	}
	a := &adapting{deltas: b.deltas, mem: allocator{dev: p.dev}}
	low, sum := 0, 0
	for w, d := range b.deltas {
		if w.Device != p.dev {
			continue
		}
		n := rows
		if w == b.net.output {
			n = heads
		}
		low, sum = max(low, rows*d.b.Cols()), max(sum, n*d.b.Rows())
	}
	if low > 0 {
		a.low, a.sum = a.mem.new(tensor.F32, low), a.mem.new(tensor.F32, sum)
	}
	if a.mem.err != nil {
		a.free()
		return nil, a.mem.err
	}
	return a, nil
}

// workings are those of all parts of the model, or none.
func (b *blend) workings(parts []part, rows, heads int) (all []*adapting, err error) {
	for _, p := range parts {
		a, err := b.working(p, rows, heads)
		if err != nil {
			for _, a := range all {
				a.free()
			}
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (a *adapting) free() {
	if a != nil {
		a.mem.free()
	}
}

// matmul issues dst (n, m) = x (n, k) · wᵀ with what adapters change of it. dst
// is not x.
func (a *adapting) matmul(s *tensor.Stream, dst, w, x *tensor.Tensor) {
	s.MatMul(dst, w, x)
	a.change(s, dst, w, func(low, wa *tensor.Tensor, lo, hi int) { s.MatMul(low, wa, x.Slice(lo, hi)) })
}

// rows issues dst (n, dim) = the rows ids of the embedding w, likewise.
func (a *adapting) rows(s *tensor.Stream, dst, w, ids *tensor.Tensor) {
	s.Rows(dst, w, ids)
	a.change(s, dst, w, func(low, wa *tensor.Tensor, lo, hi int) { s.Rows(low, wa, ids.Slice(lo, hi)) })
}

// change issues what adapters change of dst, which came of w, as many rows at a
// time as the scratch memory has room for; lower issues low of the rows lo to hi
// by their A.
func (a *adapting) change(s *tensor.Stream, dst, w *tensor.Tensor, lower func(low, wa *tensor.Tensor, lo, hi int)) {
	if a == nil || a.deltas[w] == nil {
		return
	}
	d := a.deltas[w]
	n, rank, out := dst.Rows(), d.b.Cols(), d.b.Rows()
	step := min(n, a.low.Len()/rank, a.sum.Len()/out)
	for lo := 0; lo < n; lo += step {
		hi := min(n, lo+step)
		rows := hi - lo
		low := a.low.Slice(0, rows*rank).Reshape(rows, rank)
		lower(low, d.a, lo, hi)
		d.add(s, dst.Slice(lo, hi), low, a.sum.Slice(0, rows*out).Reshape(rows, out))
	}
}

// add issues dst = gain·dst + B·low + bias.
func (d *delta) add(s *tensor.Stream, dst, low, sum *tensor.Tensor) {
	s.MatMul(sum, d.b, low)
	if d.gain != nil {
		s.Binary(dst, dst, d.gain, tensor.Mul)
	}
	s.Add(dst, dst, sum)
	addBias(s, dst, d.bias)
}

// adapt makes a what adapters change, and frees what was before.
func (b *batch) adapt(a *adapting) {
	if b != nil {
		b.adapting.free()
		b.adapting = a
	}
}

// matmul issues a product of a layer.
func (b *batch) matmul(s *tensor.Stream, dst, w, x *tensor.Tensor) { b.adapting.matmul(s, dst, w, x) }
