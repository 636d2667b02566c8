package cpu

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// attention: softmax(q·kᵀ·scale)·v over the positions that each query sees.
func (p *program) attention(op *tensor.Op) error {
	q, dst, pos := f32s(op.A), f32s(op.Dst), i32s(op.Pos)
	k, v := op.B, op.C
	dim := op.A.Cols() / op.Heads
	group := op.Heads / op.KVHeads
	ctx := k.Rows()
	p.dev.growScratch(4 * (2*dim + ctx))
	p.each(op, len(pos)*op.KVHeads, 1<<20, func(w *worker, lo, hi int) error {
		s := view[float32](w.scratch())
		row, acc, scores := s[:dim], s[dim:2*dim], s[2*dim:]
		latest := int32(0)
		for _, p := range pos {
			latest = max(latest, p)
		}
		for it := lo; it < hi; it++ {
			i, kv := it/op.KVHeads, it%op.KVHeads
			if pos[i] < 0 {
				return fmt.Errorf("position %d is negative", pos[i])
			}
			first := max(0, int(latest)-ctx+1)
			if op.Window > 0 {
				first = max(first, int(pos[i])-op.Window+1)
			}
			n := int(pos[i]) - first + 1
			for g := range group {
				at := (i*op.Heads + kv*group + g) * dim
				for j := range n {
					decodeHead(row, k, (first+j)%ctx, kv, dim)
					vec.Scores(scores[j:], 1, q[at:], 1, dim, row, dim, 1)
					scores[j] *= op.Scale
					if op.Softcap != 0 {
						scores[j] = op.Softcap * float32(math.Tanh(float64(scores[j]/op.Softcap)))
					}
				}
				softmax(scores[:n], scores[:n])
				clear(acc)
				for j := range n {
					decodeHead(row, v, (first+j)%ctx, kv, dim)
					vec.Gemm(acc, dim, scores[j:], 1, 1, row, dim, 1, dim, 1, true)
				}
				copy(dst[at:at+dim], acc)
			}
		}
		return nil
	}, writes(op.Dst.Data), reads(op.A.Data), reads(k.Data), reads(v.Data), reads(op.Pos.Data))
	return nil
}

func decodeHead(dst []float32, c *tensor.Tensor, slot, head, dim int) {
	at := c.DType.Bytes(slot*c.Cols() + head*dim)
	c.DType.Decode(dst, c.Data[at:at+c.DType.Bytes(dim)])
}
