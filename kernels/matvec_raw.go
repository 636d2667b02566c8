package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// matVecRawRows is how many rows of x matVecRaw takes at most.
const matVecRawRows = 8

// rawThreads is matvec_raw.cu's THREADS.
const rawThreads = 512

// stagedBytes is what chunks of a row of x take of shared memory.
func stagedBytes(chunks int) int { return (chunks*76 + 15) &^ 15 }

type matVecRawArgs struct {
	w       planes
	x, dst  uint64
	n, m, k int32
	tile    int32
	typ     int32
	dstType int32
}

var _ = mirror(matVecRawArgs{}, matVecRawKernels()...)

func matVecRawKernels() []string {
	names := []string{"matvec_raw_plain"}
	for _, dt := range tensor.DTypes() {
		if dt.Quantised() || isFloat(dt) {
			names = append(names, "matvec_raw_"+dt.String(), "matvec_raw_"+dt.String()+"_8")
		}
	}
	return names
}

// matVecRaw is a product of at most matVecRawRows rows of x with a weight that
// is not packed. x that is not f32, or begins anywhere, is converted first.
func (d *Device) matVecRaw(op *tensor.Op) error {
	w, x, dst := op.A, op.B, op.Dst
	n, m, k := x.Rows(), w.Rows(), w.Cols()
	args := matVecRawArgs{w: planes{ptr(w)}, x: ptr(x), dst: ptr(dst), n: int32(n), m: int32(m), k: int32(k),
		typ: int32(w.DType), dstType: int32(dst.DType)}
	if x.DType != tensor.F32 || args.x%16 != 0 {
		wide, err := d.scratch(convertScratch, 4*n*k)
		if err == nil {
			err = d.convertPlain(wide, tensor.F32, ptr(x), x.DType, n*k)
		}
		if err != nil {
			return err
		}
		args.x = wide
	}
	kernel := "matvec_raw_" + w.DType.String()
	if n > 1 {
		kernel += "_8"
	}
	switch {
	case w.DType.Quantised():
		const most = 40 << 10 // bytes of x; a code book takes up to 8 KB more
		args.tile = int32(k / 32)
		if n*stagedBytes(k/32) > most {
			args.tile = int32(most / n / stagedBytes(32) * 32)
		}
		smem := n * stagedBytes(int(args.tile))
		perSM, err := d.blocksPerSM(kernel, rawThreads, smem)
		if err != nil {
			return err
		}
		return d.launch(kernel, min(ceil(m, rawThreads/32), max(perSM, 1)*d.sms()), rawThreads, smem, unsafe.Pointer(&args))
	case isFloat(w.DType) && w.RowBytes()%16 == 0 && (args.w[0]|args.x)%16 == 0 && k%4 == 0:
		return d.launch(kernel, ceil(m, 8), 128, 0, unsafe.Pointer(&args))
	}
	return d.launch("matvec_raw_plain", ceil(m, 4), 128, 0, unsafe.Pointer(&args))
}
