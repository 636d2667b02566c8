package tokenizer

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// WordPiece is the tokenizer of BERT (Devlin et al. 2019). A text is cleaned, stripped of accents, put in lower case and
// cut into words and single punctuation and Chinese characters; each word becomes the longest token that it begins with,
// then the longest one that goes on from there. Converted vocabularies mark the start of a word with ▁ where BERT marks
// the middle with ##; so in the middle of a word no token that begins with ▁ is meant.
//
// The rules are those of the models' own tokenizer, BertTokenizerFast of transformers, with today's Unicode instead of
// version 8. llama.cpp differs in 3 % of the lines of the tests' mixed text: it cuts words of more than 100 characters, drops
// all combining marks (not only those without a width), keeps the first of the characters that one decomposes into (of
// Hangul the first letter of each syllable), and takes \v, \f and U+0085 for white space.

const longestWord = 100 // characters; more are unknown

// A normaliser is what a vocabulary asks to be done with a text before it is cut into words.
type normaliser struct{ lower, strip bool }

// setWordPiece fills in what BERT vocabularies have without saying so.
func (t *Tokenizer) setWordPiece() {
	v := &t.v
	t.normal = normaliser{lower: true}
	if v.Lowercase != nil {
		t.normal.lower = *v.Lowercase
	}
	t.normal.strip = t.normal.lower
	if v.StripAccents != nil {
		t.normal.strip = *v.StripAccents
	}
	t.addSpace = true // Decode takes the first one away
	t.addBOS = true
	t.addEOS = v.AddSEP == nil || *v.AddSEP
}

// markSpecials makes control tokens of what no text may make, also where the file has no types.
func (t *Tokenizer) markSpecials() {
	for _, id := range []int32{t.v.BOS, t.v.SEP, t.v.PAD} {
		if t.has(id) {
			t.attr[id] |= control
		}
	}
	if id, ok := t.find([]string{"[MASK]"})["[MASK]"]; ok {
		t.attr[id] |= control
	}
	if t.has(t.v.UNK) {
		t.attr[t.v.UNK] |= unknown
	}
}

// wordPieces appends the ids of a text.
func (e *encoder) wordPieces(s string) {
	b := clean(e.clean[:0], s)
	n := e.t.normal
	if n.strip && !norm.NFD.IsNormal(b) {
		b = norm.NFD.Bytes(b)
	}
	e.clean = b
	word := e.letters[:0]
	flush := func() {
		if len(word) > 0 {
			e.word(string(word))
			word = word[:0]
		}
	}
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		i += size
		c := classes[r]
		switch {
		case n.strip && c&mark != 0 && unicode.Is(unicode.Mn, r):
			continue
		case n.lower && r == 'İ': // the only one whose lower case is two
			word = append(word, "i\u0307"...)
			continue
		case n.lower:
			r = unicode.ToLower(r)
		}
		switch {
		case c&space != 0:
			flush()
		case c&punct != 0 || c&symbol != 0 && r < utf8.RuneSelf:
			flush()
			word = utf8.AppendRune(word, r)
			flush()
		default:
			word = utf8.AppendRune(word, r)
		}
	}
	flush()
	e.letters = word
}

// clean drops control characters, makes all white space blanks, and puts blanks around Chinese characters.
func clean(dst []byte, s string) []byte {
	for _, r := range s {
		c := classes[r]
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			dst = append(dst, ' ')
		case r == utf8.RuneError || unicode.Is(unicode.Cc, r) || c == 0 && unicode.Is(unicode.C, r):
		case c&space != 0:
			dst = append(dst, ' ')
		case c&letter != 0 && chinese.has(r):
			dst = append(utf8.AppendRune(append(dst, ' '), r), ' ')
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// chinese are characters that are words of their own. The fifth range begins with U+2B820 in BERT, but not in transformers.
var chinese = ranges{0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFAFF, 0x20000, 0x2A6DF, 0x2A700, 0x2B81F, 0x2B920, 0x2CEAF, 0x2F800, 0x2FA1F}

// pieces appends the ids of one word, or UNK for all of it where a part is in no token.
func (e *encoder) pieces(s string) {
	start := len(e.out)
	if utf8.RuneCountInString(s) > longestWord {
		e.out = append(e.out, e.t.v.UNK)
		return
	}
	w := append(append(e.marked[:0], "▁"...), s...)
	e.marked = w
	for i := 0; i < len(w); {
		j := min(len(w), i+e.t.longest)
		if i > 0 && bytes.HasPrefix(w[i:], w[:len("▁")]) {
			j = i
		}
		for ; j > i; j-- {
			if j < len(w) && !utf8.RuneStart(w[j]) {
				continue
			}
			if id, ok := e.t.ids[string(w[i:j])]; ok {
				e.out = append(e.out, id)
				break
			}
		}
		if j == i {
			e.out = append(e.out[:start], e.t.v.UNK)
			return
		}
		i = j
	}
}
