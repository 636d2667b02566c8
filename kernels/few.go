package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// fewMost is how many rows few.cu takes at a time (FEW_ROWS).
const fewMost = 8

type (
	// fewArgs mirrors FewArgs in few.cuh.
	fewArgs struct {
		w             planes
		x, dst        uint64
		first         int32
		n, m          int32
		groups, each  int32
		splits, share int32
		sums          int32
	}
	// fewInputArgs mirrors FewInputArgs in few.cu.
	fewInputArgs struct {
		x, to           uint64
		n, cols, groups int32
		_               int32
	}
)

var (
	_ = mirror(fewArgs{}, fewKernels())
	_ = mirror(fewInputArgs{}, "few_input")
)

func fewKernels() (all []string) {
	for t := range planeBytes {
		all = append(all, "few_"+t.String())
	}
	return all
}

// few is a product of rows that are few, or each computed as if they were,
// with packed weights. It reports whether it is one.
func (d *Device) few(op *tensor.Op) (bool, error) {
	w, x, dst := op.A, op.B, op.Dst
	var p part
	if x.DType != tensor.F32 || dst.DType != tensor.F32 || w.Cols()%32 != 0 || x.Addr%16 != 0 || !d.setPart(&p, w, dst) {
		return false, nil
	}
	a := fewArgs{w: p.w, first: p.first, m: p.rows, groups: int32(ceil(w.Cols(), tileColumns))}
	smem := d.fewShape(&a, w.DType)
	if smem == 0 {
		return false, nil
	}
	for lo := 0; lo < x.Rows(); lo += fewMost {
		hi := min(lo+fewMost, x.Rows())
		if err := d.fewRows(a, smem, w.DType, x.Slice(lo, hi), dst.Slice(lo, hi)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// fewShape cuts the columns such that fewMost rows of a part have room in
// shared memory, and says how many warps share a unit, whatever the number of
// rows: that decides in which order a result is summed. It returns the shared
// memory, 0 where there is too little.
func (d *Device) fewShape(a *fewArgs, dt tensor.DType) (smem int) {
	const static, step = 1 << 10, 2 // groups: superblocks are not cut
	sums := 2 * matvecWarps * fewMost * tileRows * 4
	room := (d.info.SharedPerBlock - static - sums) / fewMost
	groups := int(a.groups)
	each := groups
	for activationBytes(each*tileColumns) > room {
		if each = (each - 1) / step * step; each <= 0 {
			return 0
		}
	}
	splits := ceil(groups, each)
	each = ceil(ceil(groups, splits), step) * step // about the same for all
	a.each, a.splits = int32(min(each, groups)), int32(ceil(groups, each))
	least := 0
	if dt.BlockLen() == 256 {
		least = 1
	}
	units := ceil(ceil(int(a.m), tileRows), max(1, d.sms()/int(a.splits)))
	last := groups - int(a.each)*(int(a.splits)-1) // groups of the last part
	a.share = shareOf(units, min(int(a.each), last), least)
	a.sums = int32(fewMost * activationBytes(int(a.each)*tileColumns))
	return int(a.sums) + sums
}

// fewRows is a product of at most fewMost rows.
func (d *Device) fewRows(a fewArgs, smem int, dt tensor.DType, x, dst *tensor.Tensor) (err error) {
	n := x.Rows()
	if a.x, err = d.fewRowsInput(x, int(a.groups)); err != nil {
		return err
	}
	a.n, a.dst = int32(n), ptr(dst)
	if a.splits > 1 {
		if a.dst, err = d.scratch(matmulPartScratch, 4*int(a.splits)*n*int(a.m)); err != nil {
			return err
		}
	}
	blocks := min(max(1, d.sms()/int(a.splits)), ceil(int(a.m), tileRows))
	if err := d.launch("few_"+dt.String(), blocks*int(a.splits), matvecThreads, smem, unsafe.Pointer(&a)); err != nil || a.splits == 1 {
		return err
	}
	return d.sumParts(sumArgs{partial: a.dst, dst: ptr(dst), n: a.n, m: a.m, ldd: a.m, splits: a.splits, dtype: int32(tensor.F32)})
}

// fewRowsInput is x as few.cuh reads it; several products of one input share it.
func (d *Device) fewRowsInput(x *tensor.Tensor, groups int) (addr uint64, err error) {
	n := x.Rows()
	if addr, err = d.scratch(fewInputScratch, fewMost*groups*4*80); err != nil {
		return 0, err
	}
	is := converted{ptr(x), x.DType, n, x.Cols(), d.generation}
	if d.fewInput == is {
		return addr, nil
	}
	d.fewInput = converted{}
	a := fewInputArgs{x: ptr(x), to: addr, n: int32(n), cols: int32(x.Cols()), groups: int32(groups)}
	if err := d.launch3("few_input", [3]int{n, ceil(groups*tileColumns, 1024), 1}, [3]int{256, 1, 1}, 0, unsafe.Pointer(&a)); err != nil {
		return 0, err
	}
	if !d.dry {
		d.fewInput = is
	}
	return addr, nil
}
