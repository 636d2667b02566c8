package kernels

import (
	"errors"
	"fmt"
	"os"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// A blas is cuBLAS on a device, from the first product on that it is good for.
// LLCUDA_CUBLAS=0 leaves it out.
type blas struct {
	lib    *cuda.CUBLAS
	handle cuda.BLASHandle
	tried  bool
	err    error // why it is not used
}

// blasWorkspace is what NVIDIA recommends for Hopper; 4 MiB before that.
const blasWorkspace = 32 << 20

// blasLeast is how many multiplications a product has that cuBLAS is taken for.
// Loading it takes a second, and smaller ones wait for their launch.
const blasLeast = 1 << 28

// UseCUBLAS turns cuBLAS on or off for large products of plain types. Turned
// on, its error says why it cannot be used.
func (d *Device) UseCUBLAS(use bool) error {
	if err := d.enter("cublas"); err != nil {
		return err
	}
	defer d.leave()
	if !use {
		d.blas.tried, d.blas.err = true, errors.New("turned off")
		return nil
	}
	if d.blas.err != nil {
		d.blas.tried = false
	}
	d.openBLAS()
	return d.blas.err
}

// openBLAS loads cuBLAS, once.
func (d *Device) openBLAS() {
	b := &d.blas
	if b.tried {
		return
	}
	b.tried, b.err = true, nil
	if os.Getenv("LLCUDA_CUBLAS") == "0" {
		b.err = fmt.Errorf("%w: LLCUDA_CUBLAS is 0", cuda.ErrNoCUBLAS)
		return
	}
	if b.lib == nil {
		if b.lib, b.err = d.drv.LoadCUBLAS(); b.err != nil {
			return
		}
	}
	if b.handle == 0 {
		var work uint64
		if work, b.err = d.scratch(cublasScratch, blasWorkspace); b.err == nil {
			b.handle, b.err = b.lib.Create(d.stream, work, blasWorkspace)
		}
	}
}

func (b *blas) close() error {
	if b.handle == 0 {
		return nil
	}
	err := b.lib.Destroy(b.handle)
	*b = blas{}
	return err
}

// blasTypes are those of operands that cuBLAS takes. float32 is multiplied in
// full: TF32 has to be asked for.
var blasTypes = map[tensor.DType]int{tensor.F32: cuda.R32F, tensor.F16: cuda.R16F, tensor.BF16: cuda.R16B}

// blasMatMul is a large product of operands of one plain type, where cuBLAS is
// on the machine. It reports whether it is one. What cuBLAS refuses, it is not
// asked again.
func (d *Device) blasMatMul(op *tensor.Op, n, m, k int) bool {
	kind, ok := blasTypes[op.A.DType]
	if !ok || op.A.DType != op.B.DType || op.A.DType == tensor.BF16 && d.info.Major < 8 ||
		n*m*k < blasLeast || max(n, m, k) >= 1<<31 {
		return false
	}
	d.openBLAS()
	b := &d.blas
	if b.err == nil && !d.dry {
		b.err = b.lib.MatMul(b.handle, ptr(op.Dst), blasTypes[op.Dst.DType], ptr(op.A), kind, ptr(op.B), kind, n, m, k)
	}
	return b.err == nil
}
