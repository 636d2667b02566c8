package simd

import "github.com/llcuda/llcuda/tensor"

// A set holds the routines of one instruction set. Without any, rows are
// decoded and multiplied in Go.
type set struct {
	name      string
	quantise  func(dst *byte, x *float32, groups int)
	transpose func(dst *byte, src *byte, groups int, record int)
	gemm      []columns[gemmFunc] // of formats without mins, the widest first
	gemmMin   []columns[gemmFunc]
	ints      map[tensor.DType]*intFormat
}

// columns is a routine for n rows of activations at once.
type columns[F any] struct {
	n  int
	do F
}

type (
	dotFunc    = func(dst *float32, ldd int, w *byte, rows int, x *byte, xrow int, blocks int)
	unpackFunc = func(words *byte, scales *byte, w *byte, blocks int)
	gemmFunc   = func(dst *float32, ldd int, tile *byte, groups int, x *byte, scales int, xrow int, add int)
)

// An intFormat is a storage format that multiplies as integers.
type intFormat struct {
	mins   bool
	dot    []columns[dotFunc] // the widest first
	unpack unpackFunc
}
