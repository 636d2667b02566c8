package kernels

import (
	"fmt"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

type (
	// attentionArgs mirrors AttentionArgs in attention.cu.
	attentionArgs struct {
		q, k, v, pos, dst, fault               uint64
		n, heads, kvHeads, group, rows, window int32
		scale, softcap                         float32
	}
	// attentionAnyArgs mirrors AttentionAnyArgs in attention_any.cu.
	attentionAnyArgs struct {
		q, k, v, pos, dst, fault           uint64
		n, heads, group, dim, rows, window int32
		scale, softcap                     float32
	}
)

var (
	_ = mirror(attentionArgs{}, attentionKernels()...)
	_ = mirror(attentionAnyArgs{}, "attention_any_f32", "attention_any_f16", "attention_any_bf16", "attention_any_q8_0")
)

const (
	attentionTile = 64  // rows: heads of queries that share a key head
	anyDim        = 512 // numbers of a head in attention_any
	fewRows       = 32  // as many are cheaper for decode.cu: it reads keys again for each 8, but splits them
)

func attentionKernels() (names []string) {
	for _, t := range []tensor.DType{tensor.F16, tensor.Q8_0} {
		for dim := range 257 {
			if flashable(dim, t) {
				names = append(names, fmt.Sprintf("attention_%s_%d", t, dim))
			}
		}
	}
	return names
}

// attention: softmax(q·kᵀ·scale)·v over the positions that each query sees.
func (d *Device) attention(op *tensor.Op) error {
	n, dim, group := op.A.Rows(), op.A.Cols()/op.Heads, op.Heads/op.KVHeads
	switch t := op.B.DType; {
	case n == 0 || dim == 0:
		return nil
	case op.Seq != nil:
		return d.refuse(op, "several sequences")
	case !isCache(t) || t == tensor.Q8_0 && dim%32 != 0 || dim > anyDim || op.B.Rows() == 0:
		return d.refuse(op, "%s and %s with heads of %d numbers", op.B, op.C, dim)
	case !flashable(dim, t):
		return d.attentionAny(op, dim)
	case n*group <= fewRows || n == 1:
		return d.decode(op)
	}
	a := attentionArgs{ptr(op.A), ptr(op.B), ptr(op.C), ptr(op.Pos), ptr(op.Dst), d.faultWord(),
		int32(n), int32(op.Heads), int32(op.KVHeads), int32(group), int32(op.B.Rows()), int32(op.Window), op.Scale, op.Softcap}
	grid := [3]int{ceil(n*group, attentionTile), op.KVHeads, 1}
	return d.launch3(fmt.Sprintf("attention_%s_%d", op.B.DType, dim), grid, [3]int{128, 1, 1}, attentionShared(dim), unsafe.Pointer(&a))
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
	n := op.A.Rows()
	a := attentionAnyArgs{ptr(op.A), ptr(op.B), ptr(op.C), ptr(op.Pos), ptr(op.Dst), d.faultWord(),
		int32(n), int32(op.Heads), int32(op.Heads / op.KVHeads), int32(dim), int32(op.B.Rows()), int32(op.Window), op.Scale, op.Softcap}
	return d.launch("attention_any_"+op.B.DType.String(), n*op.Heads, 256, 0, unsafe.Pointer(&a))
}
