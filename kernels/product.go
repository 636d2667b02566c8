package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// How the results of a product leave it (flow.cuh).
const (
	productStore int32 = iota
	productAdd
	productGLU
)

// A part is flow.cuh's Part.
type part struct {
	w           planes
	dst, bias   uint64
	dtype, rows int32
	tag, _      int32
	pieces      [4]uint32
	lanes       [32]uint8
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
	_              int32 // zero
	tags           productTags
	attend         int32
	_              [2]int32
}

// Lists of these go to shared memory 16 bytes at a time (product.cuh's bring).
var _ = [1]struct{}{}[(unsafe.Sizeof(product{})|unsafe.Sizeof(lot{})|unsafe.Sizeof(decodeArgs{})|unsafe.Sizeof(adapted{}))%16]

// productTags are codes of a product's vectors.
type productTags struct{ x, post, sum, residual uint8 }

// A lot is flow.cuh's Lot.
type lot struct {
	units     int32
	before    [3]int32
	tile, row [3]int32
	apart     int32
	_         int32
}

// setPart makes p a matrix that is kept as planes.
func (p *part) setPart(w *tensor.Tensor, at planes) {
	*p = part{w: at, dtype: int32(w.DType), rows: int32(w.Rows())}
	lane, bytes := 0, planeBytes[w.DType]
	for i, of := range bytes {
		piece, shared := 8*of, uint32(0) // planeBytes has 8 chunks of the 64 of a tile
		if w.DType.BlockLen() == 256 && i == len(bytes)-1 {
			piece, shared = 2*piece, 1
		}
		p.pieces[i] = uint32(piece)<<1 | shared
		if i == 0 || i == 1 && w.DType == tensor.Q6_K {
			continue
		}
		for at := range piece / 16 {
			p.lanes[lane] = uint8(i<<6 | at)
			lane++
		}
	}
}

// finish finds how many warps share a unit. It reports whether the card has
// room for the product.
func (p *product) finish(d *Device) bool {
	p.groups = int32(ceil(int(p.cols), tileColumns))
	if p.cols%32 != 0 || activationBytes(int(p.cols))+2*unitBytes > d.info.SharedPerBlock-sharedOfStep {
		return false
	}
	units, least := 0, 0
	for i := range p.parts {
		least = max(least, leastShare(tensor.DType(p.part[i].dtype)))
		units += ceil(int(p.part[i].rows), tileRows)
	}
	p.share = shareOf(ceil(units, d.sms()), int(p.groups), least)
	return units > 0
}

// lots deals the units of all parts out to the blocks, one after the other, or
// those of a GLU alike. first are the parts' first rows in their planes.
func (p *product) lots(first [3]int, blocks int) []lot {
	all := make([]lot, blocks)
	for block := range all {
		l, dealt := &all[block], 0
		l.apart = int32(blocks)
		for i := range l.before {
			if i >= int(p.parts) {
				l.before[i] = 1 << 30
				continue
			}
			l.before[i] = l.units
			units := ceil(int(p.part[i].rows), tileRows)
			unit := (block + blocks - dealt%blocks) % blocks
			l.tile[i], l.row[i] = int32((first[i]/tileRows+unit)*int(p.groups)), int32(unit*tileRows)
			l.units += int32(ceil(max(units-unit, 0), blocks))
			if p.mode != productGLU {
				dealt += units
			}
		}
	}
	return all
}

const (
	sharedOfStep = 5 << 10 // static shared memory of the persistent kernel, rounded up
	ringSlots    = 3       // RING_SLOTS
)

// A layout is the dynamic shared memory of a kernel with products: its region,
// a ring where there is one, and the sums of some units.
type layout struct {
	ending           string // of the kernels with a ring
	ring, sums, room int32
	bytes            int
}

// layOut finds room beside a region of so many bytes for a ring whose slots have
// slot bytes. A ring is for cards that
// have cp.async and the shared memory; where it is not, memory is slower, and
// what fits into registers keeps it busy.
func (d *Device) layOut(region, static, slot int) layout {
	region = ceil(region, 128) * 128
	l, left := layout{ring: int32(region), bytes: region}, d.info.SharedPerBlock-static-region
	if ring := matvecWarps * ringSlots * slot; d.async && left >= ring+8*unitBytes {
		l.ending, l.bytes, left = "_ring", region+ring, left-ring
	}
	l.sums, l.room = int32(l.bytes), int32(min(left/unitBytes, 8)&^1) // what is over is L1 cache
	l.bytes += int(l.room) * unitBytes
	return l
}
