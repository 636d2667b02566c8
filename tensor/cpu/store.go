package cpu

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// store writes rows into the cache at their positions.
func (p *program) store(op *tensor.Op) error {
	cache, x, pos, seqs := op.Dst, f32s(op.A), i32s(op.Pos), newSequences(op)
	cols, size, ctx := cache.Cols(), cache.RowBytes(), seqs.rows(cache)
	encode, ok := storers[cache.DType]
	if !ok {
		return refuse(op, "a cache of %s; have f32, f16, bf16 and q8_0", cache.DType)
	}
	if ctx == 0 && len(pos) > 0 {
		return fmt.Errorf("cpu: store: %s has no rows", cache)
	}
	p.each(op, len(pos), 2*cols, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			if pos[i] < 0 {
				return fmt.Errorf("position %d is negative", pos[i])
			}
			seq, err := seqs.of(i)
			if err != nil {
				return err
			}
			if seq >= 0 {
				encode(cache.Data[(seq*ctx+int(pos[i])%ctx)*size:][:size], x[i*cols:][:cols])
			}
		}
		return nil
	}, writes(cache.Data), reads(op.A.Data), reads(op.Pos.Data), reads(seqs.data()))
	return nil
}

var storers = map[tensor.DType]func(dst []byte, x []float32){
	tensor.F32:  func(dst []byte, x []float32) { copy(view[float32](dst), x) },
	tensor.F16:  func(dst []byte, x []float32) { vec.ToHalf(view[uint16](dst), x) },
	tensor.BF16: toBF16,
	tensor.Q8_0: toQ8,
}

func toBF16(dst []byte, x []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint16(dst[2*i:], tensor.FloatToBF16(v))
	}
}

// toQ8 writes blocks of q8_0: a half-float scale and 32 numbers of 8 bits. Each
// is rounded against the exact scale, which is the largest of the block by 127.
func toQ8(dst []byte, x []float32) {
	for len(x) >= 32 {
		top := float32(0)
		for _, v := range x[:32] {
			top = max(top, float32(math.Abs(float64(v))))
		}
		d, inverse := top/127, float32(0)
		if d > 0 {
			inverse = 1 / d
		}
		binary.LittleEndian.PutUint16(dst, tensor.FloatToHalf(d))
		for i, v := range x[:32] {
			dst[2+i] = byte(int8(math.Round(float64(v * inverse))))
		}
		dst, x = dst[34:], x[32:]
	}
}
