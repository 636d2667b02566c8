package bnb

import (
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// Int8 is a weight of Linear8bitLt: q, integers of a shape (rows, cols), and
// scb ("SCB"), a float32 absmax for each row, little endian.
func Int8(q, scb []byte, shape []int) (*Weight, error) {
	if len(shape) != 2 || shape[0] <= 0 || shape[1] <= 0 {
		return bad("8-bit weight of shape %v, want two dimensions", shape)
	}
	rows, cols := shape[0], shape[1]
	if len(q)/cols != rows || len(q)%cols != 0 {
		return bad("8-bit weight of %d bytes, want %d×%d", len(q), rows, cols)
	}
	if len(scb) != 4*rows {
		return bad("SCB of %d bytes, want %d float32", len(scb), rows)
	}
	w := &Weight{DType: tensor.LLM_INT8, Shape: slices.Clone(shape)}
	if cols%block == 0 {
		w.read = func(dst []byte, row int) { int8Blocks(dst, q[row*cols:][:cols], scb[4*row:]) }
		return w, nil
	}
	w.DType = tensor.F32
	w.read = func(dst []byte, row int) {
		var numbers [block]float32
		var b [4 + block]byte
		for at := 0; at < cols; at += block {
			part := q[row*cols+at:][:min(block, cols-at)]
			int8Blocks(b[:], part, scb[4*row:])
			tensor.LLM_INT8.Decode(numbers[:], b[:])
			tensor.F32.Encode(dst[4*at:4*(at+len(part))], numbers[:len(part)])
		}
	}
	return w, nil
}

// int8Blocks puts the absmax in front of each 64 integers, or fewer.
func int8Blocks(dst, q, absmax []byte) {
	for ; len(q) > 0; dst, q = dst[4+block:], q[min(block, len(q)):] {
		copy(dst, absmax[:4])
		copy(dst[4:4+block], q)
	}
}

// QuantiseInt8 quantises rows of cols numbers as int8_vectorwise_quant does:
// their integers, and the absmax of each row.
func QuantiseInt8(x []float32, cols int) (q []byte, absmax []float32) {
	q = make([]byte, len(x))
	for at := 0; at < len(x); at += cols {
		row := x[at : at+cols]
		top := tensor.AbsMax(row)
		tensor.QuantiseInt8(q[at:at+cols], row, top)
		absmax = append(absmax, top)
	}
	return q, absmax
}
