package kernels

import (
	"fmt"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// few.cu's kernels take up to so many rows at a time.
const (
	fewRows  = 8
	someRows = 32
)

// fewArgs mirrors FewArgs in few.cuh.
type fewArgs struct {
	w              planes
	x, xScale, dst uint64
	first          int32
	n, m, k        int32
	groups, each   int32
	splits, share  int32
	slots          int32
	ring, sums, _  int32
}

var _ = mirror(fewArgs{}, fewKernels())

func fewKernels() (all []string) {
	for t := range planeBytes {
		for _, rows := range []int{fewRows, someRows} {
			k := fmt.Sprintf("few_%d_%s", rows, t)
			all = append(all, k, k+"_ring")
		}
	}
	return all
}

// few is a product of rows that are few (up to most, 8 or 32), or each computed as
// if they were, with packed weights. It reports whether it is one.
func (d *Device) few(op *tensor.Op, most int) (bool, error) {
	all, ok, err := d.fewParts([]*tensor.Op{op}, most)
	if !ok || err != nil {
		return false, err
	}
	return true, d.add(&all[0], op.Dst)
}

// fewParts is few for up to three products of one input, whose results are left
// in parts: what is one part is in its product's Dst. They last until the next
// product.
func (d *Device) fewParts(ops []*tensor.Op, most int) ([]parts, bool, error) {
	type shape struct {
		fewArgs
		kernel string
		smem   int
	}
	x := ops[0].B
	shapes, all, room := make([]shape, len(ops)), make([]parts, len(ops)), 0
	for i, op := range ops {
		var p part
		w, s := op.A, &shapes[i]
		if x.DType != tensor.F32 || op.Dst.DType != tensor.F32 || w.Cols()%32 != 0 || x.Addr%16 != 0 || !d.setPart(&p, w, op.Dst) {
			return nil, false, nil
		}
		s.fewArgs = fewArgs{w: p.w, first: p.first, m: p.rows, k: int32(w.Cols()), groups: int32(ceil(w.Cols(), tileColumns))}
		if s.kernel, s.smem = d.fewShape(&s.fewArgs, w.DType, most); s.smem == 0 {
			return nil, false, nil
		}
		all[i] = parts{addr: ptr(op.Dst), n: int32(x.Rows()), m: p.rows, each: int32(most), splits: s.splits}
		if s.splits > 1 {
			all[i].addr = uint64(room)
			room += 4 * int(s.splits) * x.Rows() * int(p.rows)
		}
	}
	addr, err := d.scratch(matmulPartScratch, room)
	if err != nil {
		return nil, false, err
	}
	o, err := d.matMulInput(x)
	if err != nil {
		return nil, false, err
	}
	for i := range all {
		p, s := &all[i], &shapes[i]
		if s.xScale = o.scale; p.splits > 1 {
			s.xScale, p.xScale = 0, o.scale
			p.addr += addr
		}
		for lo := 0; lo < x.Rows(); lo += most {
			a := s.fewArgs
			a.n, a.x, a.dst = int32(min(most, x.Rows()-lo)), o.addr+uint64(2*lo*o.ld), p.addr+uint64(4*lo)*uint64(a.splits)*uint64(a.m)
			if a.xScale != 0 {
				a.xScale += uint64(4 * lo)
			}
			blocks := min(max(1, d.sms()/int(a.splits)), ceil(int(a.m), tileRows))
			if err := d.launch(s.kernel, blocks*int(a.splits), matvecThreads, s.smem, unsafe.Pointer(&a)); err != nil {
				return nil, false, err
			}
		}
	}
	return all, true, nil
}

// fewShape cuts the columns such that a part of so many rows has room in shared
// memory, and says how many warps share a unit, whatever the number of rows: that
// decides in which order a result is summed. It returns the kernel and its shared
// memory, 0 where there is too little.
func (d *Device) fewShape(a *fewArgs, dt tensor.DType, most int) (kernel string, smem int) {
	const step = 2 // groups: superblocks are not cut
	kernel = fmt.Sprintf("few_%d_%s", most, dt)
	groups, sums := int(a.groups), matvecWarps*most*tileRows*4
	shape := func(slots int) bool {
		ring := 0
		if slots > 1 {
			ring = matvecWarps * slots * tileBytes(dt)
		}
		each := groups
		for fewBytes(each, most) > d.info.SharedPerBlock-sums-ring {
			if each = (each - 1) / step * step; each <= 0 {
				return false
			}
		}
		splits := ceil(groups, each)
		each = min(ceil(ceil(groups, splits), step)*step, groups) // about the same for all
		a.each, a.splits, a.slots = int32(each), int32(ceil(groups, each)), int32(slots)
		a.ring = int32(fewBytes(each, most))
		a.sums = a.ring + int32(ring)
		return a.splits <= 16 // more, and adding them takes longer than reading the weights
	}
	switch {
	case d.async && (shape(4) && a.splits == 1 || shape(3)):
		kernel += "_ring"
	case !shape(1):
		return "", 0
	}
	last := groups - int(a.each)*(int(a.splits)-1) // groups of the last part
	units := ceil(ceil(int(a.m), tileRows), max(1, d.sms()/int(a.splits)))
	a.share = shareOf(units, min(int(a.each), last), leastShare(dt))
	return kernel, int(a.sums) + sums
}

// fewBytes is so many groups of columns of x in shared memory: few.cuh.
func fewBytes(groups, rows int) int { return rows * groups * tileColumns * 2 }
