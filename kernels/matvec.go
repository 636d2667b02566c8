package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// Shape of product.cuh's blocks, and bytes of its ring.
const (
	matvecThreads = 512
	matvecWarps   = matvecThreads / 32
	ringBytes     = matvecWarps * 3 * 2176     // RING_BYTES
	unitBytes     = matvecWarps * tileRows * 4 // sums of a unit
)

// How the results of a product leave it (product.cuh).
const (
	productStore int32 = iota
	productAdd
	productGLU
)

// A part is flow.cuh's Part.
type part struct {
	w                 planes
	dst, bias         uint64
	dtype             int32
	rows              int32
	first             int32
	skew, whole, rest int32
}

// A product is flow.cuh's Product.
type product struct {
	part           [3]part
	x, norm        uint64
	post, postNorm uint64
	sum            uint64
	residual, best uint64
	cols, parts    int32
	mode, fn       int32
	normalise      int32
	eps, cap       float32
	groups, share  int32
	_              int32
}

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
	var p part
	w := op.A
	if w.Cols()%32 != 0 || !d.setPart(&p, w, op.Dst) {
		return false, nil
	}
	a := matvecArgs{w: p.w, x: ptr(op.B), dst: p.dst, first: p.first, cols: int32(w.Cols()), m: p.rows, groups: int32(ceil(w.Cols(), tileColumns))}
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

// setPart says where a weight is and where its results go. It reports whether
// the weight is packed and its rows begin with a tile.
func (d *Device) setPart(p *part, w, dst *tensor.Tensor) bool {
	w0, first, ok := d.packed(w)
	if !ok || w.Cols() == 0 {
		return false
	}
	row := first / int64(w.Cols()/32)
	*p = part{w: w0, dst: ptr(dst), dtype: int32(w.DType), rows: int32(w.Rows()), first: int32(row)}
	return row%tileRows == 0 && row+int64(w.Rows()) < 1<<31
}

// finishProduct deals the units of all parts out to the blocks, one after the
// other. It reports whether the product can be.
func (d *Device) finishProduct(p *product) bool {
	p.groups = int32(ceil(int(p.cols), tileColumns))
	if p.cols%32 != 0 || activationBytes(int(p.cols))+2*unitBytes > d.info.SharedPerBlock-sharedOfStep {
		return false
	}
	before, least := 0, 0
	for i := range p.parts {
		least = max(least, leastShare(tensor.DType(p.part[i].dtype)))
		p.part[i].deal(before, d.sms())
		before += ceil(int(p.part[i].rows), tileRows)
	}
	p.share = shareOf(ceil(before, d.sms()), int(p.groups), least)
	return before > 0
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

// deal has the part's units go round the blocks after so many before it.
func (p *part) deal(before, blocks int) {
	units := ceil(int(p.rows), tileRows)
	p.skew, p.whole, p.rest = int32(before%blocks), int32(units/blocks), int32(units%blocks)
}

// pair makes p a GLU of its two parts, whose units go round alike. It reports
// whether that can be.
func (d *Device) pair(p *product) bool {
	p.mode = productGLU
	p.part[1].deal(0, d.sms())
	return p.part[0].rows == p.part[1].rows
}

// Static shared memory of the persistent kernel, rounded up.
const sharedOfStep = 5 << 10

// activationBytes is what a product's input takes of shared memory.
func activationBytes(cols int) int { return ceil(cols, tileColumns)*4*80 + 12*16 }

// A layout is the dynamic shared memory of a kernel with products: its region,
// a ring where there is one, and the sums of some units.
type layout struct {
	ending           string // of the kernels with a ring
	ring, sums, room int32
	bytes            int
}

// layOut finds room beside a region of so many bytes. A ring is for cards that
// have cp.async and the shared memory; where it is not, memory is slower, and
// what fits into registers keeps it busy.
func (d *Device) layOut(region, static int) layout {
	region = (region + 15) &^ 15
	l, left := layout{ring: int32(region), bytes: region}, d.info.SharedPerBlock-static-region
	if d.async && left >= ringBytes+8*unitBytes {
		l.ending, l.bytes, left = "_ring", region+ringBytes, left-ringBytes
	}
	l.sums, l.room = int32(l.bytes), int32(min(left/unitBytes, 8)&^1) // what is over is L1 cache
	l.bytes += int(l.room) * unitBytes
	return l
}
