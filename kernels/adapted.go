package kernels

import (
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// Bounds of adapted.cuh.
const (
	lowMost = 512 // ranks of all parts of a product
	lowRows = 2   // rows of A of a block

	lowBytes = 8 << 10 // of shared memory, for rows of B
)

// adapted is adapted.cuh's Adapted: what adapters add to a product, as one block
// sees it.
type adapted struct {
	row, to     [lowRows]uint64
	b           [3]uint64
	low         uint64
	first, rank [3]int32
	ranks       int32
	_           int32
}

// An adaptation is what adapters add to a product.
type adaptation struct {
	adapted           // what all blocks have in common
	a       [3]uint64 // f16 (rank, cols)
}

// match takes the three operations that follow a product where an adapter
// changes it (engine's adapting): low = A·x, sum = B·low, dst += sum. It returns
// what they would have written besides, nil if they are others.
func (a *adaptation) match(ops []tensor.Op, part int, mul *tensor.Op) (scratch []*tensor.Tensor) {
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

// room says whether the blocks have room for the rows of A.
func (a *adaptation) room(d *Device) bool { return int(a.ranks) <= min(lowMost, lowRows*d.sms()) }

// adapting says whether any product has adapters.
func (f *fusion) adapting() bool {
	return slices.ContainsFunc(f.adaptations, func(a adaptation) bool { return a.ranks > 0 })
}

// adapted is (products, blocks). Rows of A go round the blocks from the last one
// on: the first ones have more units.
func (f *fusion) adapted() (all []adapted) {
	words := 0
	for _, a := range f.adaptations {
		words += int(a.ranks)
	}
	low, blocks := f.own(8*words), f.d.sms()
	for i, a := range f.adaptations {
		a.low = low
		of := slices.Repeat([]adapted{a.adapted}, blocks)
		for part, addr := range a.a {
			for row := range int(a.rank[part]) {
				n := int(a.first[part]) + row
				block := &of[blocks-1-n%blocks]
				block.row[n/blocks], block.to[n/blocks] = addr+2*uint64(row)*uint64(f.products[i].cols), low+8*uint64(n)
			}
		}
		all = append(all, of...)
		low += 8 * uint64(a.ranks)
	}
	return all
}
