package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// Shape of product.cuh's blocks, and bytes of its ring.
const (
	matvecThreads = 512
	matvecWarps   = matvecThreads / 32
	ringBytes     = matvecWarps * 2 * 4 * 1152
	gates         = 128 // GATES
)

// How the results of a product leave it (product.cuh).
const (
	productStore int32 = iota
	productAdd
	productGLU
)

// A part is flow.cuh's Part.
type part struct {
	w         planes
	dst, bias uint64
	dtype     int32
	rows      int32
	first, _  int32 // chunk
}

// A product is flow.cuh's Product.
type product struct {
	part             [3]part
	x, norm          uint64
	post, postNorm   uint64
	sum              uint64
	residual, best   uint64
	cols, parts      int32
	mode, fn         int32
	shift, normalise int32
	eps, cap         float32
	units, skew      [3]int32
}

type matvecArgs struct{ product product }

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
	a := matvecArgs{product{x: ptr(op.B), cols: int32(op.A.Cols()), parts: 1}}
	if !d.setPart(&a.product.part[0], op.A, op.Dst) || !d.finishProduct(&a.product) {
		return false, nil
	}
	region := activationBytes(op.A.Cols())
	ring, bytes := d.ring(region, sharedOfMatvec)
	return true, d.launch("matvec_"+op.A.DType.String()+ring, d.sms(), matvecThreads, region+bytes, unsafe.Pointer(&a))
}

// setPart says where a weight is and where its results go. It reports whether
// the weight is packed.
func (d *Device) setPart(p *part, w, dst *tensor.Tensor) bool {
	w0, first, ok := d.packed(w)
	*p = part{w: w0, dst: ptr(dst), dtype: int32(w.DType), rows: int32(w.Rows()), first: int32(first)}
	return ok && first+int64(w.Len()/32) < 1<<31
}

// finishProduct chooses how many lanes share a row, so that the last of a
// block's warps is done soonest. It reports whether the product can be.
func (d *Device) finishProduct(p *product) bool {
	chunks, least := int(p.cols)/32, 2
	rows := 0
	for i := range p.parts {
		rows += int(p.part[i].rows)
		if tensor.DType(p.part[i].dtype).BlockLen() == 256 {
			least = 3 // eight lanes share a superblock
		}
	}
	if p.cols%32 != 0 || rows == 0 || activationBytes(int(p.cols)) > d.info.SharedPerBlock-sharedOfStep {
		return false
	}
	best := 0
	for shift := 5; shift >= least; shift-- {
		// Chunks of the busiest warp's lanes; a unit's sum costs about one more.
		units := ceil(ceil(ceil(rows, 32>>shift), d.sms()), matvecWarps)
		if cost := units * (ceil(chunks, 1<<shift) + 1); best == 0 || cost < best {
			p.shift, best = int32(shift), cost
		}
	}
	warps, before := matvecWarps*d.sms(), 0
	for i := range p.parts {
		units := ceil(int(p.part[i].rows), 32>>p.shift)
		p.units[i], p.skew[i] = int32(units), int32(before%warps)
		before += units
	}
	return true
}

// pair makes p a GLU of its two parts. It reports whether that can be: a warp
// keeps the results of the first.
func (d *Device) pair(p *product) bool {
	p.mode, p.skew[1] = productGLU, 0
	return p.units[0] == p.units[1] && ceil(int(p.units[0]), matvecWarps*d.sms())*32>>p.shift <= gates
}

// Static shared memory of the kernels, rounded up.
const (
	sharedOfMatvec = 10 << 10
	sharedOfStep   = 12 << 10
)

// activationBytes is what a product's input takes of shared memory.
func activationBytes(cols int) int { return cols / 32 * 80 }

// ring is the ending of the kernels with a ring, and its size, where the card
// has cp.async and room for it beside so much other shared memory. Where it has
// not, its memory is slower, and what fits into registers keeps it busy.
func (d *Device) ring(region, static int) (ending string, bytes int) {
	if !d.async || region+static+ringBytes > d.info.SharedPerBlock {
		return "", 0
	}
	return "_ring", ringBytes
}
