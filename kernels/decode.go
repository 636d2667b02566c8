package kernels

import (
	"fmt"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// decodeArgs mirrors Decode in decode.cuh.
type decodeArgs struct {
	q, kNew, vNew, qNorm, kNorm, turns           uint64
	k, v, pos, dst, partials, counters, fault    uint64
	n, heads, kvHeads, group, passes, sets       int32
	setsInverse                                  uint32
	splits, splitShift, rows, window, rope, neox int32
	scale, softcap, eps, mscale                  float32
	_                                            int32
}

var _ = mirror(decodeArgs{}, decodeKernels()...)

const (
	decodeShared  = 24 << 10 // decode_shared
	decodeThreads = 512      // DECODE_THREADS
	decodeRows    = 8        // of a unit
	maxSplits     = 256      // decode_join has room for as many
	decodeSets    = 4096     // counters that there are
)

// decodeKernel is the kernel for heads of dim numbers in a cache of type t.
func decodeKernel(dim int, t tensor.DType, many bool) string {
	if many {
		return fmt.Sprintf("decode_many_%s_%d", t, dim)
	}
	return fmt.Sprintf("decode_%s_%d", t, dim)
}

func decodeKernels() (names []string) {
	for _, t := range []tensor.DType{tensor.F16, tensor.Q8_0} {
		for dim := range 257 {
			if flashable(dim, t) {
				names = append(names, decodeKernel(dim, t, false), decodeKernel(dim, t, true))
			}
		}
	}
	return names
}

// flashable says whether decode.cu and attention.cu have heads of dim numbers
// in a cache of type t.
func flashable(dim int, t tensor.DType) bool {
	switch dim {
	case 64, 96, 128, 256:
		return t == tensor.F16 || t == tensor.Q8_0
	case 80, 112:
		return t == tensor.F16
	}
	return false
}

// decodeArgs is op as decode.cuh computes it in sets·splits units, without
// scratch memory and without what may come before the attention.
//
// There are as many splits as fill the card. How many of them have work
// depends on the position, which the kernel reads: a split has 128 keys or
// more (64 of large heads), because joining two takes as long as reading them.
func (d *Device) decodeArgs(op *tensor.Op) (decodeArgs, error) {
	dim, n, group := op.A.Cols()/op.Heads, op.A.Rows(), op.Heads/op.KVHeads
	if !flashable(dim, op.B.DType) {
		return decodeArgs{}, d.refuse(op, "heads of %d numbers in a cache of %s", dim, op.B.DType)
	}
	passes := ceil(n*group, decodeRows)
	sets := op.KVHeads * passes
	shift := 7
	if dim > 128 {
		shift = 6
	}
	splits := min(ceil(d.sms(), sets), ceil(op.B.Rows(), 1<<shift), maxSplits)
	if sets > decodeSets {
		splits = 1
	}
	window := op.B.Rows()
	if op.Window > 0 {
		window = min(window, op.Window)
	}
	return decodeArgs{
		q: ptr(op.A), k: ptr(op.B), v: ptr(op.C), pos: ptr(op.Pos), dst: ptr(op.Dst), fault: d.faultWord(),
		n: int32(n), heads: int32(op.Heads), kvHeads: int32(op.KVHeads), group: int32(group), passes: int32(passes), sets: int32(sets),
		setsInverse: uint32((1<<31 + sets - 1) / sets), splits: int32(splits), splitShift: int32(shift), rows: int32(op.B.Rows()), window: int32(window),
		scale: op.Scale, softcap: op.Softcap, mscale: 1,
	}, nil
}

// decodePartial is how many bytes a unit leaves for the joining of splits.
func decodePartial(dim int) int { return 4 * decodeRows * (dim + 2) }

// decode issues the attention of few queries.
func (d *Device) decode(op *tensor.Op) error {
	a, err := d.decodeArgs(op)
	if err != nil {
		return err
	}
	dim, units := op.A.Cols()/op.Heads, int(a.sets*a.splits)
	if a.splits > 1 {
		mem, err := d.scratch(attentionScratch, 4*decodeSets+units*decodePartial(dim))
		if err != nil {
			return err
		}
		a.counters, a.partials = mem, mem+4*decodeSets
	}
	return d.launch(decodeKernel(dim, op.B.DType, op.A.Rows() > 1), units, decodeThreads, decodeShared, unsafe.Pointer(&a))
}
