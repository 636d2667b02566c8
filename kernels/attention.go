package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

type (
	// attentionArgs mirrors AttentionArgs in attention.cu.
	attentionArgs struct {
		q, k, v, pos, seq, dst, fault                uint64
		n, heads, kvHeads, group, seqs, rows, window int32
		scale, softcap                               float32
		_                                            int32
	}
	// attentionAnyArgs mirrors AttentionAnyArgs in attention_any.cu.
	attentionAnyArgs struct {
		q, k, v, pos, seq, dst, fault            uint64
		n, heads, group, dim, seqs, rows, window int32
		scale, softcap                           float32
		_                                        int32
	}
)

var (
	_ = mirror(attentionArgs{}, decodeKernels("attention", "attention_seq")...)
	_ = mirror(attentionAnyArgs{}, "attention_any_f32", "attention_any_f16", "attention_any_bf16", "attention_any_q8_0")
)

const (
	attentionTile = 64  // rows: heads of queries that share a key head
	anyDim        = 512 // numbers of a head in attention_any
	crowdRows     = 64  // as many of several sequences stand alone
	fewQueries    = 32  // as many are cheaper for decode.cu: it reads keys again for each 8, but splits them
)

// attention: softmax(q·kᵀ·scale)·v over the positions that each query sees.
func (d *Device) attention(op *tensor.Op) error {
	n, dim, group := op.A.Rows(), op.A.Cols()/op.Heads, op.Heads/op.KVHeads
	seqs := max(1, op.Seqs)
	rows := op.B.Rows() / seqs
	switch t := op.B.DType; {
	case n == 0 || dim == 0:
		return nil
	case !isCache(t) || t == tensor.Q8_0 && dim%32 != 0 || dim > anyDim || rows == 0:
		return d.refuse(op, "%s and %s with heads of %d numbers", op.B, op.C, dim)
	case !flashable(dim, t):
		return d.attentionAny(op, dim)
	case op.Alike == tensor.AlikeFew, op.Alike == tensor.AlikeSome, op.Alike == tensor.Apart && op.Seq != nil && n <= crowdRows:
		return d.crowd(op, operand{}, false)
	case op.Alike == tensor.Apart && op.Seq == nil && (n*group <= fewQueries || n == 1):
		return d.decode(op)
	}
	kind := "attention"
	if op.Alike != tensor.Apart || op.Seq != nil {
		kind = "attention_seq"
	}
	a := attentionArgs{q: ptr(op.A), k: ptr(op.B), v: ptr(op.C), pos: ptr(op.Pos), seq: ptr(op.Seq), dst: ptr(op.Dst), fault: d.faultWord(),
		n: int32(n), heads: int32(op.Heads), kvHeads: int32(op.KVHeads), group: int32(group), seqs: int32(seqs), rows: int32(rows),
		window: int32(op.Window), scale: op.Scale, softcap: op.Softcap}
	grid := [3]int{ceil(n*group, attentionTile), op.KVHeads, 1}
	return d.launch3(headKernel(kind, dim, op.B.DType), grid, [3]int{128, 1, 1}, attentionShared(dim), unsafe.Pointer(&a))
}

// attentionShared is the shared memory of a block: keys and values, and
// queries where registers do not hold them.
func attentionShared(dim int) int {
	keys, stride := 64, dim
	if dim%64 != 0 {
		stride += 8
	}
	if dim > 128 {
		return 2 * stride * (2*keys/2 + attentionTile)
	}
	return 2 * stride * 2 * keys
}

func (d *Device) attentionAny(op *tensor.Op, dim int) error {
	n, seqs := op.A.Rows(), max(1, op.Seqs)
	a := attentionAnyArgs{q: ptr(op.A), k: ptr(op.B), v: ptr(op.C), pos: ptr(op.Pos), seq: ptr(op.Seq), dst: ptr(op.Dst), fault: d.faultWord(),
		n: int32(n), heads: int32(op.Heads), group: int32(op.Heads / op.KVHeads), dim: int32(dim), seqs: int32(seqs),
		rows: int32(op.B.Rows() / seqs), window: int32(op.Window), scale: op.Scale, softcap: op.Softcap}
	return d.launch("attention_any_"+op.B.DType.String(), n*op.Heads, 256, 0, unsafe.Pointer(&a))
}
