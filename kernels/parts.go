package kernels

import "github.com/llcuda/llcuda/tensor"

// parts are the result (n, m) of a product that is cut along its columns, before
// it is added up: number (i, j) is xScale[i]·Σ part[s][i][j], s in order. The
// next kernel may add them where it reads them (parts.cuh, which it mirrors), or
// add does.
type parts struct {
	addr   uint64 // f32: for every `each` rows, one after the other, (splits, rows, m)
	xScale uint64 // f32 (n), powers of two; 0: ones
	n, m   int32
	each   int32 // rows that are computed at a time; the last ones may be fewer
	splits int32
}

// add adds the parts of a product. There is nothing to do for one part,
// which is in its place.
func (d *Device) add(p *parts, dst *tensor.Tensor) error {
	if p.splits == 1 {
		return nil
	}
	for lo := int32(0); lo < p.n; lo += p.each {
		n, at := min(p.each, p.n-lo), uint64(4*lo)
		a := sumArgs{partial: p.addr + at*uint64(p.splits*p.m), xScale: p.xScale + at, dst: ptr(dst) + at*uint64(p.m),
			n: n, m: p.m, ldd: p.m, splits: p.splits, dtype: int32(tensor.F32)}
		if err := d.sumParts(a); err != nil {
			return err
		}
	}
	return nil
}
