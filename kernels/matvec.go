package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// Shape of product.cuh's blocks, and bytes of its ring.
const (
	matvecThreads = 512
	matvecWarps   = matvecThreads / 32
	ringBytes     = matvecWarps * 4 * 2176     // RING_BYTES
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

type matvecArgs struct {
	product             product
	ring, sums, room, _ int32
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
	a := matvecArgs{product: product{x: ptr(op.B), cols: int32(op.A.Cols()), parts: 1}}
	if !d.setPart(&a.product.part[0], op.A, op.Dst) || !d.finishProduct(&a.product) {
		return false, nil
	}
	l := d.layOut(activationBytes(op.A.Cols()), sharedOfMatvec)
	a.ring, a.sums, a.room = l.ring, l.sums, l.room
	return true, d.launch("matvec_"+op.A.DType.String()+l.ending, d.sms(), matvecThreads, l.bytes, unsafe.Pointer(&a))
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
		if tensor.DType(p.part[i].dtype).BlockLen() == 256 {
			least = 1
		}
		p.part[i].deal(before, d.sms())
		before += ceil(int(p.part[i].rows), tileRows)
	}
	p.share = shareOf(ceil(before, d.sms()), int(p.groups), least)
	return before > 0
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

// Static shared memory of the kernels, rounded up.
const (
	sharedOfMatvec = 2 << 10
	sharedOfStep   = 5 << 10
)

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
	l.sums, l.room = int32(l.bytes), int32(min(left/unitBytes, 2*matvecWarps)&^1)
	l.bytes += int(l.room) * unitBytes
	return l
}
