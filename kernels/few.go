package kernels

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// few.cuh's kernels take up to so many rows at a time.
const (
	fewRows  = 8
	someRows = 32
)

// A fewPart is few.cuh's FewPart.
type fewPart struct {
	w             planes
	dst           uint64
	dtype         int32
	first, m      int32
	blocks, share int32
	super         int32
	pieces        [4]int32
}

// fewArgs is few.cuh's FewArgs.
type fewArgs struct {
	part         [3]fewPart
	x, xScale    uint64
	n, k         int32
	groups, each int32
	splits, zero int32
	ring, sums   int32
}

var _ = mirror(fewArgs{}, "few_8", "few_8_ring", "few_32", "few_32_ring")

// Shape of few.cuh's blocks: crews of four warps, which have units of 64 rows.
const (
	fewThreads = 512
	fewCrews   = fewThreads / 128
	fewUnit    = 4 * tileRows
)

// few is a product of rows that are few (up to most, 8 or 32), or each computed as
// if they were, with packed weights. It reports whether it is one.
func (d *Device) few(op *tensor.Op, most int) (bool, error) {
	all, ok, err := d.fewParts([]*tensor.Op{op}, most)
	if !ok || err != nil {
		return false, err
	}
	return true, d.add(&all[0], op.Dst)
}

// fewParts is few for up to three products of one input, in one launch where that is
// not slower. Results are left in parts: what is one part is in its
// product's Dst. They last until the next product.
func (d *Device) fewParts(ops []*tensor.Op, most int) ([]parts, bool, error) {
	x := ops[0].B
	weights, ok := d.fewWeights(ops)
	if !ok || x.DType != tensor.F32 || x.Addr%16 != 0 || x.Cols()%32 != 0 {
		return nil, false, nil
	}
	shapes := d.fewShapes(weights, x.Cols(), most)
	if shapes == nil {
		return nil, false, nil
	}
	all, err := d.fewIssue(shapes, x, most)
	return all, err == nil, err
}

// fewWeights are the matrices of ops. It reports whether all are packed.
func (d *Device) fewWeights(ops []*tensor.Op) ([]fewPart, bool) {
	weights := make([]fewPart, len(ops))
	for i, op := range ops {
		w, first, ok := d.tiled(op.A)
		if op.Dst.DType != tensor.F32 || !ok {
			return nil, false
		}
		weights[i] = fewPart{w: w, dst: ptr(op.Dst), dtype: int32(op.A.DType), first: int32(first), m: int32(op.A.Rows())}
		weights[i].planes(op.A.DType)
	}
	return weights, true
}

// fewIssue issues the products of shapes with one input.
func (d *Device) fewIssue(shapes []fewShape, x *tensor.Tensor, most int) ([]parts, error) {
	var all []parts
	room := 0
	for _, s := range shapes {
		for _, p := range s.part[:s.count] {
			of := parts{addr: p.dst, n: int32(x.Rows()), m: p.m, each: int32(most), splits: s.splits}
			if s.splits > 1 {
				of.addr = uint64(room)
				room += 4 * int(s.splits) * x.Rows() * int(p.m)
			}
			all = append(all, of)
		}
	}
	addr, err := d.scratch(matmulPartScratch, room)
	if err != nil {
		return nil, err
	}
	o, err := d.matMulInput(x)
	if err != nil {
		return nil, err
	}
	for i, rest := 0, all; i < len(shapes); i++ {
		s := &shapes[i]
		to := rest[:s.count]
		rest = rest[s.count:]
		if s.xScale = o.scale; s.splits > 1 {
			s.xScale = 0
			for j := range to {
				to[j].addr += addr
				to[j].xScale = o.scale
			}
		}
		if err := d.fewAtOnce(s, o, to, most); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// planes says how large a tile's pieces of a type's planes are.
func (p *fewPart) planes(dt tensor.DType) {
	p.super = -1
	all := planeBytes[dt]
	for i, bytes := range all { // of 8 chunks, of which a tile has 64
		p.pieces[i] = int32(8 * bytes)
	}
	if dt.BlockLen() == 256 {
		p.super = int32(len(all) - 1)
		p.pieces[p.super] *= 2
	}
}

// fewAtOnce issues the products of a shape, for as many rows at a time as the kernel
// takes.
func (d *Device) fewAtOnce(s *fewShape, x operand, to []parts, most int) error {
	for lo := 0; lo < int(to[0].n); lo += most {
		a := s.fewArgs
		a.n, a.x = int32(min(most, int(to[0].n)-lo)), x.addr+uint64(2*lo*x.ld)
		if a.xScale != 0 {
			a.xScale += uint64(4 * lo)
		}
		for i, p := range to {
			a.part[i].dst = p.addr + uint64(4*lo)*uint64(p.splits)*uint64(p.m)
		}
		if err := d.launch(s.kernel, s.blocks*int(a.splits), fewThreads, s.smem, unsafe.Pointer(&a)); err != nil {
			return err
		}
	}
	return nil
}

// A fewShape is how products are cut, whatever the number of rows: that decides in
// which order a result is summed.
type fewShape struct {
	fewArgs
	kernel string  // "": there is too little shared memory
	count  int     // of parts
	blocks int     // of a split
	slots  int     // of a ring
	time   float64 // µs, about
	smem   int
}

// fewShapes are one of all products, or of each its own where that is faster, or no room
// for all.
func (d *Device) fewShapes(weights []fewPart, k, most int) []fewShape {
	const launch = 2.5 // µs
	together := d.fewShape(weights, k, most)
	if len(weights) > 1 {
		var apart []fewShape
		time := -launch
		for i := range weights {
			s := d.fewShape(weights[i:i+1], k, most)
			if s.kernel == "" {
				return nil
			}
			apart = append(apart, s)
			time += s.time + launch
		}
		if together.kernel == "" || together.time > time {
			return apart
		}
	}
	if together.kernel == "" {
		return nil
	}
	return []fewShape{together}
}

// fewShape chooses into how many parts columns are cut, such that those of a part,
// of so many rows, have room in shared memory: many parts take time to be written
// and added, few leave blocks idle and take long to be brought. Crews that share units
// need room for their sums, too.
func (d *Device) fewShape(weights []fewPart, k, most int) (best fewShape) {
	for splits := 1; splits <= 16; splits++ {
		for _, share := range []int{0, 2} {
			s, ok := d.fewCut(weights, k, most, splits, share)
			// Without a ring where there could be one, a warp waits for each of its tiles.
			if ok && (best.kernel == "" || s.slots > best.slots || s.slots == best.slots && s.time < best.time) {
				best = s
			}
		}
	}
	return best
}

// fewCut is the shape of so many parts of columns, whose units 1<<share crews share at
// most. It reports whether there is one.
func (d *Device) fewCut(weights []fewPart, k, most, splits, share int) (fewShape, bool) {
	const step = 2 // groups: superblocks are not cut
	groups := ceil(k, tileColumns)
	each := min(ceil(ceil(groups, splits), step)*step, groups)
	s := fewShape{kernel: fmt.Sprintf("few_%d", most), count: len(weights), blocks: max(1, d.sms()/splits)}
	s.k, s.groups, s.each, s.splits = int32(k), int32(groups), int32(each), int32(splits)
	copy(s.part[:], weights)
	if ceil(groups, each) != splits || !d.fewRoom(&s, most, share) {
		return fewShape{}, false
	}
	d.fewDeal(&s, most, share)
	return s, true
}

// fewRoom lays out the shared memory of a shape. It reports whether there is room.
func (d *Device) fewRoom(s *fewShape, rows, share int) bool {
	x, sums, align := rows*int(s.each)*tileColumns*2, 0, 0
	if share > 0 {
		sums = fewCrews * rows * fewUnit * 4
	}
	if d.info.Major == 9 {
		align = 1024 - 16 // wgmma.cuh
	}
	slots := 3 // few_slots
	if rows == fewRows {
		slots = 4
	}
	left, ring := d.info.SharedPerBlock-align-x-sums, 0
	for _, p := range s.part[:s.count] {
		ring = max(ring, fewThreads/32*slots*tileBytes(tensor.DType(p.dtype)))
	}
	s.ring = int32(x)
	if d.async && ring <= left {
		s.kernel += "_ring"
		s.slots = slots
		x += ring
	} else if left < 0 {
		return false
	}
	s.sums = int32(x)
	s.smem = x + sums + align
	return true
}

// fewDeal deals the blocks of a split to the products of a shape, says how many
// crews (1<<share at most) share a unit, and estimates how long it takes.
func (d *Device) fewDeal(s *fewShape, rows, share int) {
	all := s.part[:s.count]
	stream := d.info.Bandwidth() / 1e6                               // bytes/µs, of memory
	cached := 24 * float64(d.info.ClockKHz) / 1e3 * float64(d.sms()) // of L2
	last := int(s.groups - s.each*(s.splits-1))                      // groups of the last split
	time, units, results := make([]float64, len(all)), make([]int, len(all)), 0
	cost := func(i int) {
		p := &all[i]
		of, each := ceil(units[i], int(p.blocks)), int(s.each)
		// A tile of each warp takes what its bytes take, and decoding it no less than q4_k's.
		tile := float64(fewThreads/32*max(tileBytes(tensor.DType(p.dtype)), 1152)) * float64(d.sms()) / stream
		for by := 0; by <= share && (by == 0 || 1<<by <= min(each, last)); by++ {
			more := 0.25 // tiles, for another unit
			if by > 0 {
				more = 0.5
			}
			// Crews that have nothing to do leave the others more of the block, but not all.
			busy := float64(of) * (float64(each) + more*float64(int(1)<<by)) / fewCrews
			longest := 0.6 * float64(ceil(of, fewCrews>>by)) * (float64(ceil(each, 1<<by)) + more)
			if t := max(busy, longest) * tile; by == 0 || t < time[i] {
				time[i], p.share = t, int32(by)
			}
		}
	}
	for i := range all {
		units[i], all[i].blocks = ceil(int(all[i].m), fewUnit), 1
		results += int(all[i].m)
		cost(i)
	}
	dealt := len(all)
	for ; dealt < s.blocks; dealt++ {
		slowest := -1
		for i := range all {
			if int(all[i].blocks) < units[i] && (slowest < 0 || time[i] > time[slowest]) {
				slowest = i
			}
		}
		if slowest < 0 {
			break
		}
		all[slowest].blocks++
		cost(slowest)
	}
	s.blocks = dealt
	s.time = slices.Max(time) + float64(s.blocks*int(s.splits)*int(s.each)*tileColumns*2*rows)/cached
	if s.splits > 1 { // parts are written by all blocks, and those of a row are read by one
		s.time += float64(4*int(s.splits)*results*(rows+d.sms())) / cached
	}
}
