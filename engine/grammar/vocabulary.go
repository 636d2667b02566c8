package grammar

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// Pieces is a vocabulary: the bytes of each token and whether it ends a
// generation. A *tokenizer.Tokenizer is one.
type Pieces interface {
	Len() int
	Piece(id int32) []byte // none for tokens that are no text
	IsEOG(id int32) bool
}

// A Vocabulary is the tokens of a model as a tree over their bytes. It does
// not change.
type Vocabulary struct {
	pieces Pieces
	eog    []int32

	// The nodes of the tree in depth-first order, children by their byte. The
	// root is left out: it has the depth 0, and its children 1.
	bytes []byte
	depth []int32
	after []int32 // the first node that is not below this one
	first []int32 // where the tokens that end at this node begin in ids; one more at the end
	ids   []int32 // tokens with text, by their bytes
	deep  int

	byDepth []int32 // all nodes, by their depth and then in order
	starts  []int32 // where each depth begins in byDepth; one more at the end
}

// NewVocabulary sorts the tokens; it takes a tenth of a second for the largest
// vocabularies.
func NewVocabulary(p Pieces) *Vocabulary {
	type entry struct {
		prefix uint64
		id     int32
	}
	v := &Vocabulary{pieces: p}
	var all []entry
	for id := range int32(p.Len()) {
		if p.IsEOG(id) {
			v.eog = append(v.eog, id)
			continue
		}
		if b := p.Piece(id); len(b) > 0 {
			var first [8]byte
			copy(first[:], b)
			all = append(all, entry{binary.BigEndian.Uint64(first[:]), id})
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		return cmp.Or(bytes.Compare(p.Piece(a.id), p.Piece(b.id)), cmp.Compare(a.id, b.id))
	})
	var last []byte
	var open []int32 // the nodes of last
	for _, e := range all {
		b := p.Piece(e.id)
		n := 0
		for n < len(b) && n < len(last) && b[n] == last[n] {
			n++
		}
		for _, node := range open[n:] {
			v.after[node] = int32(len(v.bytes))
		}
		open = open[:n]
		for ; n < len(b); n++ {
			open = append(open, int32(len(v.bytes)))
			v.bytes = append(v.bytes, b[n])
			v.depth = append(v.depth, int32(n+1))
			v.after = append(v.after, 0)
			v.first = append(v.first, int32(len(v.ids)))
		}
		v.ids = append(v.ids, e.id)
		v.deep, last = max(v.deep, len(b)), b
	}
	for _, node := range open {
		v.after[node] = int32(len(v.bytes))
	}
	v.first = append(v.first, int32(len(v.ids)))
	v.sortByDepth()
	return v
}

func (v *Vocabulary) sortByDepth() {
	v.starts = make([]int32, v.deep+2)
	for _, d := range v.depth {
		v.starts[d]++
	}
	sum := int32(0)
	for d, n := range v.starts {
		v.starts[d] = sum
		sum += n
	}
	at := slices.Clone(v.starts)
	v.byDepth = make([]int32, len(v.depth))
	for n, d := range v.depth {
		v.byDepth[at[d]] = int32(n)
		at[d]++
	}
}

// nodesAt are the nodes at a depth.
func (v *Vocabulary) nodesAt(depth int) []int32 {
	if depth > v.deep {
		return nil
	}
	return v.byDepth[v.starts[depth]:v.starts[depth+1]]
}

// prefix is the bytes that lead to a node: those of the first token below it.
func (v *Vocabulary) prefix(n int32) []byte {
	return v.pieces.Piece(v.ids[v.first[n]])[:v.depth[n]]
}
