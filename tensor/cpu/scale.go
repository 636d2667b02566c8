package cpu

import (
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// scale: dst = x·factor.
func (p *program) scale(op *tensor.Op) error {
	dst, x := f32s(op.Dst), f32s(op.A)
	p.elements(op, len(x), 1, func(lo, hi int) error {
		vec.Scale(dst[lo:hi], x[lo:hi], op.Scale)
		return nil
	}, writes(op.Dst.Data), reads(op.A.Data))
	return nil
}
