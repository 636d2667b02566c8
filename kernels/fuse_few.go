package kernels

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// A recorded step of several texts is fused here: what lies between products of
// few rows (tensor.AlikeFew, AlikeSome) becomes one kernel (between.cu), which
// also adds the products' parts and makes the next product's input.
//
//	[product,] [bias, norm of its result,] sum into x, [norm of x]   → between_norm
//	norm of x
//	[2 products,] GLU                                               → between_glu
//	[3 products,] biases, norms of heads, RoPE, Stores              → between_heads
//	Attention                                                       → decode_crowd
//
// Everything else is issued as it is. What is recognised depends on no number of
// rows, for the kernels add in other orders than those they replace.

// A bunch is operations that are issued together.
type bunch struct {
	ops      []tensor.Op
	products []*tensor.Op   // of ops: their results go to launch in parts
	most     int            // rows that these take at a time
	input    *tensor.Tensor // what launch leaves as the input of products; or nil
	wrote    []*tensor.Tensor
	launch   func(y []parts, to operand) error // nil: there is one operation, issued as it is
}

// A gathering makes bunches of a list of operations.
type gathering struct {
	d     *Device
	ops   []tensor.Op // all
	alike tensor.Alike
	err   error // of the device
}

// gather makes bunches of g's operations if their rows are alike. Where there is
// nothing to fuse, or where the user wants none (LLCUDA_FUSE=0), there are none.
func (g *graph) gather() error {
	g.bunches = nil
	f := &gathering{d: g.dev, ops: g.ops}
	for i := range g.ops {
		switch op := &g.ops[i]; op.Kind {
		case tensor.OpMatMul, tensor.OpAttention, tensor.OpRMSNorm, tensor.OpLayerNorm:
			if f.alike == tensor.Apart {
				f.alike = op.Alike
			}
			if op.Alike != f.alike || f.alike != tensor.AlikeFew && f.alike != tensor.AlikeSome {
				return nil
			}
		}
	}
	if f.alike == tensor.Apart || g.step != nil {
		return nil
	}
	var all []bunch
	fused := false
	for ops := g.ops; len(ops) > 0 && fusing(); {
		b := f.next(ops)
		if f.err != nil {
			return g.dev.wrap("compile", f.err)
		}
		fused = fused || b.launch != nil
		all, ops = append(all, b), ops[len(b.ops):]
	}
	if fused {
		g.bunches = all
	}
	return nil
}

// next is the bunch that ops begin with.
func (f *gathering) next(ops []tensor.Op) bunch {
	n := 0
	for n < 3 && f.few(at(ops, n)) && same(ops[n].B, ops[0].B) {
		n++
	}
	b := bunch{most: f.most()}
	for i := range n {
		b.products = append(b.products, &ops[i])
	}
	matched := 0
	for _, match := range []func(*bunch, []tensor.Op) int{f.heads, f.attention, f.glu, f.norm} {
		if matched = match(&b, ops[n:]); matched > 0 {
			break
		}
	}
	if matched == 0 {
		return bunch{ops: ops[:1]}
	}
	b.ops = ops[:n+matched]
	return b
}

// most is how many rows products of few take at a time.
func (f *gathering) most() int {
	if f.alike == tensor.AlikeFew {
		return fewRows
	}
	return someRows
}

// few says whether op is a product of few rows.
func (f *gathering) few(op *tensor.Op) bool {
	if op.Kind != tensor.OpMatMul || op.Dst.Len() == 0 {
		return false
	}
	dry := f.d.dry
	f.d.dry = true
	_, ok, err := f.d.fewParts([]*tensor.Op{op}, f.most())
	f.d.dry = dry
	f.err = errors.Join(f.err, err)
	return ok
}

// heads matches what becomes of q, k and v before the attention, and returns how
// many operations that is.
func (f *gathering) heads(b *bunch, ops []tensor.Op) (n int) {
	var norms, ropes, stores []*tensor.Op
	biases := map[uint64]*tensor.Tensor{}
	for ; len(stores) < 2; n++ {
		switch op := at(ops, n); {
		case f.bias(op) && len(norms)+len(ropes)+len(stores) == 0 && biases[ptr(op.Dst)] == nil:
			biases[ptr(op.Dst)] = op.B
		case op.Kind == tensor.OpRMSNorm && same(op.Dst, op.A) && len(ropes)+len(stores) == 0:
			norms = append(norms, op)
		case op.Kind == tensor.OpRoPE && same(op.Dst, op.A) && len(stores) == 0:
			ropes = append(ropes, op)
		case op.Kind == tensor.OpStore:
			stores = append(stores, op)
		default:
			return 0
		}
	}
	if len(ropes) != 2 || len(norms) != 0 && len(norms) != 2 {
		return 0
	}
	r, store := ropes[0], stores[0]
	q, k, v := r.A, store.A, stores[1].A
	rows, dim := r.Pos.Len(), r.A.Cols()
	if rows == 0 || dim == 0 || dim > 256 || dim%2 != 0 || q.Len()%(rows*dim) != 0 || k.Len()%(rows*dim) != 0 || k.Len() != v.Len() {
		return 0
	}
	heads, kvHeads := q.Len()/(rows*dim), k.Len()/(rows*dim)
	if *ropes[1].Rope != *r.Rope || ptr(ropes[1].B) != ptr(r.B) || !same(ropes[1].A, k) || ropes[1].A.Cols() != dim || r.B != nil && !f.constant(r.B) {
		return 0
	}
	for _, op := range []*tensor.Op{ropes[1], store, stores[1]} {
		if !same(op.Pos, r.Pos) {
			return 0
		}
	}
	caches := []*tensor.Tensor{store.Dst, stores[1].Dst}
	seqs := max(1, store.Seqs)
	for i, c := range caches {
		if !isCache(c.DType) || c.DType != caches[0].DType || c.Len() != caches[0].Len() || c.Cols() != kvHeads*dim || c.Rows() < seqs ||
			stores[i].Seqs != store.Seqs || ptr(stores[i].Seq) != ptr(store.Seq) || c.DType == tensor.Q8_0 && dim%32 != 0 {
			return 0
		}
	}
	a := betweenHeadsArgs{dst: ptr(q), kCache: ptr(caches[0]), vCache: ptr(caches[1]), pos: ptr(r.Pos), seq: ptr(store.Seq), fault: f.d.faultWord(),
		seqs: int32(seqs), rows: int32(caches[0].Rows() / seqs), heads: int32(heads), kvHeads: int32(kvHeads), dim: int32(dim),
		rope: int32(r.Rope.Dims), dtype: int32(caches[0].DType), mul: ropeMul(r.Rope)}
	if r.Rope.NeoX {
		a.neox = 1
	}
	if f.given(r.Pos, store.Seq) {
		a.early = 1
	}
	for i, norm := range norms {
		if !same(norm.A, []*tensor.Tensor{q, k}[i]) || norm.A.Cols() != dim || norm.B == nil || !f.constant(norm.B) || norm.Eps != norms[0].Eps {
			return 0
		}
		*[]*uint64{&a.qNorm, &a.kNorm}[i], a.eps = ptr(norm.B), norm.Eps
	}
	results := []*tensor.Tensor{q, k, v}
	for i, t := range results {
		if bias := biases[ptr(t)]; bias != nil {
			if bias.Len() != t.Len()/rows {
				return 0
			}
			*[]*uint64{&a.qBias, &a.kBias, &a.vBias}[i] = ptr(bias)
			delete(biases, ptr(t))
		}
	}
	if len(biases) > 0 || !f.takes(b, results...) || !unread(ops[n:], k, v) {
		return 0
	}
	sources := []parts{rowsOf(q, rows), rowsOf(k, rows), rowsOf(v, rows)}
	rope := *r.Rope
	b.wrote = []*tensor.Tensor{q, k, v}
	b.launch = func(y []parts, _ operand) error {
		a := a
		a.q, a.k, a.v = sources[0], sources[1], sources[2]
		for i, p := range y {
			*[]*parts{&a.q, &a.k, &a.v}[i] = p
		}
		var err error
		if a.turns, err = f.d.ropeTable(&rope, r.B); err != nil {
			return err
		}
		return f.d.betweenHeads(a, rows)
	}
	return n
}

// attention matches an Attention whose results are the input of products.
func (f *gathering) attention(b *bunch, ops []tensor.Op) int {
	op := at(ops, 0)
	if op.Kind != tensor.OpAttention || len(b.products) > 0 || op.Seqs > op.B.Rows() || op.Heads == 0 || !flashable(op.A.Cols()/op.Heads, op.B.DType) ||
		!f.rows(crowdInput/4096, op.Dst) {
		return 0
	}
	if f.leave(b, op.Dst, ops[1:]); b.input == nil { // op.Dst is written in any case
		return 0
	}
	b.wrote = []*tensor.Tensor{op.Dst}
	early := f.given(op.Pos, op.Seq)
	b.launch = func(_ []parts, to operand) error { return f.d.crowd(op, to, early) }
	return 1
}

// glu matches a GLU.
func (f *gathering) glu(b *bunch, ops []tensor.Op) int {
	op := at(ops, 0)
	if op.Kind != tensor.OpGLU || op.Fn != tensor.SiLU && op.Fn != tensor.GELU || !f.rows(8, op.Dst, op.A, op.B) || !f.takes(b, op.A, op.B) ||
		crosses(op.Dst, op.A) || crosses(op.Dst, op.B) {
		return 0
	}
	if len(b.products) > 0 {
		for _, t := range other(op.Dst, op.A, op.B) {
			if !unread(ops[1:], t) {
				return 0
			}
		}
	}
	a := betweenGLUArgs{gate: whole(op.A), up: whole(op.B), cols: int32(op.Dst.Cols()), fn: int32(op.Fn), dst: f.leave(b, op.Dst, ops[1:])}
	if len(b.products) == 0 && b.input == nil {
		return 0
	}
	b.wrote = []*tensor.Tensor{op.Dst, op.A, op.B}
	b.launch = func(y []parts, to operand) error {
		a := a
		if a.to, a.scale = to.addr, to.scale; len(y) > 0 {
			a.gate, a.up = y[0], y[1]
		}
		return f.d.betweenGLU(a, op.Dst.Rows())
	}
	return 1
}

// norm matches a sum into the residual stream, with what comes before it and the
// norm after it; or a norm alone.
func (f *gathering) norm(b *bunch, ops []tensor.Op) (n int) {
	var a betweenNormArgs
	var x, y *tensor.Tensor // y is what x gets
	changed := false        // y, before that
	if len(b.products) == 1 {
		y = b.products[0].Dst
		if op := at(ops, n); f.bias(op) && same(op.Dst, y) && op.B.Len() == y.Cols() {
			a.bias, changed = ptr(op.B), true
			n++
		}
	}
	if op, sum := at(ops, n), at(ops, n+1); op.Kind == tensor.OpRMSNorm && same(op.Dst, op.A) && f.sum(sum) && same(sum.B, op.Dst) && op.B != nil && f.constant(op.B) {
		a.post, a.postEps, changed = ptr(op.B), op.Eps, true
		n++
	}
	if op := at(ops, n); f.sum(op) && (y == nil || same(op.B, y)) {
		x, y = op.A, op.B
		n++
	} else if n > 0 || y != nil {
		return 0
	}
	before := n // the norm, which may write where y was
	norm := at(ops, n)
	if norm.Kind == tensor.OpRMSNorm && !same(norm.Dst, norm.A) && (x == nil || same(norm.A, x) && norm.A.Cols() == x.Cols()) && norm.B != nil && f.constant(norm.B) {
		x = norm.A
		a.weight, a.eps = ptr(norm.B), norm.Eps
		n++
	} else {
		norm = &tensor.Op{}
	}
	if n == 0 || !f.rows(4, x, y, norm.Dst) || y != nil && y.Cols() != x.Cols() || !f.takes(b, y) || crosses(x, y) || crosses(norm.Dst, x) || crosses(norm.Dst, y) {
		return 0
	}
	if (changed || len(b.products) > 0) && (overlap(x, y) || !unread(ops[before:], y)) {
		return 0
	}
	if norm.Dst != nil {
		a.h = f.leave(b, norm.Dst, ops[n:])
	}
	if b.input == nil && len(b.products) == 0 && !changed {
		return 0 // no kernel less
	}
	a.x, a.y, a.cols = ptr(x), whole(y), int32(x.Cols())
	for _, t := range []*tensor.Tensor{x, y, norm.Dst} {
		if t != nil {
			b.wrote = append(b.wrote, t)
		}
	}
	b.launch = func(y []parts, to operand) error {
		a := a
		if a.to, a.scale = to.addr, to.scale; len(y) > 0 {
			a.y = y[0]
		}
		return f.d.betweenNorm(a, x.Rows())
	}
	return n
}

// takes says whether b's products, if there are any, are those of these results.
func (f *gathering) takes(b *bunch, results ...*tensor.Tensor) bool {
	return len(b.products) == 0 || slices.EqualFunc(b.products, results, func(op *tensor.Op, t *tensor.Tensor) bool { return t != nil && same(op.Dst, t) })
}

// leave says where the rows of t are to be written for ops, 0 if nobody reads
// them but products that come next, whose input is b.input then.
func (f *gathering) leave(b *bunch, t *tensor.Tensor, ops []tensor.Op) uint64 {
	n := 0
	for op := at(ops, n); f.few(op) && same(op.B, t); op = at(ops, n) {
		b.input = t
		n++
	}
	if n > 0 && unread(ops[n:], t) {
		return 0
	}
	return ptr(t)
}

// bias says whether op adds one constant row to all rows in their place.
func (f *gathering) bias(op *tensor.Op) bool {
	return op.Kind == tensor.OpBinary && op.Fn == tensor.Add && op.Dst.DType == tensor.F32 && same(op.Dst, op.A) && f.constant(op.B)
}

// sum says whether op adds rows to others in their place.
func (f *gathering) sum(op *tensor.Op) bool {
	return op.Kind == tensor.OpBinary && op.Fn == tensor.Add && op.Dst.DType == tensor.F32 && same(op.Dst, op.A) && op.B.Len() == op.A.Len() && !f.constant(op.B)
}

// given says whether no operation writes what tensors hold: kernels may read it
// before the one before has ended. nil holds nothing.
func (f *gathering) given(tensors ...*tensor.Tensor) bool {
	for i := range f.ops {
		op := &f.ops[i]
		for _, t := range tensors {
			if t != nil && (overlap(op.Dst, t) || op.Kind == tensor.OpTopK && overlap(op.B, t)) {
				return false
			}
		}
	}
	return true
}

// constant says whether t is f32 that was placed and never written.
func (f *gathering) constant(t *tensor.Tensor) bool {
	return t.DType == tensor.F32 && t.Addr%16 == 0 && f.d.constant(t)
}

// rows says whether between.cu's kernels, with so many groups of four numbers a
// thread at most, take the rows of all tensors; nil ones are left out.
func (f *gathering) rows(quads int, all ...*tensor.Tensor) bool {
	for _, t := range all {
		if t != nil && (t.DType != tensor.F32 || t.Addr%16 != 0 || t.Len() == 0 || t.Cols()%32 != 0 || t.Cols() > quads*4096) {
			return false
		}
	}
	return true
}

// rowsOf is a tensor of so many rows, of heads or not, as parts.
func rowsOf(t *tensor.Tensor, rows int) parts {
	return whole(&tensor.Tensor{DType: t.DType, Shape: []int{rows, t.Len() / rows}, Addr: t.Addr})
}

// crosses says whether writing rows of a may change other rows of b.
func crosses(a, b *tensor.Tensor) bool {
	return a != nil && b != nil && overlap(a, b) && !(same(a, b) && a.Cols() == b.Cols())
}

// unread says whether ops do not read what tensors hold before they write it.
func unread(ops []tensor.Op, tensors ...*tensor.Tensor) bool {
	for _, t := range tensors {
		if !unreadBy(ops, t) {
			return false
		}
	}
	return true
}

func unreadBy(ops []tensor.Op, t *tensor.Tensor) bool {
	for i := range ops {
		op := &ops[i]
		for _, in := range []*tensor.Tensor{op.A, op.B, op.C, op.Pos, op.Seq} {
			if in != nil && overlap(in, t) {
				return false
			}
		}
		switch op.Kind {
		case tensor.OpStore, tensor.OpFork: // some rows
			if overlap(op.Dst, t) {
				return false
			}
		default:
			if ptr(op.Dst) <= ptr(t) && ptr(t)+uint64(t.Bytes()) <= ptr(op.Dst)+uint64(op.Dst.Bytes()) {
				return true
			}
		}
	}
	return true
}

// issue issues a bunch.
func (b *bunch) issue(d *Device) error {
	if b.launch == nil {
		return d.do(&b.ops[0])
	}
	for i := range b.ops {
		if err := d.usable(&b.ops[i]); err != nil {
			return err
		}
	}
	var y []parts
	if len(b.products) > 0 {
		var ok bool
		var err error
		if y, ok, err = d.fewParts(b.products, b.most); err != nil {
			return d.wrap(tensor.OpMatMul.String(), err)
		} else if !ok {
			return fmt.Errorf("%s: internal error: products of a recorded step are no longer those of few rows", d.name)
		}
	}
	var to operand
	var is converted
	if b.input != nil {
		var err error
		if to, is, err = d.inputRoom(b.input); err != nil {
			return d.wrap(tensor.OpMatMul.String(), err)
		}
	}
	if err := b.launch(y, to); err != nil {
		return d.wrap(b.ops[len(b.ops)-1].Kind.String(), err)
	}
	for _, t := range b.wrote {
		d.input.forget(t)
	}
	if b.input != nil && !d.dry {
		d.input = is
	}
	return nil
}
