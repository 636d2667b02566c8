package tokenizer

import "math"

// A sym is a piece of the word that is being merged.
type sym struct {
	start, end int32 // in the word; end 0: merged into the one before
	prev, next int32 // neighbours, -1: none (long words)
	id         int32 // -1: unknown
	merge            // with the next one
}

// merge appends the ids of a word, joining the pair of lowest rank, the leftmost of equal ones, until none is left.
// Words have to be shorter than 2 GB.
func (e *encoder) merge(s string) {
	t := e.t
	if t.pre.ignoreMerges || t.pre.wholeLines && s[0] == '\n' {
		if id, ok := t.ids[s]; ok && t.has(id) {
			e.out = append(e.out, id)
			return
		}
	}
	e.begin(s)
	if len(e.syms) <= 24 {
		e.mergeShort(s)
	} else {
		e.mergeLong(s)
	}
	for i := range e.syms {
		if y := &e.syms[i]; y.end > 0 {
			e.emit(s[y.start:y.end], y.id)
		}
	}
}

// begin cuts a word into bytes (byte-level BPE) or characters.
func (e *encoder) begin(s string) {
	e.syms = e.syms[:0]
	if e.t.bytewise() {
		for i := range len(s) {
			e.syms = append(e.syms, sym{start: int32(i), end: int32(i + 1), id: e.t.first[s[i]]})
		}
		return
	}
	for i := 0; i < len(s); {
		n := min(width(s[i]), len(s)-i)
		id, ok := e.t.ids[s[i:i+n]]
		if !ok {
			id = -1
		}
		e.syms = append(e.syms, sym{start: int32(i), end: int32(i + n), id: id})
		i += n
	}
}

// try sets what y and its right neighbour z become.
func (e *encoder) try(s string, y, z *sym) {
	y.merge = merge{never, -1}
	if !e.t.spm {
		if y.id >= 0 && z.id >= 0 {
			if m, ok := e.t.pairs[pair(y.id)<<32|pair(z.id)]; ok {
				y.merge = m
			}
		}
		return
	}
	if id, ok := e.t.ids[s[y.start:z.end]]; ok {
		y.merge = merge{0, id}
		if len(e.t.v.Scores) > 0 {
			y.rank = scoreRank(e.t.v.Scores[id])
		}
	}
}

// scoreRank orders scores as numbers, the highest first. It never is never: that would be a NaN.
func scoreRank(score float32) uint32 {
	bits := math.Float32bits(score + 0) // -0 is 0
	if bits>>31 == 0 {
		return ^(bits | 1<<31)
	}
	return bits
}

// mergeShort looks at all pairs again and again, which is the fastest way for a word.
func (e *encoder) mergeShort(s string) {
	y := e.syms
	for i := range len(y) - 1 {
		e.try(s, &y[i], &y[i+1])
	}
	for len(y) > 1 {
		best := 0
		for i := 1; i < len(y)-1; i++ {
			if y[i].rank < y[best].rank {
				best = i
			}
		}
		if y[best].rank == never {
			break
		}
		y[best].id = y[best].merge.id
		y[best].end = y[best+1].end
		y = append(y[:best+1], y[best+2:]...)
		if best > 0 {
			e.try(s, &y[best-1], &y[best])
		}
		if best+1 < len(y) {
			e.try(s, &y[best], &y[best+1])
		}
	}
	e.syms = y
}

// mergeLong keeps the pairs in a heap of rank<<32 | left. An entry holds as long as its left one still has that rank.
func (e *encoder) mergeLong(s string) {
	y := e.syms
	e.heap = e.heap[:0]
	consider := func(i int32) {
		if i < 0 || y[i].next < 0 {
			return
		}
		if e.try(s, &y[i], &y[y[i].next]); y[i].rank != never {
			e.heap = push(e.heap, uint64(y[i].rank)<<32|uint64(i))
		}
	}
	for i := range y {
		y[i].prev, y[i].next = int32(i-1), int32(i+1)
		y[i].merge = merge{never, -1}
	}
	y[len(y)-1].next = -1
	for i := range y {
		consider(int32(i))
	}
	for len(e.heap) > 0 {
		var top uint64
		e.heap, top = pop(e.heap)
		i := int32(uint32(top))
		left := &y[i]
		if left.end == 0 || left.rank != uint32(top>>32) {
			continue
		}
		right := &y[left.next]
		left.id, left.end, left.next = left.merge.id, right.end, right.next
		left.merge = merge{never, -1}
		right.end, right.rank = 0, never
		if left.next >= 0 {
			y[left.next].prev = i
		}
		consider(left.prev)
		consider(i)
	}
}

// emit appends the id of what merging left, or the tokens of its bytes. A byte without a token is UNK to SPM. BPE leaves it
// out, as llama.cpp does: SmolLM2 has no token for six control characters, and its UNK is the end of text.
func (e *encoder) emit(s string, id int32) {
	if e.t.has(id) {
		e.out = append(e.out, id)
		return
	}
	start := len(e.out)
	for i := range len(s) {
		switch id := e.t.bytes[s[i]]; {
		case id >= 0:
			e.out = append(e.out, id)
		case e.t.spm && e.t.v.UNK >= 0:
			e.out = append(e.out[:start], e.t.v.UNK) // one for all of it
			return
		}
	}
}

// push and pop keep a binary heap, the least first.
func push(h []uint64, x uint64) []uint64 {
	h = append(h, x)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up] <= x {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = x
	return h
}

func pop(h []uint64) ([]uint64, uint64) {
	top := h[0]
	x := h[len(h)-1]
	h = h[:len(h)-1]
	if len(h) == 0 {
		return h, top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1] < h[down] {
			down++
		}
		if x <= h[down] {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = x
	return h, top
}
