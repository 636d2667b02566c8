package tokenizer

import (
	"cmp"
	"slices"
)

// A trie finds tokens in a text.
type trie struct {
	next  map[uint64]int32 // node<<8 | byte → node
	ids   []int32          // of each node, -1: no token ends here
	first [256]bool        // bytes that begin a token: most positions of a text are done with this
}

func (t *trie) add(text string, id int32) {
	node := int32(0)
	for i := range len(text) {
		key := uint64(node)<<8 | uint64(text[i])
		child, ok := t.next[key]
		if !ok {
			child = int32(len(t.ids))
			t.ids = append(t.ids, -1)
			t.next[key] = child
		}
		node = child
	}
	if t.ids[node] < 0 {
		t.ids[node] = id
	}
	t.first[text[0]] = true
}

func (t *Tokenizer) buildTries() {
	empty := func() *trie { return &trie{next: map[uint64]int32{}, ids: []int32{-1}} }
	t.user, t.special = empty(), empty()
	for i, a := range t.attr {
		text := t.v.Tokens[i]
		if a&(control|unknown|userDefined) == 0 || text == "" {
			continue
		}
		t.special.add(text, int32(i))
		if a&(control|unknown) == 0 {
			t.user.add(text, int32(i))
		}
	}
}

// A part of a text is a token that stands in it, or the text between two of them (id -1).
type part struct {
	from, to int
	id       int32
}

// cut splits a text at the tokens of a trie. Longer tokens come first, wherever they are; among equal ones the lower id,
// then the earlier place.
func (t *Tokenizer) cut(text string, tr *trie) []part {
	hits := tr.hits(text)
	if len(hits) == 0 {
		return []part{{0, len(text), -1}}
	}
	slices.SortFunc(hits, func(a, b part) int {
		return cmp.Or(cmp.Compare(b.to-b.from, a.to-a.from), cmp.Compare(a.id, b.id), cmp.Compare(a.from, b.from))
	})
	taken := make([]bool, len(text))
	kept := hits[:0]
	for _, h := range hits {
		// What was taken before is at least as long, so an overlap covers an end of h.
		if taken[h.from] || taken[h.to-1] {
			continue
		}
		for h.from > 0 && t.attr[h.id]&lstrip != 0 && !taken[h.from-1] && isSpace(text[h.from-1]) {
			h.from--
		}
		for h.to < len(text) && t.attr[h.id]&rstrip != 0 && !taken[h.to] && isSpace(text[h.to]) {
			h.to++
		}
		for i := h.from; i < h.to; i++ {
			taken[i] = true
		}
		kept = append(kept, h)
	}
	slices.SortFunc(kept, func(a, b part) int { return cmp.Compare(a.from, b.from) })
	parts := make([]part, 0, 2*len(kept)+1)
	at := 0
	for _, h := range kept {
		if h.from > at {
			parts = append(parts, part{at, h.from, -1})
		}
		parts = append(parts, h)
		at = h.to
	}
	if at < len(text) {
		parts = append(parts, part{at, len(text), -1})
	}
	return parts
}

// hits returns every place of every token.
func (t *trie) hits(text string) (hits []part) {
	for i := range len(text) {
		if !t.first[text[i]] {
			continue
		}
		node := int32(0)
		for j := i; j < len(text); j++ {
			child, ok := t.next[uint64(node)<<8|uint64(text[j])]
			if !ok {
				break
			}
			node = child
			if id := t.ids[node]; id >= 0 {
				hits = append(hits, part{i, j + 1, id})
			}
		}
	}
	return hits
}

// isSpace is C's isspace.
func isSpace(b byte) bool { return b == ' ' || '\t' <= b && b <= '\r' }
