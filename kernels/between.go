package kernels

import (
	"fmt"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

type (
	// betweenNormArgs mirrors BetweenNorm in between.cu.
	betweenNormArgs struct {
		y                                   parts
		bias, post, x, weight, h, to, scale uint64
		cols                                int32
		postEps, eps                        float32
		_                                   int32
	}
	// betweenGLUArgs mirrors BetweenGLU.
	betweenGLUArgs struct {
		gate, up       parts
		dst, to, scale uint64
		cols, fn       int32
	}
	// betweenHeadsArgs mirrors BetweenHeads.
	betweenHeadsArgs struct {
		q, k, v                                            parts
		qBias, kBias, vBias, qNorm, kNorm, turns, dst      uint64
		kCache, vCache, pos, seq, fault                    uint64
		seqs, rows, heads, kvHeads, dim, rope, neox, dtype int32
		mul, eps                                           float32
		early                                              int32
	}
)

var (
	_ = mirror(betweenNormArgs{}, "between_norm_1", "between_norm_2", "between_norm_4")
	_ = mirror(betweenGLUArgs{}, "between_glu_1", "between_glu_2", "between_glu_4", "between_glu_8")
	_ = mirror(betweenHeadsArgs{}, "between_heads_1", "between_heads_2", "between_heads_4")
)

const betweenHeads = 4 // BETWEEN_HEADS

// quadsFor is how many groups of four numbers a thread takes of a row, a power of
// two, and how many threads there are.
func quadsFor(cols int) (quads, threads int) {
	quads = 1
	for cols > 4*1024*quads {
		quads *= 2
	}
	return quads, (ceil(cols, 4*quads) + 31) &^ 31
}

// betweenNorm: x += [norm of] (y + bias); h = RMSNorm(x)·weight.
func (d *Device) betweenNorm(a betweenNormArgs, rows int) error {
	quads, threads := quadsFor(int(a.cols))
	return d.launch(fmt.Sprintf("between_norm_%d", quads), rows, threads, 0, unsafe.Pointer(&a))
}

// betweenGLU: dst = fn(gate)·up.
func (d *Device) betweenGLU(a betweenGLUArgs, rows int) error {
	quads, threads := quadsFor(int(a.cols))
	return d.launch(fmt.Sprintf("between_glu_%d", quads), rows, threads, 0, unsafe.Pointer(&a))
}

// betweenHeads: q and k turned and with their norms, k and v in their caches.
func (d *Device) betweenHeads(a betweenHeadsArgs, rows int) error {
	pairs := 1
	for int(a.dim) > 64*pairs {
		pairs *= 2
	}
	grid := [3]int{ceil(int(a.heads+2*a.kvHeads), betweenHeads), rows, 1}
	return d.launch3(fmt.Sprintf("between_heads_%d", pairs), grid, [3]int{32 * betweenHeads, 1, 1}, 0, unsafe.Pointer(&a))
}

// whole is a tensor as the parts of a result.
func whole(t *tensor.Tensor) parts {
	if t == nil {
		return parts{}
	}
	return parts{addr: ptr(t), n: int32(t.Rows()), m: int32(t.Cols()), each: int32(max(1, t.Rows())), splits: 1}
}
