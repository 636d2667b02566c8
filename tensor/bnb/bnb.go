// Package bnb reads the storage of bitsandbytes, the library that most 4-bit
// and 8-bit checkpoints of Hugging Face were quantised with, and quantises as
// it does.
//
// A Weight shows one stored weight as rows of an ordinary type: NF4, FP4 or
// LLM_INT8 of package tensor, made row by row when they are wanted. Rows that
// no block of those types holds exactly come out as float32: rows that are no
// multiple of 64 numbers, an absmax of 32 numbers, and levels that are not the
// type's own.
//
// Numbers are those of bitsandbytes' CPU version, to the bit (0.50, MIT licence,
// https://github.com/bitsandbytes-foundation/bitsandbytes).
package bnb

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// A Weight is a stored weight. Several goroutines may read it.
type Weight struct {
	DType tensor.DType // what Read gives
	Shape []int        // outermost first
	read  func(dst []byte, row int)
}

// Read fills dst with whole rows of the last dimension, from row on.
func (w *Weight) Read(dst []byte, row int) error {
	cols, rows := w.Shape[len(w.Shape)-1], tensor.Count(w.Shape[:len(w.Shape)-1])
	size := w.DType.Bytes(cols)
	if size == 0 || len(dst)%size != 0 || row < 0 || row+len(dst)/size > rows {
		return fmt.Errorf("bnb: %d bytes from row %d on of %s%v are no rows of it", len(dst), row, w.DType, w.Shape)
	}
	for ; len(dst) > 0; dst, row = dst[size:], row+1 {
		w.read(dst[:size], row)
	}
	return nil
}

// block is how many numbers the blocks of NF4, FP4 and LLM_INT8 have.
const block = 64

func float(b []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}

func putFloat(b []byte, i int, v float32) {
	binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
}

func floats(b []byte) []float32 {
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = float(b, i)
	}
	return x
}

func failure(format string, args ...any) error { return fmt.Errorf("bnb: "+format, args...) }

func bad(format string, args ...any) (*Weight, error) { return nil, failure(format, args...) }
