package tokenizer

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Encode returns the ids of text, with BOS and EOS where the model wants them; a BOS that the text itself begins with
// (Options.Special) is not doubled. In BPE each byte that is not UTF-8 becomes U+FFFD, as in llama.cpp; SPM has tokens for it.
// The time is O(n log n) in the longest word, whatever the text.
func (t *Tokenizer) Encode(text string, o Options) []int32 {
	e := t.encoders.Get().(*encoder)
	e.out = make([]int32, 0, len(text)/3+4)
	tr := t.user
	if o.Special {
		tr = t.special
	}
	var parts []part
	if text != "" {
		parts = t.cut(text, tr)
	}
	if t.addBOS && !o.NoBOS && (len(parts) == 0 || parts[0].id != t.v.BOS) {
		e.out = append(e.out, t.v.BOS)
	}
	afterToken := true
	for _, p := range parts {
		s := text[p.from:p.to]
		if o.Mark != "" {
			s = strings.ReplaceAll(s, o.Mark, "")
		}
		switch {
		case p.id >= 0:
			e.out = append(e.out, p.id)
		case s != "":
			e.text(s, p.from == 0, afterToken)
		}
		afterToken = p.id >= 0
	}
	if t.addEOS && !o.NoEOS {
		e.out = append(e.out, t.v.EOS)
	}
	out := e.out
	e.release()
	t.encoders.Put(e)
	return out
}

// An encoder is the working memory of one Encode.
type encoder struct {
	t     *Tokenizer
	split func(string) // runs a text through the pre-tokenizer's stages into word
	out   []int32
	syms  []sym
	heap  []uint64
	cache [1 << 12]cached

	clean, letters, marked []byte // WordPiece: the cleaned text, a word, and that with its mark
}

// A cached word: most words of a text are a few, and short. The key is the word itself, padded with zeros.
type cached struct {
	a, b uint64
	len  uint8
	n    uint8
	ids  [5]int32
}

func newEncoder(t *Tokenizer) *encoder {
	e := &encoder{t: t}
	e.split = chain(t.pre.stages, e.word)
	return e
}

// release lets go of what a long text left behind.
func (e *encoder) release() {
	const keep = 1 << 16
	e.out = nil
	if cap(e.syms) > keep {
		e.syms = nil
	}
	if cap(e.clean) > keep {
		e.clean, e.letters, e.marked = nil, nil, nil
	}
	if cap(e.heap) > keep {
		e.heap = nil
	}
}

// text encodes a text between two tokens. first: it begins the whole text. start: that, or it follows a token.
func (e *encoder) text(s string, first, start bool) {
	if e.t.wpm {
		e.wordPieces(s)
		return
	}
	if e.t.spm {
		if e.t.addSpace && e.t.spaceBefore(s, first, start) {
			s = " " + s
		}
		e.spmWords(strings.ReplaceAll(s, " ", "▁"))
		return
	}
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // one U+FFFD a byte
	}
	if e.t.v.NFC {
		s = norm.NFC.String(s)
	}
	if e.t.pre.escape {
		s = strings.ReplaceAll(s, " ", "▁")
	}
	e.split(s)
}

// spaceBefore says whether SPM adds a space to a text, as Metaspace of the tokenizers library does, or as llama.cpp does.
func (t *Tokenizer) spaceBefore(s string, first, start bool) bool {
	switch t.v.SpacePrefix {
	case "first":
		start = first
	case "":
		return start
	}
	return start && s[0] != ' ' && !strings.HasPrefix(s, "▁")
}

// spmWords cuts before each ▁ that no merge can reach across.
func (e *encoder) spmWords(s string) {
	from, last := 0, 0
	for i := 0; i < len(s); {
		if s[i] == "▁"[0] && i > from && strings.HasPrefix(s[i:], "▁") && !e.t.before[s[last:i]] {
			e.word(s[from:i])
			from = i
		}
		last = i
		i = min(i+width(s[i]), len(s))
	}
	if from < len(s) {
		e.word(s[from:])
	}
}

// word appends the ids of one word.
func (e *encoder) word(s string) {
	if len(s) > 16 {
		e.tokens(s)
		return
	}
	var key [16]byte
	copy(key[:], s)
	a, b := binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])
	const odd = 0x9E3779B97F4A7C15
	c := &e.cache[((a^b*odd)*odd)>>(64-12)]
	if c.a == a && c.b == b && int(c.len) == len(s) {
		e.out = append(e.out, c.ids[:c.n]...)
		return
	}
	start := len(e.out)
	e.tokens(s)
	if ids := e.out[start:]; len(ids) <= len(c.ids) {
		*c = cached{a: a, b: b, len: uint8(len(s)), n: uint8(len(ids))}
		copy(c.ids[:], ids)
	}
}

// tokens appends the ids of one word that is not in the cache.
func (e *encoder) tokens(s string) {
	if e.t.wpm {
		e.pieces(s)
		return
	}
	e.merge(s)
}
