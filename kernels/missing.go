package kernels

// What is not there yet. Whoever writes one of these deletes its line here; the
// file goes when it is empty.

import "github.com/llcuda/llcuda/tensor"

const notYet = "not there yet"

func (d *Device) attention(op *tensor.Op) error { return d.refuse(op, notYet) }

// decode.go: Decode of decode.cuh, filled for a recorded Attention of one
// query; what comes before it (k_new, norms, turns) is left empty.
type decodeArgs struct {
	q, kNew, vNew, qNorm, kNorm, turns uint64
	k, v, pos, dst, partials, counters uint64
	fault                              uint64
	n, heads, kvHeads, group           int32
	passes, sets, splits, splitShift   int32
	rows, window, rope, neox           int32
	scale, softcap, eps, mscale        float32
}

const decodeShared = 24 << 10

func (d *Device) decodeArgs(op *tensor.Op) (decodeArgs, error) {
	return decodeArgs{}, d.refuse(op, notYet)
}
