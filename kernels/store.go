package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// storeArgs mirrors StoreArgs in store.cu.
type storeArgs struct {
	cache, x, pos, seq, fault uint64
	seqs, rows, cols, n       int64
}

var _ = mirror(storeArgs{}, "store_f32", "store_f16", "store_bf16", "store_q8_0")

// store writes rows into a cache at their positions.
func (d *Device) store(op *tensor.Op) error {
	if !isCache(op.Dst.DType) {
		return d.refuse(op, "a cache of %s; have f32, f16, bf16 and q8_0", op.Dst.DType)
	}
	n, cols, seqs := op.A.Rows(), op.A.Cols(), max(1, op.Seqs)
	rows := op.Dst.Rows() / seqs
	if n == 0 || cols == 0 {
		return nil
	}
	if rows == 0 {
		return d.refuse(op, "%s has no rows", op.Dst)
	}
	a := storeArgs{ptr(op.Dst), ptr(op.A), ptr(op.Pos), ptr(op.Seq), d.fault.addr, int64(seqs), int64(rows), int64(cols), int64(n)}
	return d.launch("store_"+op.Dst.DType.String(), ceil(n*cols, 256), 256, 0, unsafe.Pointer(&a))
}

// isCache says whether Store and Attention know a type.
func isCache(t tensor.DType) bool {
	return t == tensor.F32 || t == tensor.F16 || t == tensor.BF16 || t == tensor.Q8_0
}
