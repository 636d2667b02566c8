package tensor

import (
	"errors"
	"fmt"
	"slices"
)

// A Stream issues operations to one device in order. It checks the operands
// once for all devices and remembers the first error: after it nothing is
// issued any more, and Err and Sync return it. One goroutine uses a Stream.
//
// Shapes in the methods' comments: n rows (tokens), k inner, m outer.
//
// A cache may hold several sequences: see Sequences.
type Stream struct {
	dev      Device
	err      error
	record   *[]Op
	seq      *Tensor
	seqs     int
	likeness Alike
}

// NewStream returns a stream that issues to dev.
func NewStream(dev Device) *Stream { return &Stream{dev: dev} }

// Device is the device that the stream issues to.
func (s *Stream) Device() Device { return s.dev }

// Err is the first error of the operations issued so far.
func (s *Stream) Err() error { return s.err }

// Sync waits for all operations, returns the first error and clears it.
func (s *Stream) Sync() error {
	err := errors.Join(s.err, s.dev.Sync())
	s.err = nil
	return err
}

// Sequences says to which sequence each row of the next Stores and Attentions
// belongs: seq (n) i32, each 0 to seqs-1. Their caches are then (seqs·ctx, k):
// sequence s has the rows from s·ctx on, its position p lies at s·ctx + p mod
// ctx, and a query sees its own sequence only. A row of sequence -1 is none: it
// is not stored, and its attention is zeros. Rows of a sequence may be in any
// place and order. A nil seq ends this: all rows are of one sequence.
func (s *Stream) Sequences(seq *Tensor, seqs int) {
	if seq != nil {
		s.check("sequences", seq)
		s.want(s.err != nil || seq.DType == I32 && seqs > 0, "sequences: %s of %d", seq, seqs)
	} else {
		seqs = 0
	}
	s.seq, s.seqs = seq, seqs
}

// Alike says what the results of the next operations' rows may depend on.
func (s *Stream) Alike(a Alike) { s.likeness = a }

// Record collects the operations that step issues, without executing them, and
// lets the device compile them.
func (s *Stream) Record(step func()) (Program, error) {
	if s.record != nil {
		return nil, errors.New("tensor: record inside record")
	}
	if s.err != nil {
		return nil, s.err
	}
	var ops []Op
	s.record = &ops
	step()
	s.record = nil
	if err := s.err; err != nil {
		s.err = nil
		return nil, err
	}
	return s.dev.Compile(ops)
}

// Run issues a recorded step.
func (s *Stream) Run(p Program) {
	if s.err == nil {
		s.err = p.Run()
	}
}

// MatMul: dst (n, m) = x (n, k) · wᵀ, where w is (m, k) of any type and x is
// f32, f16 or bf16. dst is f32 or of x's type. Sums are at least float32.
func (s *Stream) MatMul(dst, w, x *Tensor) {
	s.check("matmul", dst, w, x)
	s.want(s.err != nil || len(w.Shape) == 2 && w.Cols() == x.Cols() && w.Rows() == dst.Cols() && x.Rows() == dst.Rows(),
		"matmul: %s = %s · (%s)ᵀ", dst, x, w)
	s.want(s.err != nil || float(x) && (dst.DType == F32 || dst.DType == x.DType),
		"matmul: %s from %s: want floats", dst, x)
	s.issue(Op{Kind: OpMatMul, Dst: dst, A: w, B: x, Alike: s.likeness})
}

// Rows: dst (n, k) f32 = table (v, k) of any type, at the rows ids (n) i32.
// An id outside the table is an error of the device.
func (s *Stream) Rows(dst, table, ids *Tensor) {
	s.check("rows", dst, table, ids)
	s.want(s.err != nil || ids.DType == I32 && dst.DType == F32 && dst.Cols() == table.Cols() && dst.Rows() == ids.Len(),
		"rows: %s = %s[%s]", dst, table, ids)
	s.issue(Op{Kind: OpRows, Dst: dst, A: table, B: ids})
}

// RMSNorm: dst = x / √(mean(x²)+eps) · w along the last dimension, all f32,
// w (cols) or nil for ones (Zhang & Sennrich 2019). dst may be x.
func (s *Stream) RMSNorm(dst, x, w *Tensor, eps float32) {
	s.check("rms_norm", dst, x)
	s.same("rms_norm", dst, x)
	s.vector("rms_norm", w, x)
	s.issue(Op{Kind: OpRMSNorm, Dst: dst, A: x, B: w, Eps: eps, Alike: s.likeness})
}

// LayerNorm: dst = (x-mean)/√(var+eps)·w + b along the last dimension, all
// f32, w and b (cols) or nil (Ba et al. 2016). dst may be x.
func (s *Stream) LayerNorm(dst, x, w, b *Tensor, eps float32) {
	s.check("layer_norm", dst, x)
	s.same("layer_norm", dst, x)
	s.vector("layer_norm", w, x)
	s.vector("layer_norm", b, x)
	s.issue(Op{Kind: OpLayerNorm, Dst: dst, A: x, B: w, C: b, Eps: eps, Alike: s.likeness})
}

// RoPE turns x (n, heads, dim) f32 by its positions pos (n) i32 into dst of
// the same shape; factors is f32 (r.Dims/2) or nil. dst may be x. Numbers past
// r.Dims are copied.
func (s *Stream) RoPE(dst, x, pos, factors *Tensor, r Rope) {
	s.check("rope", dst, x, pos)
	s.same("rope", dst, x)
	s.want(s.err != nil || len(x.Shape) == 3 && pos.DType == I32 && pos.Len() == x.Shape[0] &&
		r.Dims > 0 && r.Dims%2 == 0 && r.Dims <= x.Cols(), "rope: %s at %s, %d dimensions", x, pos, r.Dims)
	s.want(s.err != nil || factors == nil || factors.DType == F32 && factors.Len() == r.Dims/2,
		"rope: factors %s for %d dimensions", factors, r.Dims)
	s.issue(Op{Kind: OpRoPE, Dst: dst, A: x, B: factors, Pos: pos, Rope: &r})
}

// Store writes the rows of x (n, k) f32 into cache (ctx, k) of f32, f16, bf16
// or q8_0, row i at pos[i] mod ctx: a cache shorter than the context is a ring.
// The order of numbers inside a cache is the device's own.
func (s *Stream) Store(cache, x, pos *Tensor) {
	s.check("store", cache, x, pos)
	s.want(s.err != nil || x.DType == F32 && pos.DType == I32 && cache.Cols() == x.Cols() && pos.Len() == x.Rows(),
		"store: %s into %s at %s", x, cache, pos)
	s.sequenced("store", cache, pos)
	s.issue(Op{Kind: OpStore, Dst: cache, A: x, Pos: pos, Seq: s.seq, Seqs: s.seqs})
}

// Fork gives the sequence to of a cache of seqs what the sequence from has of
// the positions before n: the first n rows, or all where the cache is a ring
// that has turned by then. The rows are copied as they are.
func (s *Stream) Fork(cache *Tensor, seqs, from, to, n int) {
	s.check("fork", cache)
	s.want(s.err != nil || seqs > 0 && cache.Rows()%seqs == 0 && min(from, to) >= 0 && max(from, to) < seqs && from != to && n >= 0,
		"fork: %d positions of sequence %d for %d, %d of them in %s", n, from, to, seqs, cache)
	s.issue(Op{Kind: OpFork, Dst: cache, Seqs: seqs, From: from, To: to, N: n})
}

// Attend holds the parameters of Attention.
type Attend struct {
	Heads, KVHeads int     // query heads share key heads in groups of Heads/KVHeads
	Scale          float32 // of the scores
	Window         int     // keys that a query sees, itself included; 0 is all
	Softcap        float32 // 0 is off
}

// Attention: dst (n, heads·dim) = softmax(q·kᵀ·scale)·v for the n queries
// q (n, heads·dim) f32 at positions pos (n) i32, over the caches k and v
// (ctx, kvHeads·dim) that Store wrote. A query sees the positions up to its
// own, at most Window of them.
func (s *Stream) Attention(dst, q, k, v, pos *Tensor, a Attend) {
	s.check("attention", dst, q, k, v, pos)
	s.same("attention", dst, q)
	ok := s.err != nil || a.Heads > 0 && a.KVHeads > 0 && a.Heads%a.KVHeads == 0 && q.Cols()%a.Heads == 0 &&
		k.Cols() == q.Cols()/a.Heads*a.KVHeads && v.Cols() == k.Cols() && k.Rows() == v.Rows() &&
		k.DType == v.DType && pos.DType == I32 && pos.Len() == q.Rows()
	s.want(ok, "attention: %d heads (%d kv) of %s over %s and %s at %s", a.Heads, a.KVHeads, q, k, v, pos)
	s.sequenced("attention", k, pos)
	s.issue(Op{Kind: OpAttention, Dst: dst, A: q, B: k, C: v, Pos: pos, Seq: s.seq, Seqs: s.seqs, Alike: s.likeness,
		Scale: a.Scale, Window: a.Window, Softcap: a.Softcap, Heads: a.Heads, KVHeads: a.KVHeads})
}

// GLU: dst = fn(gate)·up, all f32 of one shape (Shazeer 2020). dst may be
// either operand.
func (s *Stream) GLU(dst, gate, up *Tensor, fn Fn) {
	s.check("glu", dst, gate, up)
	s.same("glu", dst, gate)
	s.same("glu", dst, up)
	s.want(fn == SiLU || fn == GELU || fn == GELUErf || fn == ReLU || fn == Sigmoid, "glu: function %s", fn)
	s.issue(Op{Kind: OpGLU, Dst: dst, A: gate, B: up, Fn: fn})
}

// Unary: dst = fn(x), of one shape and float type. dst may be x.
func (s *Stream) Unary(dst, x *Tensor, fn Fn) {
	s.check("unary", dst, x)
	s.alike("unary", dst, x)
	s.want(fn >= Neg && fn <= GELUErf, "unary: function %s", fn)
	s.issue(Op{Kind: OpUnary, Dst: dst, A: x, Fn: fn})
}

// Cap: dst = cap·tanh(x/cap), the softcap of logits. dst may be x.
func (s *Stream) Cap(dst, x *Tensor, cap float32) {
	s.check("cap", dst, x)
	s.same("cap", dst, x)
	s.issue(Op{Kind: OpUnary, Dst: dst, A: x, Fn: Tanhcap, Scale: cap})
}

// Binary: dst = fn(a, b). The three have one plain type; dst has a's shape,
// and b is that shape, the last dimensions of it (a row for every row), or one
// number. dst may be a or b.
func (s *Stream) Binary(dst, a, b *Tensor, fn Fn) {
	s.check("binary", dst, a, b)
	s.alike("binary", dst, a)
	s.want(s.err != nil || b.DType == a.DType && suffix(b.Shape, a.Shape), "%s: %s and %s", fn, a, b)
	s.want(fn >= Add && fn <= Max, "binary: function %s", fn)
	s.issue(Op{Kind: OpBinary, Dst: dst, A: a, B: b, Fn: fn})
}

// Add is Binary with Add.
func (s *Stream) Add(dst, a, b *Tensor) { s.Binary(dst, a, b, Add) }

// Scale: dst = x·factor, f32. dst may be x.
func (s *Stream) Scale(dst, x *Tensor, factor float32) {
	s.check("scale", dst, x)
	s.same("scale", dst, x)
	s.issue(Op{Kind: OpScale, Dst: dst, A: x, Scale: factor})
}

// Softmax along the last dimension, f32. dst may be x.
func (s *Stream) Softmax(dst, x *Tensor) {
	s.check("softmax", dst, x)
	s.same("softmax", dst, x)
	s.issue(Op{Kind: OpSoftmax, Dst: dst, A: x})
}

// Reduce: dst (rows) = fn over the last dimension of x (rows, cols), both of
// one plain type, with fn Sum, Mean, Prod, Min or Max.
func (s *Stream) Reduce(dst, x *Tensor, fn Fn) {
	s.check("reduce", dst, x)
	s.want(s.err != nil || plain(x) && dst.DType == x.DType && dst.Len() == x.Rows() && x.Cols() > 0, "%s: %s of %s", fn, dst, x)
	s.want(fn == Sum || fn == Mean || fn == Prod || fn == Min || fn == Max, "reduce: function %s", fn)
	s.issue(Op{Kind: OpReduce, Dst: dst, A: x, Fn: fn})
}

// ArgMax: dst (rows) i32 = index of the largest number of each row of x f32,
// the first of equals.
func (s *Stream) ArgMax(dst, x *Tensor) {
	s.check("arg_max", dst, x)
	s.want(s.err != nil || x.DType == F32 && dst.DType == I32 && dst.Len() == x.Rows() && x.Cols() > 0, "arg_max: %s of %s", dst, x)
	s.issue(Op{Kind: OpArgMax, Dst: dst, A: x})
}

// MaxTopK is how many numbers of a row TopK finds at most.
const MaxTopK = 256

// TopK: vals (rows, k) f32 and ids (rows, k) i32 = the k largest numbers of
// each row of x f32, largest first, the lower index first among equals, and
// their indices. NaN counts as -Inf. k is at most MaxTopK and x's columns.
func (s *Stream) TopK(vals, ids, x *Tensor) {
	s.check("top_k", vals, ids, x)
	s.want(s.err != nil || x.DType == F32 && vals.DType == F32 && ids.DType == I32 && vals.Rows() == x.Rows() && ids.Rows() == x.Rows() &&
		vals.Cols() == ids.Cols() && vals.Cols() > 0 && vals.Cols() <= min(x.Cols(), MaxTopK), "top_k: %s and %s of %s", vals, ids, x)
	s.issue(Op{Kind: OpTopK, Dst: vals, A: x, B: ids})
}

// Convert: dst = x in dst's type, of one shape; types that are the same make
// it a copy. dst's type must have an encoder.
func (s *Stream) Convert(dst, x *Tensor) {
	s.check("convert", dst, x)
	s.want(s.err != nil || sameShape(dst.Shape, x.Shape), "convert: %s from %s", dst, x)
	s.want(s.err != nil || dst.DType == x.DType || dst.DType.CanEncode(), "convert: %s cannot be written", dst)
	s.issue(Op{Kind: OpConvert, Dst: dst, A: x})
}

// Transpose: dst (c, r) = xᵀ of x (r, c), of one plain type.
func (s *Stream) Transpose(dst, x *Tensor) {
	s.check("transpose", dst, x)
	s.want(s.err != nil || plain(x) && dst.DType == x.DType && len(x.Shape) == 2 && len(dst.Shape) == 2 &&
		dst.Shape[0] == x.Shape[1] && dst.Shape[1] == x.Shape[0], "transpose: %s of %s", dst, x)
	s.issue(Op{Kind: OpTranspose, Dst: dst, A: x})
}

// Fill sets every number of dst, of a plain type, to value.
func (s *Stream) Fill(dst *Tensor, value float32) {
	s.check("fill", dst)
	s.want(s.err != nil || plain(dst), "fill: %s", dst)
	s.issue(Op{Kind: OpFill, Dst: dst, Scale: value})
}

// Random fills dst, f32, with independent numbers of the normal distribution
// (mean 0, variance 1). The same seed gives the same numbers on one device.
func (s *Stream) Random(dst *Tensor, seed uint64) {
	s.check("random", dst)
	s.want(s.err != nil || dst.DType == F32, "random: %s", dst)
	s.issue(Op{Kind: OpRandom, Dst: dst, Seed: seed})
}

func (s *Stream) issue(op Op) {
	switch {
	case s.err != nil:
	case s.record != nil:
		*s.record = append(*s.record, op)
	default:
		s.err = s.dev.Do(&op)
	}
}

// check refuses operands that are missing, of an unknown type, or elsewhere.
func (s *Stream) check(op string, operands ...*Tensor) {
	for _, t := range operands {
		switch {
		case s.err != nil:
			return
		case t == nil:
			s.err = fmt.Errorf("tensor: %s: an operand is missing", op)
		case !t.DType.Known():
			s.err = fmt.Errorf("tensor: %s: %s has no known type", op, t)
		case t.Device != s.dev:
			s.err = fmt.Errorf("tensor: %s: %s is on another device than %s", op, t, s.dev.Name())
		}
	}
}

// sequenced wants a cache of whole sequences, and one of them for each row.
func (s *Stream) sequenced(op string, cache, pos *Tensor) {
	s.want(s.err != nil || s.seq == nil || s.seq.Len() == pos.Len() && cache.Rows()%s.seqs == 0,
		"%s: sequences %s of rows at %s, %d of them in %s", op, s.seq, pos, s.seqs, cache)
}

func (s *Stream) want(ok bool, format string, args ...any) {
	if s.err == nil && !ok {
		s.err = fmt.Errorf("tensor: "+format, args...)
	}
}

// same wants two f32 tensors of as many rows and columns.
func (s *Stream) same(op string, a, b *Tensor) {
	s.want(s.err != nil || a.DType == F32 && b.DType == F32 && a.Len() == b.Len() && a.Cols() == b.Cols(), "%s: %s and %s", op, a, b)
}

// alike wants two tensors of one plain type and shape.
func (s *Stream) alike(op string, a, b *Tensor) {
	s.want(s.err != nil || plain(a) && a.DType == b.DType && sameShape(a.Shape, b.Shape), "%s: %s and %s", op, a, b)
}

// vector wants w to be nil or one f32 number for each column of x.
func (s *Stream) vector(op string, w, x *Tensor) {
	if w == nil {
		return
	}
	s.check(op, w)
	s.want(s.err != nil || w.DType == F32 && w.Len() == x.Cols(), "%s: weight %s for %s", op, w, x)
}

func float(t *Tensor) bool { return t.DType == F32 || t.DType == F16 || t.DType == BF16 }

// plain types are those whose numbers stand alone.
func plain(t *Tensor) bool { return !t.DType.Quantised() }

func sameShape(a, b []int) bool { return slices.Equal(a, b) }

// suffix says whether a is the end of b, or one number.
func suffix(a, b []int) bool {
	if Count(a) == 1 {
		return true
	}
	if len(a) > len(b) {
		return false
	}
	b = b[len(b)-len(a):]
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
