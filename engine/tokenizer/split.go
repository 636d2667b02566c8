package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Pre-tokenizers cut a text into words that merges never cross. The models state them as regular expressions with
// lookahead, which Go's regexp has not (and which would cost 20 times the time), so each is written by hand from the
// scanning functions below. Where llama.cpp reads an expression differently from its author, we do as llama.cpp does:
// GGUF files are made, tested and used with that.
//
// Texts are valid UTF-8. A piece handed on is never empty, and the pieces of a text are the text.

// A splitter hands the pieces of s to emit in order. Several in a row each cut the pieces of the one before.
type splitter func(s string, emit func(piece string))

// A match returns the length of what an expression matches at the start of s, which is not empty; 0 is no match.
type match func(s string) int

// chain returns the function that runs a text through all stages.
func chain(stages []splitter, emit func(string)) func(string) {
	for i := len(stages) - 1; i >= 0; i-- {
		stage, next := stages[i], emit
		emit = func(s string) { stage(s, next) }
	}
	return emit
}

// every splits by an expression that matches at every place.
func every(m match) splitter {
	return func(s string, emit func(string)) {
		for len(s) > 0 {
			n := m(s)
			emit(s[:n])
			s = s[n:]
		}
	}
}

// find splits by an expression that matches here and there: each match is a piece, and so is what lies between two.
func find(m match) splitter {
	return func(s string, emit func(string)) {
		from := 0
		for i := 0; i < len(s); {
			n := m(s[i:])
			if n == 0 {
				i += width(s[i])
				continue
			}
			if i > from {
				emit(s[from:i])
			}
			emit(s[i : i+n])
			i += n
			from = i
		}
		if from < len(s) {
			emit(s[from:])
		}
	}
}

// width returns the length of the rune that begins with b.
func width(b byte) int {
	switch {
	case b < 0xC0:
		return 1
	case b < 0xE0:
		return 2
	case b < 0xF0:
		return 3
	}
	return 4
}

// numbers matches \p{N}{1,most}.
func numbers(most int) match {
	return func(s string) int { return runAtMost(s, 0, number, most) }
}

// spaced matches \s?[class]+.
func spaced(c class) match {
	return func(s string) int {
		_, n := classAt(s, 0)
		switch {
		case is(s, 0, c):
			return run(s, 0, c)
		case is(s, 0, space) && is(s, n, c):
			return run(s, n, c)
		}
		return 0
	}
}

// spacedOf matches \s?[ranges]+.
func spacedOf(rs ranges) match {
	return func(s string) int {
		c, n := classAt(s, 0)
		if c&space == 0 {
			return rs.run(s)
		}
		if end := rs.run(s[n:]); end > 0 {
			return n + end
		}
		return 0
	}
}

// symbols matches [\p{P}...]+, the dots being ASCII characters.
func symbols(also string) match {
	return func(s string) int {
		i := 0
		for i < len(s) && (is(s, i, punct) || strings.IndexByte(also, s[i]) >= 0) {
			i += width(s[i])
		}
		return i
	}
}

// newline matches [\r\n].
func newline(s string) int {
	if s[0] == '\r' || s[0] == '\n' {
		return 1
	}
	return 0
}

// lines is [^\n]+|\n+.
func lines(s string) int {
	if s[0] != '\n' {
		if n := strings.IndexByte(s, '\n'); n >= 0 {
			return n
		}
		return len(s)
	}
	n := 1
	for n < len(s) && s[n] == '\n' {
		n++
	}
	return n
}

// trailing splits by \s+$.
func trailing(s string, emit func(string)) {
	end := len(s)
	for end > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:end])
		if classes[r]&space == 0 {
			break
		}
		end -= n
	}
	if end > 0 {
		emit(s[:end])
	}
	if end < len(s) {
		emit(s[end:])
	}
}

// contraction matches 's|'t|'re|'ve|'m|'ll|'d at s[i:] and returns its end, or i. fold: in either case.
func contraction(s string, i int, fold bool) int {
	if i+1 >= len(s) || s[i] != '\'' {
		return i
	}
	a, b := s[i+1], byte(0)
	if i+2 < len(s) {
		b = s[i+2]
	}
	if fold {
		a, b = asciiLower(a), asciiLower(b)
	}
	switch {
	case a == 's', a == 't', a == 'm', a == 'd':
		return i + 2
	case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
		return i + 3
	}
	return i
}

func asciiLower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// spaces matches \s+(?!\S)|\s+: white space, without its last character when a word follows (which takes it along).
func spaces(s string) int {
	end, last := 0, 0
	for end < len(s) {
		c, n := classAt(s, end)
		if c&space == 0 {
			if last > 0 {
				return last
			}
			return end
		}
		last, end = end, end+n
	}
	return end
}

// newlines matches \s*[\r\n]+|\s+(?!\S)|\s+: up to the last line end of the white space, if there is one.
func newlines(s string) int {
	if n := lineEnds(s); n > 0 {
		return n
	}
	return spaces(s)
}

// lineEnds matches \s*[\r\n]+.
func lineEnds(s string) int {
	last := 0
	for i := 0; i < len(s); {
		c, n := classAt(s, i)
		if c&space == 0 {
			break
		}
		i += n
		if s[i-1] == '\r' || s[i-1] == '\n' {
			last = i
		}
	}
	return last
}

// runBytes returns the end of the bytes from s[i:] on that are in set.
func runBytes(s string, i int, set string) int {
	for i < len(s) && strings.IndexByte(set, s[i]) >= 0 {
		i++
	}
	return i
}
