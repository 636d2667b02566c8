package kernels

import (
	"math"
	"slices"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// Shape of product.cuh's blocks.
const (
	matvecThreads = 512
	matvecWarps   = matvecThreads / 32
	unitBytes     = matvecWarps * tileRows * 4 // sums of a unit
)

// A matrix is matvec.cu's Matrix.
type matrix struct {
	w             planes
	dst           uint64
	before, ahead int32
	m, _          int32
}

// common is matvec.cu's Common.
type common struct {
	x                 uint64
	cols, groups      int32
	share             int32
	whole, rest       int32
	slots, ring, sums int32
	pass, _           int32
}

// matvecArgs is matvec.cu's MatVec.
type matvecArgs struct {
	common
	w matrix
}

// A brief is matvec.cu's Brief.
type brief struct {
	base, dst     uint64
	tiles, before int32
	ahead, m      int32
}

const (
	mostMatrices  = 125                                                 // MATRICES
	matricesBytes = (mostMatrices+1)*int(unsafe.Sizeof(matrix{})) + 128 // of shared memory, rounded up
)

// matvecsArgs is matvec.cu's MatVecs.
type matvecsArgs struct {
	common
	w [mostMatrices + 1]brief
}

var (
	_ = mirror(matvecArgs{}, matvecKernels("matvec_")...)
	_ = mirror(matvecsArgs{}, matvecKernels("matvecs_")...)
)

func matvecKernels(prefix string) (all []string) {
	for t := range planeBytes {
		all = append(all, prefix+t.String(), prefix+t.String()+"_ring")
	}
	return all
}

// matVec is a product with one row of x, f32, of a packed weight. It reports
// whether it is one.
func (d *Device) matVec(op *tensor.Op) (bool, error) {
	var a matvecArgs
	if !a.w.set(d, op) {
		return false, nil
	}
	smem := d.layOutMatvec(&a.common, op.A, ceil(op.A.Rows(), tileRows), 0)
	if smem == 0 {
		return false, nil
	}
	a.x = ptr(op.B)
	return true, d.launch(a.kernel("matvec_", op.A.DType), d.sms(), matvecThreads, smem, unsafe.Pointer(&a))
}

// matVecs is matVec of the first n of ops in one launch: products of one input,
// with weights of one type, none of which writes what another reads or writes. n
// is 0 where there are not two.
func (d *Device) matVecs(ops []tensor.Op) (n int, err error) {
	var a matvecsArgs
	units := 0
	for first := &ops[0]; n < min(len(ops), mostMatrices); n++ {
		op := &ops[n]
		var w matrix
		if op.Kind != tensor.OpMatMul || op.Alike != tensor.Apart || !same(op.B, first.B) || op.A.DType != first.A.DType || op.A.Cols() != first.A.Cols() ||
			overlap(op.Dst, op.B) || slices.ContainsFunc(ops[:n], func(o tensor.Op) bool { return overlap(o.Dst, op.Dst) }) ||
			d.usable(op) != nil || !w.set(d, op) {
			break
		}
		tiles := ceil(d.find(ptr(op.A)).rows, tileRows) * ceil(op.A.Cols(), tileColumns)
		a.w[n] = brief{base: w.w[0], dst: w.dst, tiles: int32(tiles), before: int32(units), ahead: w.ahead - int32(units), m: w.m}
		units += ceil(op.A.Rows(), tileRows)
	}
	if n < 2 {
		return 0, nil
	}
	smem := d.layOutMatvec(&a.common, ops[0].A, units, matricesBytes)
	if smem == 0 {
		return 0, nil
	}
	for i := n; i < len(a.w); i++ {
		a.w[i].before = math.MaxInt32
	}
	a.x = ptr(ops[0].B)
	if err := d.launch(a.kernel("matvecs_", ops[0].A.DType), d.sms(), matvecThreads, smem, unsafe.Pointer(&a)); err != nil {
		return 0, d.wrap("matmul", err)
	}
	for i := range ops[:n] {
		d.input.forget(ops[i].Dst)
	}
	return n, nil
}

// set makes m the matrix of a product of one row. It reports whether there is a
// kernel for it.
func (m *matrix) set(d *Device, op *tensor.Op) bool {
	if op.B.Rows() != 1 || op.B.DType != tensor.F32 || op.Dst.DType != tensor.F32 || op.A.Cols()%32 != 0 {
		return false
	}
	w, first, ok := d.tiled(op.A)
	*m = matrix{w: w, dst: ptr(op.Dst), ahead: int32(first / tileRows), m: int32(op.A.Rows())}
	return ok
}

// kernel is the kernel for a type of weights.
func (a *common) kernel(prefix string, dt tensor.DType) string {
	if a.slots > 0 {
		return prefix + dt.String() + "_ring"
	}
	return prefix + dt.String()
}

// layOutMatvec deals units of weights like w out to the blocks and their warps,
// and finds room in shared memory, beside the static bytes of a list of matrices,
// for the activations, the sums of as many rounds as are useful, and a ring. It
// returns the dynamic shared memory, 0 where that is too little.
func (d *Device) layOutMatvec(a *common, w *tensor.Tensor, units, static int) (smem int) {
	dt, groups := w.DType, ceil(w.Cols(), tileColumns)
	a.cols, a.groups = int32(w.Cols()), int32(groups)
	a.whole, a.rest = int32(units/d.sms()), int32(units%d.sms())
	units = ceil(units, d.sms())                         // of a block, at most
	region := ceil(activationBytes(w.Cols()), 128) * 128 // the ring is aligned as dynamic_shared is
	room, ring := d.info.SharedPerBlock-static-region-unitBytes, 0
	if room < 0 {
		return 0
	}
	a.ring, a.slots, a.share = int32(region), 0, shareOf(units, groups, leastShare(dt))
	if slot := matvecWarps * tileBytes(dt); d.async && 3*slot <= room {
		a.share = ringShare(units, groups, leastShare(dt))
		tiles := ceil(units, matvecWarps>>a.share) * ceil(groups, 1<<a.share) // of a warp, at most
		half := (d.info.SharedPerSM/2 - 1024 - region - unitBytes) / slot
		slots := slotsOf(units, tiles, room/slot, half)
		if static > 0 && tiles <= 48 {
			slots = min(slots, 4) // 1 to 2 % faster; with more tiles, 6 is: nobody waits beside
		}
		a.slots, ring = int32(slots), slots*slot
	}
	a.sums = a.ring + int32(ring)
	a.pass = int32(min(1+(room-ring)/unitBytes, 16, ceil(units, matvecWarps>>a.share)))
	return int(a.sums) + int(a.pass)*unitBytes
}

// ringShare is shareOf for matvec with a ring, where a warp has two tiles of a
// unit at least, if that can be. Going to another unit costs about a quarter of a
// tile there; and the more warps share a unit, the less of the input each needs
// and the nearer is what the block reads at a time, which is worth an eighth (one
// H200, 2026-11-28: q5_0 128256 × 4096, 16 warps 86 % of the streaming read, one
// 82 %; 14336 × 4096, 76 and 69 %).
func ringShare(units, groups, least int) int32 {
	cost := func(share int) int { return ceil(units, matvecWarps>>share) * (4*ceil(groups, 1<<share) + 1) }
	best, low := least, cost(least)
	for share := least; share <= 4 && 2<<share <= groups; share++ {
		low = min(low, cost(share))
	}
	for share := least; share <= 4 && 2<<share <= groups; share++ {
		if 8*cost(share) <= 9*low {
			best = share
		}
	}
	return int32(best)
}

// slotsOf chooses the slots of a ring, of 3, 4 and 6, of which at most `most`
// fit, and `half` beside another block: for a block of so many units, whose warps
// have so many tiles. Long products want many. Where a warp has four tiles or
// fewer, those of the next product compete with the input of this one: a block
// that waits beside this one is bad, unless the second of two units can be on its
// way (one H200, 2026-11-28, of the best: q5_0 2048 × 8192, 6 slots 97 %, 4 or 3 75
// to 88 %; q5_0 4096 × 4096, 3 slots 100 %, 6 80 %; q8_0 1024 × 4096, 4 slots
// 100 %, 6 82 %).
func slotsOf(units, tiles, most, half int) int {
	slots := 6
	if tiles <= 4 && half < 4 {
		slots = 4
	} else if tiles <= 4 && units > 1 {
		slots = 3
	}
	for slots > max(most, 3) {
		slots -= slots / 3
	}
	return slots
}

// tileBytes is dot.cuh's tile_bytes: a tile with what it shares with another.
func tileBytes(dt tensor.DType) (bytes int) {
	for _, of := range planeBytes[dt] { // of 8 chunks, of which a tile has 64
		if bytes += 8 * of; dt.BlockLen() == 256 && of == planeBytes[dt][len(planeBytes[dt])-1] {
			bytes += 8 * of
		}
	}
	return bytes
}

// tiled is where a weight's planes are and its first row in them. It reports
// whether the weight is packed and that row begins a tile.
func (d *Device) tiled(w *tensor.Tensor) (p planes, first int, ok bool) {
	p, at, ok := d.packed(w)
	if !ok || w.Cols() == 0 {
		return p, 0, false
	}
	row := at / int64(w.Cols()/32)
	return p, int(row), row%tileRows == 0 && row+int64(w.Rows()) < 1<<31
}

// leastShare: two tiles share a superblock, so warps take every other one.
func leastShare(dt tensor.DType) int {
	if dt.BlockLen() == 256 {
		return 1
	}
	return 0
}

// shareOf chooses how many warps share a unit, as a power of two, so that the
// last of a block's warps is done soonest: units of the block, groups of each,
// the least that may share one.
func shareOf(units, groups, least int) int32 {
	best, low := least, 0
	for share := least; share <= 4 && 1<<share <= groups; share++ {
		// In items; going to another unit costs about half of one.
		rounds := ceil(units, matvecWarps>>share)
		if cost := rounds * (2*ceil(groups, 1<<share) + 1); share == least || cost <= low {
			best, low = share, cost
		}
	}
	return int32(best)
}

// activationBytes is what a product's input takes of shared memory.
func activationBytes(cols int) int { return ceil(cols, tileColumns)*4*80 + 12*16 }
