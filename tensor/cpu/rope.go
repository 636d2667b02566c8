package cpu

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// A ropeTable holds the cosines and sines of one list of positions, computed
// once a run for all layers that turn by the same angles.
type ropeTable struct {
	rope     tensor.Rope
	pos      *tensor.Tensor
	factors  *tensor.Tensor
	of       access // pos
	stale    bool   // while building: has to be computed (again)
	freqs    []float64
	cos, sin []float32 // (positions, Dims/2)
}

// rope turns the heads of each row by the row's angles.
func (p *program) rope(op *tensor.Op) error {
	t := p.table(op)
	dst, x, half := f32s(op.Dst), f32s(op.A), op.Rope.Dims/2
	dim, heads := op.A.Cols(), op.A.Shape[1]
	turn := vec.Turn
	if op.Rope.NeoX {
		turn = vec.TurnHalf
	}
	p.each(op, op.A.Rows(), 2*dim, func(_ *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			at := i / heads * half
			x, dst := x[i*dim:][:dim], dst[i*dim:][:dim]
			turn(dst[:2*half], x[:2*half], t.cos[at:][:half], t.sin[at:][:half])
			copy(dst[2*half:], x[2*half:])
		}
		return nil
	}, writes(op.Dst.Data), reads(op.A.Data), reads(bytesOf(t.cos)))
	return nil
}

// table finds the angles of an operation or emits the phase that computes them.
func (p *program) table(op *tensor.Op) *ropeTable {
	var t *ropeTable
	for _, o := range p.tables {
		if o.rope == *op.Rope && sameData(o.pos, op.Pos) && sameData(o.factors, op.B) && len(o.freqs) == op.Rope.Dims/2 {
			t = o
		}
	}
	if t == nil {
		n := op.Pos.Len() * op.Rope.Dims / 2
		t = &ropeTable{rope: *op.Rope, pos: op.Pos, factors: op.B, of: reads(op.Pos.Data), stale: true,
			freqs: frequencies(op.Rope), cos: make([]float32, n), sin: make([]float32, n)}
		if p == p.dev.eager { // keep no more than the last
			p.tables = p.tables[:0]
		}
		p.tables = append(p.tables, t)
	}
	if !t.stale {
		return t
	}
	t.stale = false
	uses := []access{writes(bytesOf(t.cos)), reads(op.Pos.Data)}
	if op.B != nil {
		uses = append(uses, reads(op.B.Data))
	}
	p.each(op, op.Pos.Len(), 40*op.Rope.Dims, t.compute, uses...)
	return t
}

func sameData(a, b *tensor.Tensor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return addr(a.Data) == addr(b.Data) && len(a.Data) == len(b.Data)
}

// compute fills the rows [lo, hi) of the table.
func (t *ropeTable) compute(_ *worker, lo, hi int) error {
	var factors []float32
	if t.factors != nil {
		factors = f32s(t.factors)
	}
	mul, scale := orOne(t.rope.AttnMul), orOne(t.rope.Scale)
	half := len(t.freqs)
	for i := lo; i < hi; i++ {
		pos := i32s(t.pos)[i]
		if pos < 0 {
			return fmt.Errorf("position %d is negative", pos)
		}
		for j, f := range t.freqs {
			angle := float64(pos) * f
			if factors != nil {
				angle /= float64(factors[j])
			}
			if t.rope.YaRN != 0 {
				mix := t.rope.YaRN * ramp(&t.rope, j)
				angle = angle*scale*(1-mix) + angle*mix
			} else {
				angle *= scale
			}
			sin, cos := math.Sincos(angle)
			t.cos[i*half+j], t.sin[i*half+j] = float32(cos*mul), float32(sin*mul)
		}
	}
	return nil
}

func orOne(f float64) float64 {
	if f == 0 {
		return 1
	}
	return f
}

func frequencies(r *tensor.Rope) []float64 {
	f := make([]float64, r.Dims/2)
	for i := range f {
		f[i] = math.Pow(r.Base, -2*float64(i)/float64(r.Dims))
	}
	return f
}

// ramp is how much of pair i's angle is extrapolated (left as it is, not
// interpolated): 1 for pairs that turn more than BetaFast times within the
// context of the training, 0 for those that turn less than BetaSlow times, and
// linear between (YaRN, section 3.2; the borders are rounded outwards as in
// https://github.com/jquesnelle/yarn).
func ramp(r *tensor.Rope, i int) float64 {
	border := func(turns float64) float64 {
		return float64(r.Dims) * math.Log(float64(r.OrigCtx)/(turns*2*math.Pi)) / (2 * math.Log(r.Base))
	}
	lo := max(0, math.Floor(border(r.BetaFast)))
	hi := min(float64(r.Dims-1), math.Ceil(border(r.BetaSlow)))
	return 1 - min(1, max(0, (float64(i)-lo)/max(0.001, hi-lo)))
}
