package engine

import "github.com/llcuda/llcuda/tensor"

// use is what a batcher takes of the device of a part.
func (o *BatcherOptions) use(n *network, p *part, cacheType tensor.DType) DeviceUse {
	u := DeviceUse{Device: p.dev.Name(), Layers: p.hi - p.lo}
	rows, texts := max(o.Batch, stepRows(o.Texts)), stepRows(o.Texts)
	card, _ := p.dev.(sizer)
	for i := p.lo; i < p.hi; i++ {
		u.Cache += n.cacheBytes(card, o.Texts*cacheRows(&n.layers[i], o.Context, rows), cacheType)
	}
	u.Scratch = batchBytes(n, rows) + 4*int64(rows)
	if p.hi == len(n.layers) {
		u.Scratch += headBytes(n, texts)
	}
	return u
}

// batchBytes is the working memory of the layers for so many rows.
func batchBytes(n *network, rows int) int64 {
	row := 2 + 2*n.dim + 2*n.qDim() + 2*n.kvDim() + 2*n.ffn
	return 4 * int64(rows) * int64(row)
}

// headBytes is the memory of what follows the last layer of so many texts.
func headBytes(n *network, texts int) int64 {
	return 4 * int64(texts) * int64(2+2*n.dim+n.vocab+2*min(tensor.MaxTopK, n.vocab))
}

// roomFor refuses a batcher that does not fit, with what would.
func (m *Model) roomFor(o *BatcherOptions) error {
	fits := func(o BatcherOptions) (tight DeviceUse, free int64, ok bool) {
		o.Batch = min(o.Batch, o.Context)
		for i := range m.parts {
			u := o.use(m.net, &m.parts[i], m.cacheType)
			if r := rooms(m.net, o.Batch, o.Texts, m.parts[i].dev)[0]; u.Bytes() > r.left() {
				u.Scratch += r.beside
				return u, r.free, false
			}
		}
		return DeviceUse{}, 0, true
	}
	u, free, ok := fits(*o)
	if ok {
		return nil
	}
	e := &TooBigError{Model: m.info.Name, Device: u.Device, Cache: u.Cache, Scratch: u.Scratch, Free: free, texts: o.Texts}
	e.Texts = largest(o.Texts-1, func(n int) bool {
		c := *o
		c.Texts = n
		_, _, ok := fits(c)
		return ok
	})
	e.Context = largest(o.Context-1, func(n int) bool {
		c := *o
		c.Context = n
		_, _, ok := fits(c)
		return ok
	})
	if e.Context > 256 {
		e.Context -= e.Context % 256
	}
	return e
}

// largest is the largest number up to n that fits, 0 if none does; what is
// smaller fits, too.
func largest(n int, fits func(n int) bool) int {
	lo := 0
	for lo < n {
		if mid := (lo + n + 1) / 2; fits(mid) {
			lo = mid
		} else {
			n = mid - 1
		}
	}
	return lo
}
