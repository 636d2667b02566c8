package engine

import "github.com/llcuda/llcuda/tensor"

// A batch is the working memory of the layers for n tokens. Views of fewer
// tokens share it.
type batch struct {
	eps      float32
	ids, pos *tensor.Tensor // (n) i32: token ids and their positions
	seq      *tensor.Tensor // (n) i32: whose tokens they are; nil: all of one text
	seqs     int            // texts that the caches hold
	x        *tensor.Tensor // (n, dim): the residual stream
	h        *tensor.Tensor // (n, dim): what goes into and comes out of a half layer
	q, att   *tensor.Tensor // (n, heads*headDim)
	k, v     *tensor.Tensor // (n, kvHeads*headDim)
	gate, up *tensor.Tensor // (n, ffn)
	qHeads   *tensor.Tensor // q as (n, heads, headDim)
	kHeads   *tensor.Tensor // k as (n, kvHeads, headDim)
	cache    []cache        // one a layer; of layers on another device empty
	adapting *adapting      // what adapters change; nil: nothing

	// Of an encoder: where the texts in the batch end, and the position of
	// each token's last one.
	ends []int
	last *tensor.Tensor // (n) i32
}

// A cache holds the keys and values of one layer, each (rows, kvHeads*headDim).
// A layer with a window has a ring: position p lies at p mod rows. Caches of
// several texts have the rows of one after the other.
type cache struct{ k, v *tensor.Tensor }

// cacheRows is the length of a layer's cache. A ring holds the window of the
// first query of a batch and the batch itself.
func cacheRows(l *layer, context, batch int) int {
	if w := l.attend.Window; w > 0 {
		return min(context, w+batch)
	}
	return context
}

// newBatch allocates working memory, and the caches of the layers lo to hi,
// from a, which remembers errors. The caches are those of one text with texts
// 0, else of so many.
func newBatch(a *allocator, n *network, lo, hi, rows, context, texts int, cacheType tensor.DType) *batch {
	b := &batch{eps: n.eps, cache: make([]cache, len(n.layers)), seqs: texts,
		ids: a.new(tensor.I32, rows), pos: a.new(tensor.I32, rows),
		x: a.new(tensor.F32, rows, n.dim), h: a.new(tensor.F32, rows, n.dim),
		q: a.new(tensor.F32, rows, n.qDim()), att: a.new(tensor.F32, rows, n.qDim()),
		k: a.new(tensor.F32, rows, n.kvDim()), v: a.new(tensor.F32, rows, n.kvDim()),
		gate: a.new(tensor.F32, rows, n.ffn), up: a.new(tensor.F32, rows, n.ffn),
	}
	if n.encoder {
		b.last = a.new(tensor.I32, rows)
	}
	if texts > 0 {
		b.seq = a.new(tensor.I32, rows)
	}
	for i := lo; i < hi; i++ {
		if n.encoder && i > lo { // its layers remember nothing
			b.cache[i] = b.cache[lo]
			continue
		}
		c := max(1, texts) * cacheRows(&n.layers[i], context, rows)
		b.cache[i] = cache{a.new(cacheType, c, n.kvDim()), a.new(cacheType, c, n.kvDim())}
	}
	if a.err != nil {
		return nil
	}
	b.qHeads = b.q.Reshape(rows, n.heads, n.headDim)
	b.kHeads = b.k.Reshape(rows, n.kvHeads, n.headDim)
	return b
}

// first is the view of the first n tokens.
func (b *batch) first(n int) *batch {
	v := &batch{eps: b.eps, cache: b.cache, adapting: b.adapting, seqs: b.seqs, ends: b.ends,
		ids: b.ids.Slice(0, n), pos: b.pos.Slice(0, n), x: b.x.Slice(0, n), h: b.h.Slice(0, n),
		q: b.q.Slice(0, n), att: b.att.Slice(0, n), k: b.k.Slice(0, n), v: b.v.Slice(0, n),
		gate: b.gate.Slice(0, n), up: b.up.Slice(0, n), qHeads: b.qHeads.Slice(0, n), kHeads: b.kHeads.Slice(0, n),
	}
	if b.last != nil {
		v.last = b.last.Slice(0, n)
	}
	if b.seq != nil {
		v.seq = b.seq.Slice(0, n)
	}
	return v
}

// An allocator allocates on a device and remembers what, and the first error.
type allocator struct {
	dev tensor.Device
	all []*tensor.Tensor
	err error
}

func (a *allocator) new(d tensor.DType, shape ...int) *tensor.Tensor {
	if a.err != nil {
		return nil
	}
	t, err := a.dev.New(d, shape...)
	if err != nil {
		a.err = err
		return nil
	}
	a.all = append(a.all, t)
	return t
}

func (a *allocator) free() {
	for _, t := range a.all {
		a.dev.Free(t)
	}
	a.all = nil
}
