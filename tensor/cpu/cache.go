package cpu

import (
	"fmt"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// A cache is keys or values that Attention reads: rows of heads.
type cache struct {
	*tensor.Tensor
	dim  int  // numbers of a head
	size int  // bytes of a row
	half bool // binary16
}

func newCache(t *tensor.Tensor, dim int) (cache, error) {
	if _, ok := storers[t.DType]; !ok || dim%t.DType.BlockLen() != 0 {
		return cache{}, fmt.Errorf("%s", t)
	}
	return cache{t, dim, t.RowBytes(), t.DType == tensor.F16}, nil
}

// halves are the numbers of a head from a slot on, so far apart.
func (c *cache) halves(slot, head int) (x []uint16, apart int) {
	return view[uint16](c.Data)[slot*c.Cols()+head*c.dim:], c.Cols()
}

// floats are n rows of a head from a slot on, in buf where they have to be
// converted, so far apart.
func (c *cache) floats(buf []float32, slot, n, head int) (x []float32, apart int) {
	if c.DType == tensor.F32 {
		return f32s(c.Tensor)[slot*c.Cols()+head*c.dim:], c.Cols()
	}
	from, bytes := slot*c.size+c.DType.Bytes(head*c.dim), c.DType.Bytes(c.dim)
	for i := range n {
		row, src := buf[i*c.dim:][:c.dim], c.Data[from+i*c.size:][:bytes]
		switch c.DType {
		case tensor.F16:
			vec.FromHalf(row, view[uint16](src))
		case tensor.Q8_0:
			vec.FromQ8(row, src)
		default:
			c.DType.Decode(row, src)
		}
	}
	return buf, c.dim
}
