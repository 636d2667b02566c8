package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// topKArgs is TopK of topk.cu.
type topKArgs struct {
	vals, ids, x, from, to uint64
	cols, k, parts, _      int32
}

var _ = mirror(topKArgs{}, "topk")

// sortedAtOnce is how many numbers a block of topk sorts.
const sortedAtOnce = 4096

// topK: the k largest numbers of each row and their indices. The keys that
// rounds keep lie in two buffers by turns.
func (d *Device) topK(op *tensor.Op) error {
	rows, cols, k := op.A.Rows(), op.A.Cols(), op.Dst.Cols()
	if rows == 0 {
		return nil
	}
	a := topKArgs{vals: ptr(op.Dst), ids: ptr(op.B), x: ptr(op.A), k: int32(k)}
	first := 8 * rows * k * ceil(cols, sortedAtOnce)
	second := 8 * rows * k * ceil(k*ceil(cols, sortedAtOnce), sortedAtOnce)
	kept, err := d.scratch(reduceScratch, first+second)
	if err != nil {
		return err
	}
	next := kept + uint64(first)
	for {
		parts := ceil(cols, sortedAtOnce)
		a.cols, a.parts, a.to = int32(cols), int32(parts), kept
		if parts == 1 {
			a.to = 0
		}
		if err := d.launch("topk", rows*parts, 1024, 0, unsafe.Pointer(&a)); err != nil || parts == 1 {
			return err
		}
		a.from, kept, next = kept, next, kept
		cols = parts * k
	}
}
