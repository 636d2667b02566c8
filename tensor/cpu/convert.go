package cpu

import (
	"github.com/llcuda/llcuda/tensor"
)

// convert goes through int64 among integers, through float64 among plain
// types, and through float32 where blocks are decoded or encoded. Integers
// keep their low bits when they go into smaller ones, as in PyTorch.
func (p *program) convert(op *tensor.Op) error {
	dst, x := op.Dst, op.A
	uses := []access{writes(dst.Data), reads(x.Data)}
	switch {
	case dst.DType == x.DType:
		p.elements(op, len(x.Data), 1, func(lo, hi int) error {
			copy(dst.Data[lo:hi], x.Data[lo:hi])
			return nil
		}, uses...)
	case dst.DType.Quantised() || x.DType.Quantised():
		p.recode(op, uses)
	case integer(dst.DType) && integer(x.DType):
		p.elements(op, x.Len(), 4, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				putInt(dst, i, getInt(x, i))
			}
			return nil
		}, uses...)
	default:
		p.elements(op, x.Len(), 4, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				putFloat(dst, i, getFloat(x, i))
			}
			return nil
		}, uses...)
	}
	return nil
}

// recode converts from and to blocks. Every block length divides 256, and so
// does block, which is a multiple of it.
func (p *program) recode(op *tensor.Op, uses []access) {
	dst, x := op.Dst, op.A
	p.dev.growScratch(4 * block)
	p.each(op, (x.Len()+block-1)/block, 16*block, func(w *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			from, to := i*block, min((i+1)*block, x.Len())
			part := view[float32](w.scratch())[:to-from]
			x.DType.Decode(part, x.Data[x.DType.Bytes(from):x.DType.Bytes(to)])
			dst.DType.Encode(dst.Data[dst.DType.Bytes(from):dst.DType.Bytes(to)], part)
		}
		return nil
	}, uses...)
}
