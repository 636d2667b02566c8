package cpu

import (
	"github.com/llcuda/llcuda/tensor"
)

// fill sets every number to the value, in dst's type.
func (p *program) fill(op *tensor.Op) error {
	dst := op.Dst
	p.elements(op, dst.Len(), 4, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			putFloat(dst, i, float64(op.Scale))
		}
		return nil
	}, writes(dst.Data))
	return nil
}
