package grammar

import "unicode/utf8"

// A byteRange is the bytes from lo to hi.
type byteRange struct{ lo, hi byte }

// encodings calls each with sequences of byte ranges that are together the
// UTF-8 of the characters lo to hi, without surrogates, which have none. The
// sequence is valid during the call. It is the usual splitting at the borders
// of length and of continuation bytes (Thompson; as in RE2's compile.cc).
func encodings(lo, hi rune, each func([]byteRange)) {
	if lo < 0xD800 && hi > 0xDFFF {
		encodings(lo, 0xD7FF, each)
		encodings(0xE000, hi, each)
		return
	}
	if lo >= 0xD800 && lo <= 0xDFFF {
		lo = 0xE000
	}
	if hi >= 0xD800 && hi <= 0xDFFF {
		hi = 0xD7FF
	}
	if lo > hi {
		return
	}
	for _, last := range []rune{0x7F, 0x7FF, 0xFFFF} {
		if lo <= last && hi > last {
			encodings(lo, last, each)
			encodings(last+1, hi, each)
			return
		}
	}
	for bits := 6; bits < 6*utf8.RuneLen(lo); bits += 6 {
		mask := rune(1)<<bits - 1
		if lo&^mask == hi&^mask {
			break
		}
		if lo&mask != 0 {
			encodings(lo, lo|mask, each)
			encodings(lo|mask+1, hi, each)
			return
		}
		if hi&mask != mask {
			encodings(lo, hi&^mask-1, each)
			encodings(hi&^mask, hi, each)
			return
		}
	}
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	var seq [utf8.UTFMax]byteRange
	for i := range n {
		seq[i] = byteRange{a[i], b[i]}
	}
	each(seq[:n])
}
