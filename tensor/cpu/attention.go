package cpu

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// Attention in the manner of Dao et al. 2022 (FlashAttention): the keys pass by
// in tiles, and each query keeps the largest score so far, the sum of exp of
// all scores below it, and the values summed with these weights. No matrix of
// scores is ever whole, and keys and values are read once for all queries of a
// tile and all heads that share them.
//
// Few rows (a decoded token) take scores a row of keys at a time straight from
// a cache of f16 or f32. Many rows (a prompt) are two matrix products a tile of
// keys, the first with queries as columns: then the softmax goes down the
// columns and needs no sums across a vector.
//
// Where there are too few heads and queries for all workers, the keys are
// split as well (flash decoding); the last worker to finish a row's parts
// joins them, always in the same order.
//
// Rows that have to be alike (tensor.Alike) are cut in ways that other rows
// have no part in: few rows stand alone, and are split as one is; many are not
// split, and tiles of keys end at the same positions for all.

const (
	tileRows = 64  // rows of a tile of queries: queries times the heads of a group
	tileKeys = 64  // keys of a tile, many rows
	runKeys  = 128 // keys at a time, few rows
	fewRows  = 8   // fewer than these are few
)

// An attend is a compiled attention.
type attend struct {
	op         *tensor.Op
	dst, q     []float32
	pos        []int32
	seqs       sequences
	k, v       cache
	dim, group int // numbers of a head; query heads that share one of keys
	ctx        int // rows of a cache that a sequence has
	queries    int // in a tile
	rows       int // in a tile: queries·group
	wide       int // rows rounded up to whole vectors
	tiles      int
	splits     int
	many       bool
	done       []atomic.Int32 // splits finished, of each tile and kv head
}

// attention: softmax(q·kᵀ·scale)·v over the positions that each query sees.
func (p *program) attention(op *tensor.Op) error {
	n := op.A.Rows()
	a := &attend{op: op, dst: f32s(op.Dst), q: f32s(op.A), pos: i32s(op.Pos), seqs: newSequences(op),
		dim: op.A.Cols() / op.Heads, group: op.Heads / op.KVHeads, queries: 1, splits: 1}
	a.ctx = a.seqs.rows(op.B)
	if n == 0 || a.dim == 0 {
		return nil
	}
	threads := p.dev.Threads()
	switch op.Alike {
	case tensor.AlikeFew, tensor.AlikeSome:
		a.many = a.group >= fewRows
	case tensor.AlikeMany:
		a.many = true
		a.queries = min(max(1, tileRows/a.group), max(1, n*op.KVHeads/(4*threads)))
	default:
		if a.many = n*a.group >= fewRows; a.many {
			a.queries = min(n, max(1, tileRows/a.group))
		}
	}
	var err1, err2 error
	a.k, err1 = newCache(op.B, a.dim)
	a.v, err2 = newCache(op.C, a.dim)
	if err1 != nil || err2 != nil || a.ctx == 0 {
		return refuse(op, "%s and %s with heads of %d numbers", op.B, op.C, a.dim)
	}
	a.rows = a.queries * a.group
	a.wide = (a.rows + 15) &^ 15
	a.tiles = (n + a.queries - 1) / a.queries
	pieces := a.tiles * op.KVHeads
	parallel := pieces // what decides into how many parts keys are split
	switch {
	case op.Alike == tensor.AlikeFew, op.Alike == tensor.AlikeSome:
		parallel = op.KVHeads
	case op.Alike == tensor.AlikeMany, op.Seq != nil && a.queries > 1: // a tile may be several pieces
		parallel = math.MaxInt
	}
	if threads > 1 && parallel < 4*threads {
		a.splits = (4*threads + parallel - 1) / parallel
		a.done = make([]atomic.Int32, pieces)
		p.dev.growBuffer(partialBuffer, 4*pieces*a.splits*a.partial())
	}
	p.attends = append(p.attends, a)
	p.dev.growScratch(4 * (2*a.dim*a.wide + 2*max(tileKeys, runKeys)*a.dim + a.wide*max(tileKeys, runKeys) + 3*a.wide + 64))
	p.emit("attention", pieces*a.splits, 1, a.run,
		writes(op.Dst.Data), writesBuffer(partialBuffer), reads(op.A.Data), reads(op.B.Data), reads(op.C.Data), reads(op.Pos.Data), reads(a.seqs.data()))
	return nil
}

// reset forgets the splits of a run that has failed.
func (a *attend) reset() {
	for i := range a.done {
		a.done[i].Store(0)
	}
}

// partial is the size of a split's result: largest scores, sums, values.
func (a *attend) partial() int { return a.wide*2 + a.rows*a.dim }

// run computes pieces: the last queries first, because they see the most keys.
// A tile of queries of several sequences is a piece for each run of one.
func (a *attend) run(w *worker, lo, hi int) error {
	for _, p := range a.pos {
		if p < 0 {
			return fmt.Errorf("position %d is negative", p)
		}
	}
	for i := lo; i < hi; i++ {
		split, rest := i%a.splits, i/a.splits
		kv, tile := rest%a.op.KVHeads, a.tiles-1-rest/a.op.KVHeads
		first := tile * a.queries
		end := min(first+a.queries, len(a.pos))
		for first < end {
			seq, err := a.seqs.of(first)
			if err != nil {
				return err
			}
			n := 1
			for ; first+n < end; n++ {
				if next, err := a.seqs.of(first + n); err != nil || next != seq {
					break
				}
			}
			latest, err := a.latest(seq)
			if err != nil {
				return err
			}
			a.piece(w, seq, latest, first, n, kv, split)
			first += n
		}
	}
	return nil
}

// latest is the largest position of a sequence's rows.
func (a *attend) latest(seq int) (latest int, err error) {
	for i, p := range a.pos {
		switch s, err := a.seqs.of(i); {
		case err != nil:
			return 0, err
		case s == seq:
			latest = max(latest, int(p))
		}
	}
	return latest, nil
}

// A rowBlock is a piece at work, in the worker's scratch.
type rowBlock struct {
	*attend
	kv, first, n    int       // key head; first query; queries
	base            int       // first row of the sequence in the cache; -1: there is none
	oldest          int       // first position that is still in the cache
	q               []float32 // (dim, wide) or (rows, dim): scaled queries
	acc             []float32 // (rows, dim)
	max, sum, scale []float32 // (wide)
	scores          []float32 // (tileKeys, wide) or (rows, runKeys)
	keys, values    []float32 // (tileKeys or runKeys, dim)
}

func (a *attend) piece(w *worker, seq, latest, first, n, kv, split int) {
	s := view[float32](w.scratch())
	take := func(n int) []float32 {
		part := s[:n:n]
		s = s[(n+15)&^15:]
		return part
	}
	b := rowBlock{attend: a, kv: kv, first: first, n: n, base: seq * a.ctx, oldest: max(0, latest-a.ctx+1)}
	tall := runKeys
	if a.many {
		tall = tileKeys
	}
	b.q, b.acc = take(a.dim*a.wide), take(a.wide*a.dim)
	b.max, b.sum, b.scale = take(a.wide), take(a.wide), take(a.wide)
	b.scores, b.keys, b.values = take(a.wide*tall), take(tall*a.dim), take(tall*a.dim)
	clear(b.acc)
	clear(b.sum)
	for i := range b.max {
		b.max[i] = float32(math.Inf(-1))
	}

	// The positions that some query of the tile sees, and the split's part.
	lo, hi := math.MaxInt, 0
	for i := range b.n {
		from, to := b.sees(i)
		lo, hi = min(lo, from), max(hi, to)
	}
	if seq < 0 {
		lo = hi
	}
	if a.splits > 1 && lo < hi {
		each := ((hi-lo+a.splits-1)/a.splits + 31) &^ 31
		lo = min(lo+split*each, hi)
		hi = min(lo+each, hi)
	}
	if a.many {
		b.columns()
	} else {
		vec.Scale(b.q[:a.rows*a.dim], a.q[(b.first*a.op.Heads+kv*a.group)*a.dim:][:a.rows*a.dim], a.op.Scale)
	}
	for lo < hi {
		slot := lo % a.ctx
		n := min(hi-lo, tall, a.ctx-slot) // up to where the ring turns
		if a.op.Alike == tensor.AlikeMany {
			n = min(n, tall-lo%tall)
		}
		if a.many {
			b.tile(lo, b.base+slot, n)
		} else {
			b.keysOfOne(b.base+slot, n)
		}
		lo += n
	}
	if a.splits == 1 {
		b.finish()
		return
	}
	tile := first / a.queries
	at := (tile*a.op.KVHeads + kv) * a.splits * a.partial()
	b.save(view[float32](w.dev.buffers[partialBuffer])[at+split*a.partial():][:a.partial()])
	if done := &a.done[tile*a.op.KVHeads+kv]; int(done.Add(1)) == a.splits {
		done.Store(0)
		b.join(view[float32](w.dev.buffers[partialBuffer])[at:][:a.splits*a.partial()])
		b.finish()
	}
}

// sees is the range of positions that query i of the tile sees.
func (b *rowBlock) sees(i int) (from, to int) {
	pos := int(b.pos[b.first+i])
	from = b.oldest
	if b.op.Window > 0 {
		from = max(from, pos-b.op.Window+1)
	}
	return from, max(pos+1, from)
}

// columns writes the tile's queries, scaled, as columns.
func (b *rowBlock) columns() {
	clear(b.q)
	for i := range b.n {
		for g := range b.group {
			q := b.attend.q[((b.first+i)*b.op.Heads+b.kv*b.group+g)*b.dim:][:b.dim]
			for d, v := range q {
				b.q[d*b.wide+i*b.group+g] = v * b.op.Scale
			}
		}
	}
}

// tile takes n keys from a slot on, which are those of the positions from pos on.
func (b *rowBlock) tile(pos, slot, n int) {
	k, ldk := b.k.floats(b.keys, slot, n, b.kv)
	s := b.scores[:n*b.wide]
	vec.Gemm(s, b.wide, k, ldk, 1, b.q, b.wide, n, b.wide, b.dim, false)
	if c := b.op.Softcap; c != 0 {
		vec.TanhCap(s, s, c)
	}
	b.mask(s, pos, n)
	vec.Soften(s, n, b.wide, 1, b.max, b.sum, b.scale)
	rows := b.n * b.group
	for r, f := range b.scale[:rows] {
		if f != 1 {
			acc := b.acc[r*b.dim:][:b.dim]
			vec.Scale(acc, acc, f)
		}
	}
	v, ldv := b.v.floats(b.values, slot, n, b.kv)
	vec.Gemm(b.acc, b.dim, s, 1, b.wide, v, ldv, rows, b.dim, n, true)
}

// mask hides from each query the positions that it does not see.
func (b *rowBlock) mask(s []float32, pos, n int) {
	hidden := float32(math.Inf(-1))
	for i := range b.n {
		from, to := b.sees(i)
		if from <= pos && pos+n <= to {
			continue
		}
		for j := range n {
			if pos+j < from || pos+j >= to {
				for g := range b.group {
					s[j*b.wide+i*b.group+g] = hidden
				}
			}
		}
	}
}

// keysOfOne takes n keys from a slot on for the heads of one query, which sees
// all of them.
func (b *rowBlock) keysOfOne(slot, n int) {
	s := b.scores
	if b.k.half {
		k, ld := b.k.halves(slot, b.kv)
		vec.Scores16(s, runKeys, b.q, b.rows, b.dim, k, ld, n)
	} else {
		k, ld := b.k.floats(b.keys, slot, n, b.kv)
		vec.Scores(s, runKeys, b.q, b.rows, b.dim, k, ld, n)
	}
	for r := range b.rows {
		row := s[r*runKeys:][:n]
		if c := b.op.Softcap; c != 0 {
			vec.TanhCap(row, row, c)
		}
		if top := vec.Max(row); top > b.max[r] {
			f := float32(math.Exp(float64(b.max[r] - top)))
			b.max[r], b.sum[r] = top, b.sum[r]*f
			acc := b.acc[r*b.dim:][:b.dim]
			vec.Scale(acc, acc, f)
		}
		b.sum[r] += vec.ExpSum(row, row, b.max[r])
	}
	if b.v.half {
		v, ld := b.v.halves(slot, b.kv)
		vec.Gemm16(b.acc, b.dim, s, runKeys, 1, v, ld, b.rows, b.dim, n, true)
	} else {
		v, ld := b.v.floats(b.values, slot, n, b.kv)
		vec.Gemm(b.acc, b.dim, s, runKeys, 1, v, ld, b.rows, b.dim, n, true)
	}
}

// finish writes the values by the sums.
func (b *rowBlock) finish() {
	for r := range b.n * b.group {
		i, g := r/b.group, r%b.group
		dst := b.dst[((b.first+i)*b.op.Heads+b.kv*b.group+g)*b.dim:][:b.dim]
		f := float32(0) // nothing was seen: zeros
		if b.sum[r] != 0 {
			f = 1 / b.sum[r]
		}
		vec.Scale(dst, b.acc[r*b.dim:][:b.dim], f)
	}
}

func (b *rowBlock) save(part []float32) {
	copy(part, b.max)
	copy(part[b.wide:], b.sum)
	copy(part[2*b.wide:], b.acc[:b.rows*b.dim])
}

// join makes the block the sum of all its splits.
func (b *rowBlock) join(parts []float32) {
	size := b.partial()
	clear(b.acc)
	for r := range b.n * b.group {
		top, sum := float32(math.Inf(-1)), float32(0)
		for at := 0; at < len(parts); at += size {
			top = max(top, parts[at+r])
		}
		acc := b.acc[r*b.dim:][:b.dim]
		for at := 0; at < len(parts); at += size {
			if parts[at+b.wide+r] == 0 {
				continue
			}
			f := float32(math.Exp(float64(parts[at+r] - top)))
			sum += f * parts[at+b.wide+r]
			part := parts[at+2*b.wide+r*b.dim:][:b.dim]
			vec.Scale(part, part, f)
			vec.Add(acc, acc, part)
		}
		b.sum[r] = sum
	}
}
