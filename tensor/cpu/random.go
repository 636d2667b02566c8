package cpu

import (
	"github.com/llcuda/llcuda/tensor"
)

// random draws each block of numbers from its own generator (PCG, seeded with
// the operation's seed and the block's number), so that the result does not
// depend on who draws it.
func (p *program) random(op *tensor.Op) error {
	dst := f32s(op.Dst)
	p.each(op, (len(dst)+block-1)/block, 40*block, func(w *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			w.pcg.Seed(op.Seed, uint64(i))
			for j := i * block; j < min((i+1)*block, len(dst)); j++ {
				dst[j] = float32(w.rng.NormFloat64())
			}
		}
		return nil
	}, writes(op.Dst.Data))
	return nil
}
