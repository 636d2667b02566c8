package kernels

import (
	"errors"
	"math"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// ropeTableArgs is RopeTable of rope.cu, ropeArgs is RopeArgs.
type (
	ropeTableArgs struct {
		table, factors  uint64
		base, scale     float64
		yarn, low, high float64
		dims, _         int32
	}
	ropeArgs struct {
		dst, x, pos, table, fault uint64
		heads, dim, dims, parts   int32
		neox                      int32
		mul                       float32
	}
)

var _, _ = mirror(ropeTableArgs{}, "rope_table"), mirror(ropeArgs{}, "rope")

// rope turns the heads of each row by the row's position.
func (d *Device) rope(op *tensor.Op) error {
	n, heads, dim := op.A.Shape[0], op.A.Shape[1], op.A.Cols()
	if op.A.Len() == 0 {
		return nil
	}
	table, err := d.ropeTable(op.Rope, op.B)
	if err != nil {
		return err
	}
	a := ropeArgs{dst: ptr(op.Dst), x: ptr(op.A), pos: ptr(op.Pos), table: table, fault: d.faultWord(),
		heads: int32(heads), dim: int32(dim), dims: int32(op.Rope.Dims), parts: 1, mul: ropeMul(op.Rope)}
	if op.Rope.NeoX {
		a.neox = 1
	}
	if n < 4*d.sms() { // few rows: blocks of fewer heads
		side := max(1, 256/(op.Rope.Dims/2))
		a.parts = int32(min(ceil(heads, side), ceil(4*d.sms(), n)))
	}
	return d.launch("rope", n*int(a.parts), 256, 0, unsafe.Pointer(&a))
}

// ropeMul is what turned numbers are multiplied by.
func ropeMul(r *tensor.Rope) float32 {
	if r.AttnMul == 0 {
		return 1
	}
	return float32(r.AttnMul)
}

// A ropeKey tells one table from another.
type ropeKey struct {
	tensor.Rope
	factors uint64
}

// ropeTable returns the address of r.Dims/2 float2: the turns of each pair from
// one position to the next (rope.cuh). The device keeps it. It is made once, also
// while operations are issued dry, which comes before they are captured; with
// factors that are no constants, which may have been written, by a launch each
// time.
func (d *Device) ropeTable(r *tensor.Rope, factors *tensor.Tensor) (uint64, error) {
	key := ropeKey{*r, ptr(factors)}
	key.NeoX, key.AttnMul = false, 0
	table, known := d.ropeTables[key]
	if known && (factors == nil || d.constant(factors)) {
		return table, nil
	}
	if !known {
		if err := d.alloc(&table, r.Dims/2*8); err != nil {
			return 0, err
		}
		if d.ropeTables == nil {
			d.ropeTables = map[ropeKey]uint64{}
		}
		d.ropeTables[key] = table
	}
	a := ropeTableArgs{table: table, factors: ptr(factors), base: r.Base, scale: r.Scale, yarn: r.YaRN, dims: int32(r.Dims)}
	if r.Scale == 0 {
		a.scale = 1
	}
	if r.YaRN != 0 {
		a.low, a.high = yarnBorders(r)
	}
	dry := d.dry
	d.dry = false
	err := d.launch("rope_table", ceil(r.Dims/2, 128), 128, 0, unsafe.Pointer(&a))
	d.dry = dry
	if err != nil {
		delete(d.ropeTables, key)
		return 0, d.freeTable(table, err)
	}
	return table, nil
}

// dropTables gives back the tables that were made of factors in memory that is
// freed.
func (d *Device) dropTables(addr, bytes uint64) error {
	var errs []error
	for key, table := range d.ropeTables {
		if key.factors != 0 && addr <= key.factors && key.factors < addr+bytes {
			errs = append(errs, d.drv.MemFree(table))
			delete(d.ropeTables, key)
		}
	}
	return errors.Join(errs...)
}

// freeTable gives back a table that could not be made for a reason.
func (d *Device) freeTable(table uint64, reason error) error {
	if err := d.drv.MemFree(table); err != nil {
		return err
	}
	return reason
}

// yarnBorders are the pairs between which YaRN goes from extrapolation to
// interpolation (tensor/cpu, ramp).
func yarnBorders(r *tensor.Rope) (low, high float64) {
	border := func(turns float64) float64 {
		return float64(r.Dims) * math.Log(float64(r.OrigCtx)/(turns*2*math.Pi)) / (2 * math.Log(r.Base))
	}
	return max(0, math.Floor(border(r.BetaFast))), min(float64(r.Dims-1), math.Ceil(border(r.BetaSlow)))
}
