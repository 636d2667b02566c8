package kernels

import "github.com/llcuda/llcuda/tensor"

// fork copies the first rows of a sequence to another one: numbers, and of a
// cache of q8_0 their scales, which lie behind all numbers (cache.cuh).
func (d *Device) fork(op *tensor.Op) error {
	cache, cols := op.Dst, op.Dst.Cols()
	rows := cache.Rows() / op.Seqs
	n := min(op.N, rows)
	part := func(base uint64, rowBytes int) error {
		at := func(seq int) uint64 { return base + uint64(seq*rows*rowBytes) }
		return d.move(at(op.To), at(op.From), n*rowBytes)
	}
	switch {
	case n == 0 || cols == 0:
		return nil
	case cache.DType != tensor.Q8_0:
		return part(ptr(cache), cache.RowBytes())
	}
	if err := part(ptr(cache), cols); err != nil {
		return err
	}
	return part(ptr(cache)+uint64(cache.Len()), cols/32*2)
}
