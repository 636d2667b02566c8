package tokenizer

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A class is what pre-tokenizers ask of a rune. No bit set: control characters, formats, unassigned.
type class uint8

const (
	letter class = 1 << iota // \p{L}
	number                   // \p{N}
	mark                     // \p{M}
	punct                    // \p{P}
	symbol                   // \p{S}
	space                    // \s
	upper                    // A-Z
	lower                    // a-z
)

// classes is a constant that loadClasses computes once (about 1 ms, and memory only for the pages in use).
var classes [unicode.MaxRune + 1]class

// The reference tables of llama.cpp are of Unicode 15.1: Go's 15.0 and these.
var unicode151 = map[class][]rune{
	letter: {0x2EBF0, 0x2EE5D}, // CJK extension I
	symbol: {0x2FFC, 0x2FFF, 0x31EF, 0x31EF},
}

var loadClasses = sync.OnceFunc(func() {
	for c, table := range map[class]*unicode.RangeTable{
		letter: unicode.L, number: unicode.N, mark: unicode.M, punct: unicode.P, symbol: unicode.S, space: unicode.White_Space,
	} {
		for _, r := range table.R16 {
			setClass(rune(r.Lo), rune(r.Hi), rune(r.Stride), c)
		}
		for _, r := range table.R32 {
			setClass(rune(r.Lo), rune(r.Hi), rune(r.Stride), c)
		}
	}
	for c, pairs := range unicode151 {
		for i := 0; i < len(pairs); i += 2 {
			setClass(pairs[i], pairs[i+1], 1, c)
		}
	}
	setClass('A', 'Z', 1, upper)
	setClass('a', 'z', 1, lower)
})

func setClass(lo, hi, stride rune, c class) {
	for r := lo; r <= hi; r += stride {
		classes[r] |= c
	}
}

// classAt returns the class and width of the rune at s[i:], which is not empty.
func classAt(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		return classes[b], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return classes[r], n
}

// is says whether there is a rune at s[i:] with a bit of c.
func is(s string, i int, c class) bool {
	if i >= len(s) {
		return false
	}
	got, _ := classAt(s, i)
	return got&c != 0
}

// run returns the end of the runes from s[i:] on that have a bit of c.
func run(s string, i int, c class) int {
	for i < len(s) {
		got, n := classAt(s, i)
		if got&c == 0 {
			break
		}
		i += n
	}
	return i
}

// runNot returns the end of the runes from s[i:] on that have no bit of c.
func runNot(s string, i int, c class) int {
	for i < len(s) {
		got, n := classAt(s, i)
		if got&c != 0 {
			break
		}
		i += n
	}
	return i
}

// runAtMost is run, of at most n runes.
func runAtMost(s string, i int, c class, n int) int {
	for ; n > 0 && i < len(s); n-- {
		got, w := classAt(s, i)
		if got&c == 0 {
			break
		}
		i += w
	}
	return i
}

// ranges are sorted runes: lowest and highest of each range in turn.
type ranges []rune

func (rs ranges) has(r rune) bool {
	i, found := slices.BinarySearch(rs, r)
	return found || i%2 == 1
}

// run returns the end of the runes from the start of s on that lie in a range. White space lies in none: the reference
// replaces what of it isn't ASCII before it matches.
func (rs ranges) run(s string) int {
	for i, r := range s {
		if !rs.has(r) || classes[r]&space != 0 {
			return i
		}
	}
	return len(s)
}
