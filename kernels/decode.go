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
	tags                                         decodeTags
	number, of, _                                int32
}

// decodeTags are codes, where numbers are tagged.
type decodeTags struct{ q, k, v, dst uint8 }

// crowdArgs mirrors CrowdStep in decode.cu.
type crowdArgs struct {
	one             decodeArgs
	seq             uint64
	n, seqs         int32
	units           int32
	_               int32
	to, scale, done uint64
	quads, early    int32
}

var (
	_ = mirror(decodeArgs{}, decodeKernels("decode", "decode_many")...)
	_ = mirror(crowdArgs{}, decodeKernels("decode_crowd")...)
)

const (
	decodeShared  = 24 << 10 // decode_shared
	decodeThreads = 512      // DECODE_THREADS
	decodeRows    = 8        // of a unit
	maxSplits     = 256      // decode_join and decode_gather have room for as many
	decodeSets    = 16384    // counters that there are
)

// decodeKernels are those for all heads and caches that there are kernels for.
func decodeKernels(kinds ...string) (names []string) {
	for _, kind := range kinds {
		for _, t := range []tensor.DType{tensor.F16, tensor.Q8_0} {
			for dim := range 257 {
				if flashable(dim, t) {
					names = append(names, headKernel(kind, dim, t))
				}
			}
		}
	}
	return names
}

// headKernel is the kernel for heads of dim numbers in a cache of type t.
func headKernel(kind string, dim int, t tensor.DType) string {
	return fmt.Sprintf("%s_%s_%d", kind, t, dim)
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
// There are as many splits as fill the card, a unit an SM at most: one more takes
// as long as all. How many of them have work
// depends on the position, which the kernel reads: a split has 128 keys or
// more (64 of large heads), because joining two takes as long as reading them.
func (d *Device) decodeArgs(op *tensor.Op) (decodeArgs, error) {
	dim, n, group := op.A.Cols()/op.Heads, op.A.Rows(), op.Heads/op.KVHeads
	if !flashable(dim, op.B.DType) {
		return decodeArgs{}, d.refuse(op, "heads of %d numbers in a cache of %s", dim, op.B.DType)
	}
	rows := op.B.Rows() / max(1, op.Seqs)
	passes := ceil(n*group, decodeRows)
	sets := op.KVHeads * passes
	shift := 7
	if dim > 128 {
		shift = 6
	}
	splits := max(1, min(d.sms()/sets, ceil(rows, 1<<shift), maxSplits))
	if sets > decodeSets {
		splits = 1
	}
	window := rows
	if op.Window > 0 {
		window = min(window, op.Window)
	}
	return decodeArgs{
		q: ptr(op.A), k: ptr(op.B), v: ptr(op.C), pos: ptr(op.Pos), dst: ptr(op.Dst), fault: d.faultWord(),
		n: int32(n), heads: int32(op.Heads), kvHeads: int32(op.KVHeads), group: int32(group), passes: int32(passes), sets: int32(sets),
		setsInverse: uint32((1<<31 + sets - 1) / sets), splits: int32(splits), splitShift: int32(shift), rows: int32(rows), window: int32(window),
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
	kind := "decode"
	if op.A.Rows() > 1 {
		kind = "decode_many"
	}
	return d.launch(headKernel(kind, dim, op.B.DType), units, decodeThreads, decodeShared, unsafe.Pointer(&a))
}

// crowdInput is how many numbers a query's results have at most for crowd to make
// the input of a product of them: 8 groups of four a thread.
const crowdInput = 4 * 8 * decodeThreads

// crowd issues the attention of queries that stand alone, as one query's
// attention each: how its keys are split does not depend on the others. Its
// results become a product's input besides, unless `to` is nowhere. early says
// that no kernel of a recorded step writes positions and sequences.
func (d *Device) crowd(op *tensor.Op, to operand, early bool) error {
	first := *op
	first.A, first.Dst = op.A.Slice(0, 1), op.Dst.Slice(0, 1)
	one, err := d.decodeArgs(&first)
	if err != nil {
		return err
	}
	n, dim := op.A.Rows(), op.A.Cols()/op.Heads
	one.splits = min(one.splits, int32(ceil(d.sms(), 2*int(one.sets)))) // a lone text fills half the card
	units := int(one.sets * one.splits)
	if one.splits > 1 {
		if n*int(one.sets) > decodeSets {
			return d.refuse(op, "%d rows of %d sets, at most %d", n, one.sets, decodeSets)
		}
		mem, err := d.scratch(attentionScratch, 4*decodeSets+n*units*decodePartial(dim))
		if err != nil {
			return err
		}
		one.counters, one.partials = mem, mem+4*decodeSets
	}
	a := crowdArgs{one: one, seq: ptr(op.Seq), n: int32(n), seqs: int32(max(1, op.Seqs)), units: int32(units),
		to: to.addr, scale: to.scale, quads: int32(op.A.Cols() / 4)}
	if early {
		a.early = 1
	}
	if to.addr != 0 {
		if a.done, err = d.scratch(crowdScratch, 4*n); err != nil {
			return err
		}
	}
	return d.launch(headKernel("decode_crowd", dim, op.B.DType), min(n*units, d.sms()), decodeThreads, decodeShared, unsafe.Pointer(&a))
}
