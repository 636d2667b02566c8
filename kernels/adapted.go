package kernels

import (
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// Bounds of adapted.cuh.
const (
	lowMost = 512 // ranks of all parts of a product
	lowRows = 4   // rows of A of a block
)

// adapted is adapted.cuh's Adapted: what adapters add to a product.
type adapted struct {
	a, b        [3]uint64
	low         uint64
	first, rank [3]int32
	ranks       int32
	blocks      int32
}

// match takes the three operations that follow a product where an adapter
// changes it (engine's adapting): low = A·x, sum = B·low, dst += sum. It returns
// what they would have written besides, nil if they are others.
func (a *adapted) match(ops []tensor.Op, part int, mul *tensor.Op) (scratch []*tensor.Tensor) {
	low, sum, add := at(ops, 0), at(ops, 1), at(ops, 2)
	if low.Kind != tensor.OpMatMul || !same(low.B, mul.B) || low.A.DType != tensor.F16 || low.Dst.DType != tensor.F32 ||
		sum.Kind != tensor.OpMatMul || !same(sum.B, low.Dst) || sum.A.DType != tensor.F16 || sum.Dst.DType != tensor.F32 || sum.Dst.Len() != mul.Dst.Len() ||
		add.Kind != tensor.OpBinary || add.Fn != tensor.Add || !same(add.Dst, mul.Dst) || !same(add.A, mul.Dst) || !same(add.B, sum.Dst) {
		return nil
	}
	if rank := low.A.Rows(); rank%8 != 0 || wide(low.A, sum.A) == 0 || overlap(low.Dst, mul.B) || overlap(sum.Dst, mul.B) || overlap(sum.Dst, mul.Dst) {
		return nil
	}
	a.a[part], a.b[part], a.rank[part], a.first[part] = ptr(low.A), ptr(sum.A), int32(low.A.Rows()), a.ranks
	for i := range part { // parts of one matrix in the file have one A
		if a.a[i] == a.a[part] && a.rank[i] == a.rank[part] {
			a.first[part] = a.first[i]
			return []*tensor.Tensor{low.Dst, sum.Dst}
		}
	}
	a.ranks += a.rank[part]
	return []*tensor.Tensor{low.Dst, sum.Dst}
}

// lower deals the rows of A out to all blocks. It reports whether they can take
// them.
func (d *Device) lower(a *adapted) bool {
	a.blocks = int32(d.sms())
	return int(a.ranks) <= min(lowMost, lowRows*d.sms())
}

// adapting says whether any product has adapters.
func (f *fusion) adapting() bool {
	return slices.ContainsFunc(f.adapted, func(a adapted) bool { return a.ranks > 0 })
}

// lows takes memory for A·x of all products.
func (f *fusion) lows() {
	words := 0
	for _, a := range f.adapted {
		words += int(a.ranks)
	}
	at := f.own(8 * words)
	for i := range f.adapted {
		f.adapted[i].low = at
		at += 8 * uint64(f.adapted[i].ranks)
	}
}
