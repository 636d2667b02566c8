package engine

import "math"

// A slot is one text's part of the caches.
type slot struct {
	index  int
	tokens []int32 // whose keys and values it has
	read   int     // so many were read as prompts, the others generated
	reach  int     // tokens that it has seen: rings forget what lies further back
	used   uint64  // when its last text ended
	text   *text   // nil: it is free
}

func (b *Batcher) busy() (n int) {
	for _, s := range b.slots {
		if s.text != nil {
			n++
		}
	}
	return n
}

// worthCopying is how many tokens another slot has to have more.
const worthCopying = 16

// add says that the slot has n more tokens of its text, read as a prompt or
// generated.
func (s *slot) add(n int, read bool) {
	if read && s.read == len(s.tokens) {
		s.read += n
	}
	s.tokens = append(s.tokens, s.text.tokens[len(s.tokens):][:n]...)
}

// seat gives t a free slot: the one that has the longest beginning of the
// text, if that is most of what it has of use; else the one that was not used for the
// longest time, with a copy of that beginning.
func (b *Batcher) seat(t *text) error {
	best, most := b.longest(t.tokens)
	dst := best
	if best == nil || best.text != nil || 2*most < b.useful(best) {
		dst = b.oldest(best)
	}
	keep := b.shared(dst, t.tokens)
	if dst != best && most >= keep+worthCopying {
		if err := b.fork(best, dst, most); err != nil {
			return err
		}
		keep = most
	}
	dst.cut(keep)
	dst.text, t.slot, t.reading = t, dst, true
	t.g.o.Stats.PromptTokens = t.missing()
	return nil
}

// longest is the slot that has the longest beginning of tokens, nil for none.
func (b *Batcher) longest(tokens []int32) (best *slot, most int) {
	for _, s := range b.slots {
		n := b.shared(s, tokens)
		if n > most || n > 0 && n == most && best.text != nil && s.text == nil {
			best, most = s, n
		}
	}
	return best, most
}

// oldest is the free slot that was not used for the longest time; other is
// taken only where there is none besides.
func (b *Batcher) oldest(other *slot) (old *slot) {
	for _, s := range b.slots {
		if s.text == nil && (old == nil || old == other || s != other && s.used < old.used) {
			old = s
		}
	}
	return old
}

// useful is how many tokens of s another text can go on from.
func (b *Batcher) useful(s *slot) int {
	if b.reuse {
		return len(s.tokens)
	}
	return s.read
}

// shared is how many of the first tokens s has, all but the last at most: that
// one is computed again for what follows it.
func (b *Batcher) shared(s *slot, tokens []int32) (n int) {
	for n < min(b.useful(s), len(tokens)-1) && s.tokens[n] == tokens[n] {
		n++
	}
	if s.reach-n > b.slack { // a ring has overwritten what the next token needs
		return 0
	}
	return n
}

// cut forgets all but the first n tokens.
func (s *slot) cut(n int) {
	s.tokens, s.read = s.tokens[:n], min(s.read, n)
	if n == 0 {
		s.reach = 0
	}
}

// fork copies the first n tokens of a slot to another one.
func (b *Batcher) fork(from, to *slot, n int) error {
	for _, st := range b.stages {
		for i := st.lo; i < st.hi; i++ {
			c := st.b.cache[i]
			rows := n
			if c.k.Rows() < len(b.slots)*b.context { // a ring: what it has of later positions is of no use
				rows = math.MaxInt32
			}
			st.many.Fork(c.k, len(b.slots), from.index, to.index, rows)
			st.many.Fork(c.v, len(b.slots), from.index, to.index, rows)
		}
		if err := st.many.Err(); err != nil {
			return err
		}
	}
	to.tokens = append(to.tokens[:0], from.tokens[:n]...)
	to.reach, to.read = from.reach, min(from.read, n)
	return nil
}
