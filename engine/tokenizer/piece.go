package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Byte-level BPE writes bytes in disguise: printable ones as the rune of that number, the others as runes from U+0100 on
// (GPT-2's bytes_to_unicode, https://github.com/openai/gpt-2/blob/master/src/encoder.py).
var disguised = func() (bytes [0x100 + 68]int16) {
	hidden := 0x100
	for i := range bytes {
		bytes[i] = -1
	}
	for b := range 0x100 {
		if '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xAC || 0xAE <= b {
			bytes[b] = int16(b)
		} else {
			bytes[hidden] = int16(b)
			hidden++
		}
	}
	return bytes
}()

// fromDisguise appends the bytes that text stands for. It returns false when text has a rune that stands for none.
func fromDisguise(dst []byte, text string) ([]byte, bool) {
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		if int(r) >= len(disguised) || disguised[r] < 0 {
			return dst, false
		}
		dst = append(dst, byte(disguised[r]))
		i += n
	}
	return dst, true
}

// buildPieces writes down what each token is as text. Tokens that merges can't make keep their text as it is.
func (t *Tokenizer) buildPieces() {
	t.ends = make([]uint32, t.Len())
	total := 0
	for _, text := range t.v.Tokens {
		total += len(text)
	}
	p := make([]byte, 0, total)
	odd := 0
	for i, text := range t.v.Tokens {
		switch a := t.attr[i]; {
		case a&(control|unknown|userDefined) != 0:
			p = append(p, text...)
		case a&byteToken != 0:
			b, ok := byteOf(text)
			if ok {
				p = append(p, b)
			} else {
				odd++
			}
		case t.pre.escape:
			p = append(p, strings.ReplaceAll(text, "▁", " ")...)
		case t.pre.plain:
			p = append(p, text...)
		default:
			start := len(p)
			var ok bool
			if p, ok = fromDisguise(p, text); !ok {
				p = append(p[:start], text...)
			}
		}
		t.ends[i] = uint32(len(p))
	}
	t.pieces = p
	if odd > 0 {
		t.warn("%d byte tokens are not written as <0xXX>; they decode to nothing", odd)
	}
}

// byteOf reads <0xXX>.
func byteOf(text string) (byte, bool) {
	if len(text) != 6 || !strings.HasPrefix(text, "<0x") || text[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(text[3:5], 16, 8)
	return byte(b), err == nil
}

// piece returns the bytes of a token of any kind.
func (t *Tokenizer) piece(id int32) []byte {
	if !t.has(id) {
		return nil
	}
	from := uint32(0)
	if id > 0 {
		from = t.ends[id-1]
	}
	return t.pieces[from:t.ends[id]:t.ends[id]]
}

// Piece returns the bytes of one token, maybe a part of a rune; the caller must not change them. Control tokens
// and ids outside the vocabulary give none. The pieces of ids in order are the text, but for the space that SPM puts
// before the first word, which Decode removes.
func (t *Tokenizer) Piece(id int32) []byte {
	if !t.has(id) || t.attr[id]&(control|unknown) != 0 {
		return nil
	}
	return t.piece(id)
}
