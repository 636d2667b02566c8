package simd

import "github.com/llcuda/llcuda/tensor"

// A set holds the routines of one instruction set. A routine that is nil is
// done in Go.
type set struct {
	name          string
	quantise      func(dst *byte, x *float32, groups int)            // a row to FormInt
	quantiseBytes func(dst *byte, x *float32, records int)           // a row to FormBytes
	transpose     func(dst *byte, src *byte, groups int, record int) // tiles
	prefetch      func(p *byte, n int)
	gemm          [3]columns[gemmFunc]          // by tileKind
	dot           columns[dotFunc]              // of float32
	ints          map[tensor.DType]*intFormat   // formats that multiply as integers
	plain         map[tensor.DType]*plainFormat // formats that convert to float32 in passing
}

// columns are routines for several numbers of rows of activations at once,
// the most first; the last is for one.
type columns[F any] []struct {
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
	kind   tileKind
	dot    columns[dotFunc]
	unpack unpackFunc
	bytes  dotFunc // one row of FormBytes; may be nil
}

// A plainFormat is one without blocks.
type plainFormat struct {
	dot     columns[dotFunc]
	convert func(dst *float32, src *byte, n int)
}
