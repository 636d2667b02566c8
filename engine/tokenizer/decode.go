package tokenizer

import "unicode/utf8"

// DecodeOptions say how DecodeWith renders ids. The zero value is Decode.
type DecodeOptions struct {
	Special bool // write control tokens as their text instead of nothing
	// Clean drops spaces before punctuation where the vocabulary asks for it, as llama.cpp's llama_detokenize does.
	// The text is no longer what was encoded then, nor the sum of its pieces.
	Clean bool
}

// Decode returns the text of ids: Decode(Encode(x)) is x, if x is UTF-8. Control tokens give nothing.
func (t *Tokenizer) Decode(ids []int32) string { return t.DecodeWith(ids, DecodeOptions{}) }

// DecodeWith is Decode with options.
func (t *Tokenizer) DecodeWith(ids []int32, o DecodeOptions) string {
	if !o.Special && t.addBOS && len(ids) > 0 && ids[0] == t.v.BOS {
		ids = ids[1:]
	}
	var text []byte
	for i, id := range ids {
		piece := t.Piece(id)
		if o.Special {
			piece = t.piece(id)
		}
		if i == 0 && t.addSpace && len(piece) > 0 && piece[0] == ' ' {
			piece = piece[1:] // Encode put it there
		}
		text = append(text, piece...)
	}
	if o.Clean && t.clean {
		text = cleanSpaces(text)
	}
	return string(text)
}

// Partial is how many last bytes of b begin a rune and do not end it, as they do where a token ends within one.
func Partial(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// cleanSpaces removes the space before ? ! . and , then those around a lone apostrophe, then the one before 's 'm 're 've:
// three passes, as transformers' clean_up_tokenization and llama.cpp do it.
func cleanSpaces(text []byte) []byte {
	at := func(i int) byte {
		if i < len(text) {
			return text[i]
		}
		return 0
	}
	pass := func(drop func(i int) (before, after bool)) {
		out := text[:0:0]
		for i := 0; i < len(text); i++ {
			before, after := false, false
			if i > 0 && text[i-1] == ' ' && len(out) > 0 && out[len(out)-1] == ' ' {
				before, after = drop(i)
			}
			if before {
				out = out[:len(out)-1]
			}
			out = append(out, text[i])
			if after {
				i++
			}
		}
		text = out
	}
	pass(func(i int) (bool, bool) {
		c := text[i]
		return c == '?' || c == '!' || c == '.' || c == ',', false
	})
	pass(func(i int) (bool, bool) {
		lone := text[i] == '\'' && at(i+1) == ' '
		return lone, lone
	})
	pass(func(i int) (bool, bool) {
		if text[i] != '\'' {
			return false, false
		}
		a, b := at(i+1), at(i+2)
		return a == 's' || a == 'm' || a == 'r' && b == 'e' || a == 'v' && b == 'e', false
	})
	return text
}
