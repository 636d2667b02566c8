package cpu

import "github.com/llcuda/llcuda/tensor"

// fork copies the first rows of a sequence to another one, a row a piece.
func (p *program) fork(op *tensor.Op) error {
	cache, size := op.Dst, op.Dst.RowBytes()
	ctx := newSequences(op).rows(cache)
	src, dst := cache.Data[op.From*ctx*size:][:ctx*size], cache.Data[op.To*ctx*size:][:ctx*size]
	p.each(op, min(op.N, ctx), cache.Cols(), func(_ *worker, lo, hi int) error {
		copy(dst[lo*size:hi*size], src[lo*size:hi*size])
		return nil
	}, writes(dst), reads(src))
	return nil
}
