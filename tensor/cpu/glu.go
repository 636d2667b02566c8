package cpu

import (
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// glu: dst = fn(gate)·up.
func (p *program) glu(op *tensor.Op) error {
	dst, gate, up := f32s(op.Dst), f32s(op.A), f32s(op.B)
	run := func(dst, gate, up []float32) {
		for i, g := range gate {
			dst[i] = float32(function(op.Fn, float64(g), 0)) * up[i]
		}
	}
	switch op.Fn {
	case tensor.SiLU:
		run = vec.SiLUMul
	case tensor.GELU:
		run = vec.GELUMul
	}
	p.elements(op, len(dst), 4, func(lo, hi int) error {
		run(dst[lo:hi], gate[lo:hi], up[lo:hi])
		return nil
	}, writes(op.Dst.Data), reads(op.A.Data), reads(op.B.Data))
	return nil
}

// block is how many numbers an elementwise operation takes as one piece.
const block = 2048

// elements emits a phase over n numbers of the given cost each, in pieces of
// block numbers.
func (p *program) elements(op *tensor.Op, n, cost int, run func(lo, hi int) error, uses ...access) {
	p.each(op, (n+block-1)/block, block*cost, func(_ *worker, lo, hi int) error {
		return run(lo*block, min(hi*block, n))
	}, uses...)
}
