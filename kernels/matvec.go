package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// Shape of product.cuh's blocks.
const (
	matvecThreads = 512
	matvecWarps   = matvecThreads / 32
	unitBytes     = matvecWarps * tileRows * 4 // sums of a unit
)

// matvecArgs is matvec.cu's MatVec.
type matvecArgs struct {
	w             planes
	x, dst        uint64
	first         int32
	cols, m       int32
	groups, share int32
	slots         int32
	ring, sums    int32
	pass, _       int32
}

var _ = mirror(matvecArgs{}, matvecKernels()...)

func matvecKernels() (all []string) {
	for t := range planeBytes {
		all = append(all, "matvec_"+t.String(), "matvec_"+t.String()+"_ring")
	}
	return all
}

// matVec is a product with one row of x, f32, of a packed weight. It reports
// whether it is one.
func (d *Device) matVec(op *tensor.Op) (bool, error) {
	if op.B.Rows() != 1 || op.B.DType != tensor.F32 || op.Dst.DType != tensor.F32 {
		return false, nil
	}
	w := op.A
	p, first, ok := d.tiled(w)
	if w.Cols()%32 != 0 || !ok {
		return false, nil
	}
	a := matvecArgs{w: p, x: ptr(op.B), dst: ptr(op.Dst), first: int32(first), cols: int32(w.Cols()), m: int32(w.Rows()), groups: int32(ceil(w.Cols(), tileColumns))}
	units := ceil(ceil(w.Rows(), tileRows), d.sms()) // of a block
	a.share = shareOf(units, int(a.groups), leastShare(w.DType))
	name, smem := d.layOutMatvec(&a, w.DType, units)
	if smem == 0 {
		return false, nil
	}
	return true, d.launch(name, d.sms(), matvecThreads, smem, unsafe.Pointer(&a))
}

// layOutMatvec finds room in shared memory for the activations, the sums of as
// many units as are useful, and a ring, the largest there is room for. It
// returns the kernel and its dynamic shared memory, 0 where that is too little.
func (d *Device) layOutMatvec(a *matvecArgs, dt tensor.DType, units int) (kernel string, smem int) {
	kernel, a.ring = "matvec_"+dt.String(), int32(activationBytes(int(a.cols)))
	least := matvecWarps * tileRows * 4 // one sum of each warp
	left := d.info.SharedPerBlock - int(a.ring)
	if left < least {
		return "", 0
	}
	a.sums, a.slots = a.ring, 1
	half, whole := d.info.SharedPerSM/2-1024, d.info.SharedPerBlock
	rings := []struct{ slots, room int }{{4, half}, {3, half}, {8, whole}, {4, whole}}
	if units >= matvecWarps { // long enough to do without the start of the next one
		rings = rings[2:]
	}
	for _, ring := range rings {
		bytes := matvecWarps * ring.slots * tileBytes(dt)
		if d.async && int(a.ring)+bytes+2*least <= ring.room {
			a.slots, a.sums, left = int32(ring.slots), a.ring+int32(bytes), ring.room-int(a.ring)-bytes
			kernel += "_ring"
			break
		}
	}
	atOnce := matvecWarps >> a.share
	passes := min(left/least, 16) // of atOnce units each
	a.pass = int32(min(passes*atOnce, ceil(units, atOnce)*atOnce))
	return kernel, int(a.sums) + int(a.pass)<<a.share*tileRows*4
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
