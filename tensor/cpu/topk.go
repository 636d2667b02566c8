package cpu

import (
	"cmp"
	"math"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// topK keeps the k best of a row in a heap, the worst on top: nearly all
// numbers fail against it.
func (p *program) topK(op *tensor.Op) error {
	vals, ids, x := f32s(op.Dst), i32s(op.B), f32s(op.A)
	cols, k := op.A.Cols(), op.Dst.Cols()
	p.each(op, op.A.Rows(), 2*cols, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			topOfRow(vals[i*k:][:k], ids[i*k:][:k], x[i*cols:][:cols])
		}
		return nil
	}, writes(op.Dst.Data), writes(op.B.Data), reads(op.A.Data))
	return nil
}

func topOfRow(vals []float32, ids []int32, row []float32) {
	var space [tensor.MaxTopK]ranked
	h := space[:len(vals)]
	low := float32(math.Inf(-1))
	for i := range h {
		h[i] = ranked{row[i], int32(i)}
		if row[i] != row[i] {
			h[i].v = low
		}
	}
	for i := len(h)/2 - 1; i >= 0; i-- {
		sink(h, i)
	}
	for i := len(h); i < len(row); i++ {
		if v := row[i]; v > h[0].v { // NaN never is; an equal one comes later
			h[0] = ranked{v, int32(i)}
			sink(h, 0)
		}
	}
	slices.SortFunc(h, better)
	for i, r := range h {
		vals[i], ids[i] = r.v, r.id
	}
}

// ranked is a number and its index.
type ranked struct {
	v  float32
	id int32
}

// better puts the larger first, the lower index among equals.
func better(a, b ranked) int { return cmp.Or(cmp.Compare(b.v, a.v), cmp.Compare(a.id, b.id)) }

// sink restores the heap below h[i]: no number is better than those below it.
func sink(h []ranked, i int) {
	for {
		j := 2*i + 1
		if j >= len(h) {
			return
		}
		if j+1 < len(h) && better(h[j+1], h[j]) > 0 {
			j++
		}
		if better(h[i], h[j]) >= 0 {
			return
		}
		h[i], h[j] = h[j], h[i]
		i = j
	}
}
