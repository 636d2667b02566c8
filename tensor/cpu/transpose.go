package cpu

import (
	"github.com/llcuda/llcuda/tensor"
)

// transpose: dst (c, r) = xᵀ of x (r, c), in squares that stay in the cache.
func (p *program) transpose(op *tensor.Op) error {
	switch op.A.DType.BlockBytes() {
	case 1:
		transpose[uint8](p, op)
	case 2:
		transpose[uint16](p, op)
	case 4:
		transpose[uint32](p, op)
	case 8:
		transpose[uint64](p, op)
	default:
		return refuse(op, "numbers of %d bytes", op.A.DType.BlockBytes())
	}
	return nil
}

func transpose[T any](p *program, op *tensor.Op) {
	const side = 32
	dst, x := view[T](op.Dst.Data), view[T](op.A.Data)
	r, c := op.A.Shape[0], op.A.Shape[1]
	p.each(op, (r+side-1)/side, 2*side*c, func(_ *worker, lo, hi int) error {
		for i0 := lo * side; i0 < min(hi*side, r); i0 += side {
			for j0 := 0; j0 < c; j0 += side {
				for j := j0; j < min(j0+side, c); j++ {
					for i := i0; i < min(i0+side, r); i++ {
						dst[j*r+i] = x[i*c+j]
					}
				}
			}
		}
		return nil
	}, writes(op.Dst.Data), reads(op.A.Data))
}
