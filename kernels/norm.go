package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// normArgs is Norm of norm.cu.
type normArgs struct {
	dst, x, w, b uint64
	rows         int64
	cols, lanes  int32
	wide         int32
	eps          float32
}

var _ = mirror(normArgs{}, "rms_norm", "layer_norm")

// rmsNorm: dst = x / √(mean(x²)+eps) · w.
func (d *Device) rmsNorm(op *tensor.Op) error { return d.norm("rms_norm", op) }

// layerNorm: dst = (x-mean)/√(var+eps)·w + b.
func (d *Device) layerNorm(op *tensor.Op) error { return d.norm("layer_norm", op) }

func (d *Device) norm(kernel string, op *tensor.Op) error {
	rows, cols := op.A.Rows(), op.A.Cols()
	if rows*cols == 0 {
		return nil
	}
	grid, block, lanes := d.teamsAlike(op.Alike, rows, cols)
	a := normArgs{dst: ptr(op.Dst), x: ptr(op.A), w: ptr(op.B), b: ptr(op.C), rows: int64(rows), cols: int32(cols),
		lanes: int32(lanes), wide: wideRows(cols, op.Dst, op.A, op.B, op.C), eps: op.Eps}
	return d.launch(kernel, grid, block, 0, unsafe.Pointer(&a))
}
