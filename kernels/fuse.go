package kernels

import (
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// A recorded step of one token is fused here: operations that a transformer
// repeats become the stages of one persistent kernel (step.cuh). What comes
// before the first stage and after the last stays as it is.
//
//	[norm of h, sum into x,] [norm of x,] 1–3 products of one input, each
//	[plus B·(A·input) of adapters,] biases,
//	then GLU of two, or a sum into x, or a softcap        → a product stage
//	norms of heads, RoPE, Store, Attention                → an attention stage
//	ArgMax of the last product, its token fed back        → the last stage
//
// A tensor between two operations of a stage is never written, which the
// contract of tensor.Program allows.

// Kinds of stages.
const (
	stageProduct int32 = iota
	stageAttend
	stagePick
)

type stage struct{ kind, index int32 }

// pickArgs is step.cuh's Pick.
type pickArgs struct{ best, token, id, pos, by uint64 }

// A fusion is the fused form of a list of operations while it is made.
type fusion struct {
	d           *Device
	ops         []tensor.Op
	products    []product
	adaptations []adaptation // one for each product
	attends     []attend
	stages      []stage
	pick        pickArgs
	before      int              // operations that stay before the stages
	after       []tensor.Op      // operations that stay after them
	inputs      []inputs         // one for each product
	values      []*value         // of tensors, in the order in which they are written
	unmade      []*tensor.Tensor // tensors that no stage writes
	owned       []uint64         // device memory of the program
	err         error
}

// inputs are the values of a product: what it reads, or nil, and what it writes.
type inputs struct {
	x, post, residual *value
	sum               *value
	dst               [3]*value
	lots              []lot // of the blocks
}

// An attend is what an attention stage is made of.
type attend struct {
	op           *tensor.Op     // the Attention
	qNorm, kNorm *tensor.Tensor // norms of heads, or nil
	eps          float32
	rope         *tensor.Rope
	factors      *tensor.Tensor
	q, k, v      *value // as they come from the product
	dst          *value
}

// match takes as many of the operations as stages can be. It reports whether
// that is worth it.
func (f *fusion) match() bool {
	rest := f.ops
	for ; len(rest) > 0; f.before++ {
		if n := f.product(rest); n > 0 {
			rest = rest[n:]
			break
		}
		rest = rest[1:]
	}
	for len(rest) > 0 {
		n := f.product(rest)
		if n == 0 {
			n = f.attend(rest)
		}
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	rest = f.last(rest)
	return len(f.stages) > 2 && f.rest(rest) && f.place()
}

// product matches a product stage and returns how many operations it is.
func (f *fusion) product(ops []tensor.Op) (n int) {
	p := product{attend: -1}
	var io inputs
	var written [3]*tensor.Tensor // by the parts
	var firsts [3]int             // rows of the parts in their planes
	var x, post, residual *tensor.Tensor
	var weights []*tensor.Tensor // of norms, and biases
	var more adaptation
	var unmade []*tensor.Tensor
	var stream *tensor.Tensor // of the residual, when it is summed first
	if op := at(ops, 0); op.Kind == tensor.OpRMSNorm && op.Dst.Rows() == 1 && same(op.Dst, op.A) {
		sum, norm := at(ops, 1), at(ops, 2)
		if sum.Kind == tensor.OpBinary && sum.Fn == tensor.Add && same(sum.Dst, sum.A) && same(sum.B, op.Dst) &&
			norm.Kind == tensor.OpRMSNorm && same(norm.A, sum.Dst) && norm.Eps == op.Eps {
			stream = sum.Dst
			post, p.postNorm = op.A, ptr(op.B)
			weights = append(weights, op.B)
			unmade = append(unmade, op.Dst)
			n = 2
		}
	}
	var in *tensor.Tensor
	if op := at(ops, n); op.Kind == tensor.OpRMSNorm && op.Dst.Rows() == 1 && !same(op.Dst, op.A) {
		p.normalise, p.eps, p.norm, x = 1, op.Eps, ptr(op.B), op.A
		weights = append(weights, op.B)
		in = op.Dst
		unmade = append(unmade, in)
		n++
	}
	var muls []*tensor.Op
	for len(muls) < len(p.part) {
		op := at(ops, n)
		if op.Kind != tensor.OpMatMul || op.B.Rows() != 1 || op.B.DType != tensor.F32 || op.Dst.DType != tensor.F32 ||
			in != nil && !same(op.B, in) {
			break
		}
		w, first, ok := f.d.tiled(op.A)
		if !ok {
			break
		}
		p.part[len(muls)].setPart(op.A, w)
		firsts[len(muls)] = first
		if in == nil {
			in, x = op.B, op.B
		}
		p.cols = int32(op.A.Cols())
		written[len(muls)] = op.Dst
		muls = append(muls, op)
		n++
		if scratch := more.match(ops[n:], len(muls)-1, op); scratch != nil {
			unmade = append(unmade, scratch...)
			n += 3
			if bias := at(ops, n); isBias(bias, op) { // an adapter's, too
				p.part[len(muls)-1].bias = ptr(bias.B)
				weights = append(weights, bias.B)
				n++
			}
		}
	}
	p.parts = int32(len(muls))
	if p.parts == 0 || !p.finish(f.d) {
		return 0
	}
	for bias := at(ops, n); ; bias = at(ops, n) {
		i := slices.IndexFunc(muls, func(m *tensor.Op) bool { return isBias(bias, m) })
		if i < 0 || p.part[i].bias != 0 {
			break
		}
		p.part[i].bias = ptr(bias.B)
		weights = append(weights, bias.B)
		n++
	}
	switch op := at(ops, n); {
	case p.parts == 2 && op.Kind == tensor.OpGLU && same(op.A, muls[0].Dst) && same(op.B, muls[1].Dst):
		if p.mode = productGLU; p.part[0].rows != p.part[1].rows {
			return 0
		}
		p.fn, written = int32(op.Fn), [3]*tensor.Tensor{op.Dst}
		unmade = append(unmade, other(op.Dst, muls[0].Dst, muls[1].Dst)...)
		n++
	case p.parts == 1 && op.Kind == tensor.OpBinary && op.Fn == tensor.Add && same(op.Dst, op.A) && same(op.B, muls[0].Dst) &&
		(stream == nil || !overlap(op.A, stream)): // its own sum comes too late for that
		p.mode, residual = productAdd, op.A
		written[0] = op.Dst
		unmade = append(unmade, muls[0].Dst)
		n++
	case p.parts == 1 && op.Kind == tensor.OpUnary && op.Fn == tensor.Tanhcap && same(op.Dst, op.A) && same(op.A, muls[0].Dst):
		p.cap = op.Scale
		n++
	}
	if !more.room(f.d) || !f.given(weights...) {
		return 0
	}
	for _, in := range []struct {
		t *tensor.Tensor
		v **value
	}{{x, &io.x}, {post, &io.post}, {residual, &io.residual}} {
		if in.t == nil {
			continue
		}
		if *in.v = f.value(in.t); *in.v == nil {
			return 0
		}
	}
	io.lots = p.lots(firsts, f.d.sms())
	now := len(f.stages)
	for _, v := range []*value{io.x, io.post, io.residual} {
		if v != nil {
			v.readers = append(v.readers, now)
		}
	}
	if stream != nil {
		io.sum = f.write(stream, now)
	}
	for i, t := range written {
		if t != nil {
			io.dst[i] = f.write(t, now)
		}
	}
	f.stages = append(f.stages, stage{stageProduct, int32(len(f.products))})
	f.products = append(f.products, p)
	f.inputs = append(f.inputs, io)
	f.adaptations = append(f.adaptations, more)
	for _, m := range muls {
		f.made(m.Dst)
	}
	f.unmade = append(f.unmade, unmade...)
	return n
}

// made says that t is written, whatever was left out before.
func (f *fusion) made(t *tensor.Tensor) {
	f.unmade = slices.DeleteFunc(f.unmade, func(u *tensor.Tensor) bool { return same(u, t) })
}

// lacks says whether a part of t was not written.
func (f *fusion) lacks(t *tensor.Tensor) bool {
	return slices.ContainsFunc(f.unmade, func(u *tensor.Tensor) bool { return overlap(u, t) })
}

// isBias says whether an operation adds a vector to the result of a product.
func isBias(op, mul *tensor.Op) bool {
	return op.Kind == tensor.OpBinary && op.Fn == tensor.Add && same(op.Dst, mul.Dst) && same(op.A, mul.Dst) && op.B.Len() == mul.Dst.Len()
}

// own takes device memory that the program keeps, zeroed. The first error
// stays in f.err.
func (f *fusion) own(bytes int) (addr uint64) {
	if f.err == nil {
		if f.err = f.d.alloc(&addr, bytes); f.err == nil {
			f.owned = append(f.owned, addr)
		}
	}
	return addr
}

// attend matches an attention stage and returns how many operations it is.
func (f *fusion) attend(ops []tensor.Op) (n int) {
	if len(f.stages) == 0 || f.stages[len(f.stages)-1].kind != stageProduct {
		return 0
	}
	var a attend
	var norms, ropes, stores []*tensor.Op
	for ; ; n++ {
		op := at(ops, n)
		switch op.Kind {
		case tensor.OpRMSNorm:
			norms = append(norms, op)
		case tensor.OpRoPE:
			ropes = append(ropes, op)
		case tensor.OpStore:
			stores = append(stores, op)
		case tensor.OpAttention:
			a.op = op
		default:
			return 0
		}
		if a.op != nil {
			n++
			break
		}
	}
	q := a.op.A
	if q.Rows() != 1 || len(stores) != 2 || len(ropes) != 2 || len(norms) != 0 && len(norms) != 2 {
		return 0
	}
	k, v := stores[0], stores[1]
	dim := q.Cols() / a.op.Heads
	if !same(k.Dst, a.op.B) || !same(v.Dst, a.op.C) || !same(k.Pos, a.op.Pos) || !same(v.Pos, a.op.Pos) {
		return 0
	}
	for i, r := range ropes {
		if !same(r.Dst, r.A) || !same(r.A, []*tensor.Tensor{q, k.A}[i]) || !same(r.Pos, a.op.Pos) ||
			*r.Rope != *ropes[0].Rope || ptr(r.B) != ptr(ropes[0].B) || r.B != nil && !f.d.constant(r.B) || r.A.Cols() != dim {
			return 0
		}
	}
	a.rope, a.factors = ropes[0].Rope, ropes[0].B
	for i, r := range norms {
		if !same(r.Dst, r.A) || !same(r.A, []*tensor.Tensor{q, k.A}[i]) || r.A.Cols() != dim || r.B == nil || r.Eps != norms[0].Eps {
			return 0
		}
		a.eps = r.Eps
		*[]**tensor.Tensor{&a.qNorm, &a.kNorm}[i] = r.B
	}
	if len(f.attends) > 0 { // the kernel is made for one kind of heads
		b := f.attends[0].op
		if !same(b.Pos, a.op.Pos) || b.B.DType != k.Dst.DType || b.A.Cols()/b.Heads != dim || b.Heads != a.op.Heads || b.KVHeads != a.op.KVHeads {
			return 0
		}
	}
	if stepKernel(dim, k.Dst.DType) == "" {
		return 0
	}
	now := len(f.stages)
	a.q, a.k, a.v = f.value(q), f.value(k.A), f.value(v.A)
	for _, v := range []*value{a.q, a.k, a.v} {
		if v == nil || v.writer != now-1 {
			return 0
		}
	}
	for _, v := range f.inputs[len(f.inputs)-1].dst {
		if v != nil && v != a.q && v != a.k && v != a.v {
			return 0
		}
	}
	if !f.given(a.qNorm, a.kNorm) {
		return 0
	}
	for _, v := range []*value{a.q, a.k, a.v} {
		v.readers = append(v.readers, now)
	}
	a.dst = f.write(a.op.Dst, now)
	f.products[len(f.products)-1].attend = int32(len(f.attends))
	f.stages = append(f.stages, stage{stageAttend, int32(len(f.attends))})
	f.attends = append(f.attends, a)
	f.made(a.op.Dst)
	f.unmade = append(f.unmade, q, k.A)
	return n
}

// last matches the choice of a token, and its way back to the input.
func (f *fusion) last(ops []tensor.Op) []tensor.Op {
	op := at(ops, 0)
	if op.Kind != tensor.OpArgMax || op.Dst.Len() != 1 || len(f.products) == 0 {
		return ops
	}
	p := &f.products[len(f.products)-1]
	if f.stages[len(f.stages)-1].kind != stageProduct || p.parts != 1 || p.mode != productStore || !same(op.A, f.inputs[len(f.products)-1].dst[0].t) {
		return ops
	}
	f.pick = pickArgs{token: ptr(op.Dst)}
	f.stages = append(f.stages, stage{kind: stagePick})
	ops = ops[1:]
	if c := at(ops, 0); c.Kind == tensor.OpConvert && c.Dst.DType == tensor.I32 && c.Dst.Len() == 1 && same(c.A, op.Dst) {
		f.pick.id = ptr(c.Dst)
		ops = ops[1:]
	}
	if b := at(ops, 0); b.Kind == tensor.OpBinary && b.Fn == tensor.Add && b.Dst.DType == tensor.I32 && b.Dst.Len() == 1 && same(b.Dst, b.A) && b.B.Len() == 1 {
		f.pick.pos, f.pick.by = ptr(b.Dst), ptr(b.B)
		ops = ops[1:]
	}
	return ops
}

// rest takes what stays after the stages. It reports whether everything that
// is read there is written somewhere.
func (f *fusion) rest(ops []tensor.Op) bool {
	f.after = slices.Clone(ops)
	for i := range f.after {
		op := &f.after[i]
		for _, t := range []*tensor.Tensor{op.A, op.B, op.C, op.Pos} {
			if t == nil {
				continue
			}
			if v := f.value(t); v == nil || v.writer >= 0 && len(v.readers) > 0 {
				return false
			}
		}
		f.made(op.Dst)
		f.write(op.Dst, -1)
	}
	return true
}

// at is operation i, or one of no kind.
func at(ops []tensor.Op, i int) *tensor.Op {
	if i < len(ops) {
		return &ops[i]
	}
	return &tensor.Op{}
}

// same says whether two tensors are the same numbers.
func same(a, b *tensor.Tensor) bool {
	return a != nil && b != nil && a.Addr == b.Addr && a.DType == b.DType && a.Len() == b.Len()
}

// other is those of a and b that are not t.
func other(t, a, b *tensor.Tensor) (all []*tensor.Tensor) {
	for _, u := range []*tensor.Tensor{a, b} {
		if !same(t, u) {
			all = append(all, u)
		}
	}
	return all
}
