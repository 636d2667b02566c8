package engine

import "github.com/llcuda/llcuda/tensor"

// A pool makes the vector of a text of the hidden states of its tokens, which
// come in parts.
type pool struct {
	e   *Embedder
	n   int // tokens of the text
	sum []float64
}

func newPool(e *Embedder, n int) *pool { return &pool{e, n, make([]float64, e.m.net.dim)} }

// wanted says which of the n tokens from first on count, as [lo, hi) of them.
func (p *pool) wanted(first, n int) (lo, hi int) {
	switch {
	case p.e.pooling == MeanPooling:
		return 0, n
	case p.e.pooling == CLSPooling && first == 0:
		return 0, 1
	case p.e.pooling == LastPooling && first+n == p.n:
		return n - 1, n
	}
	return 0, 0
}

// add reads the states h (n, dim) of the tokens from first on.
func (p *pool) add(first int, h *tensor.Tensor) error {
	lo, hi := p.wanted(first, h.Rows())
	dim := len(p.sum)
	if need := (hi - lo) * dim; cap(p.e.rows) < need {
		p.e.rows = make([]float32, need)
	}
	rows := p.e.rows[:(hi-lo)*dim]
	if len(rows) == 0 {
		return nil
	}
	if err := h.Device.Read(bytesOf(rows), h.Slice(lo, hi)); err != nil {
		return err
	}
	for i, x := range rows {
		p.sum[i%dim] += float64(x)
	}
	return nil
}

// vector is what the text has come to.
func (p *pool) vector() []float32 {
	count := 1.0
	if p.e.pooling == MeanPooling {
		count = float64(p.n)
	}
	v := make([]float32, len(p.sum))
	for i, x := range p.sum {
		v[i] = float32(x / count)
	}
	return v
}
