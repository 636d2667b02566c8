package cpu

import (
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/simd"
)

// prepared says whose numbers a prepared buffer holds: products of one input
// (q, k and v; gate and up) prepare it once.
type prepared struct {
	of   access
	cols int
}

// matMul: dst (n, m) = x (n, k) · wᵀ, in two phases: x into the form that the
// product for w's type likes, then ranges of w's rows. f16 and bf16 have a
// phase more at either end.
func (p *program) matMul(op *tensor.Op) error {
	w, n, k, m := op.A, op.B.Rows(), op.A.Cols(), op.A.Rows()
	if n*m == 0 {
		return nil
	}
	kernel := simd.For(w.DType, op.Alike)
	role := preparedBuffer + int(kernel.Form(n))
	p.prepare(op, kernel, role)
	out, result := func() []float32 { return f32s(op.Dst) }, writes(op.Dst.Data)
	if op.Dst.DType != tensor.F32 {
		p.dev.growBuffer(resultBuffer, 4*n*m)
		out, result = func() []float32 { return view[float32](p.dev.buffers[resultBuffer])[:n*m] }, writesBuffer(resultBuffer)
	}
	p.dev.growScratch(kernel.ScratchBytes(n, k))

	// Pieces are what the kernel likes to take at a time. A chunk is small
	// enough that a slow core does not make the others wait long for its last
	// one; with few rows, where memory is the bound, large enough to be read
	// in one go, with many large enough to be used by a visit of all rows.
	const least, most = 16 << 10, 64 // bytes of weights; rows of weights
	step := max(1, kernel.RowAlign(n))
	pieces := (m + step - 1) / step
	chunk := max(pieces/(3*p.dev.Threads()), least/(step*w.RowBytes()), 1)
	if step > 1 {
		chunk = min(max(pieces/(4*p.dev.Threads()), 1), max(most/step, 1))
	}
	p.emit("matmul", pieces, chunk, func(wk *worker, lo, hi int) error {
		kernel.Mul(out(), m, w.Data, p.dev.buffers[role], k, n, lo*step, min(hi*step, m), wk.scratch())
		return nil
	}, result, reads(w.Data), readsBuffer(role))

	if op.Dst.DType != tensor.F32 {
		p.each(op, n, m, func(_ *worker, lo, hi int) error {
			from32(op.Dst, lo*m, out()[lo*m:hi*m])
			return nil
		}, writes(op.Dst.Data), readsBuffer(resultBuffer))
	}
	return nil
}

// prepare emits what brings x into the kernel's form, unless it is there.
func (p *program) prepare(op *tensor.Op, kernel *simd.Kernel, role int) {
	x, n, k := op.B, op.B.Rows(), op.B.Cols()
	have := &p.prepared[role-preparedBuffer]
	want := prepared{reads(x.Data), k}
	if *have == want {
		return
	}
	p.dev.growBuffer(role, kernel.PreparedBytes(n, k))
	in, source := func() []float32 { return f32s(x) }, reads(x.Data)
	if x.DType != tensor.F32 {
		p.dev.growBuffer(wideBuffer, 4*n*k)
		in, source = func() []float32 { return view[float32](p.dev.buffers[wideBuffer])[:n*k] }, readsBuffer(wideBuffer)
		p.each(op, n, k, func(_ *worker, lo, hi int) error {
			to32(in()[lo*k:hi*k], x, lo*k)
			return nil
		}, writesBuffer(wideBuffer), reads(x.Data))
	}
	p.each(op, n, 4*k, func(_ *worker, lo, hi int) error {
		kernel.Prepare(p.dev.buffers[role], in(), k, n, lo, hi)
		return nil
	}, writesBuffer(role), source)
	*have = want
}
