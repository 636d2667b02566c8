package tokenizer

import (
	"math"
	"strings"
	"unicode/utf8"
)

// gpt2 matches 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// (GPT-2, https://github.com/openai/gpt-2/blob/master/src/encoder.py).
func gpt2(s string) int {
	if n := contraction(s, 0, false); n > 0 {
		return n
	}
	i := 0
	if s[0] == ' ' {
		i = 1
	}
	if i < len(s) {
		switch c, _ := classAt(s, i); {
		case c&letter != 0:
			return run(s, i, letter)
		case c&number != 0:
			return run(s, i, number)
		case c&space == 0:
			return runNot(s, i, letter|number|space)
		}
	}
	return spaces(s)
}

// A words is the family of expressions that began with GPT-4's cl100k, in order of its alternatives:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)            contractions (or, with suffix, at the end of a word)
//	[^\r\n\p{L}\p{N}]?\p{L}+                a word, with one character before it
//	\p{N}{1,digits}
//	 ?[^\s\p{L}\p{N}]+[tail]*
//	\s*[\r\n]+|\s+(?!\S)|\s+                white space
type words struct {
	contractions bool
	suffix       bool
	letters      class                     // what words are made of
	word         func(s string, i int) int // end of the word that begins with a letter at s[i:]; nil: a run of letters
	digits       int
	tail         string
	tailOnce     bool  // [tail]? instead of [tail]*
	solid        class // what symbols are not, besides letters, numbers and white space
	white        match
}

// llama3 is the common member of the family, with runs of up to that many digits.
func llama3(digits int) words {
	return words{contractions: true, letters: letter, digits: digits, tail: "\r\n", white: newlines}
}

// gpt4o cuts words where upper case follows lower case, and keeps contractions with their word (o200k).
func gpt4o(letters class) words {
	return words{suffix: true, letters: letters, word: cased(letters), digits: 3, tail: "\r\n/", white: newlines}
}

const anyNumber = math.MaxInt

func (w words) next(s string) int {
	if w.contractions && s[0] == '\'' {
		if n := contraction(s, 0, true); n > 0 {
			return n
		}
	}
	c, n := classAt(s, 0)
	switch {
	case c&w.letters != 0:
		return w.wordEnd(s, 0)
	case c&number != 0:
		return runAtMost(s, 0, number, w.digits)
	case s[0] != '\r' && s[0] != '\n' && is(s, n, w.letters):
		return w.wordEnd(s, n)
	}
	i := 0
	if s[0] == ' ' {
		i = 1
	}
	if other := w.solid | letter | number | space; i < len(s) && !is(s, i, other) {
		return w.tailEnd(s, runNot(s, i, other))
	}
	return w.white(s)
}

func (w words) wordEnd(s string, i int) int {
	if w.word == nil {
		i = run(s, i, w.letters)
	} else {
		i = w.word(s, i)
	}
	if w.suffix {
		i = contraction(s, i, true)
	}
	return i
}

func (w words) tailEnd(s string, i int) int {
	end := runBytes(s, i, w.tail)
	if w.tailOnce {
		end = min(end, i+1)
	}
	return end
}

// cased is [letters not a-z]*[letters not A-Z]+ or else [letters not a-z]+[letters not A-Z]*: outside ASCII a letter is
// of both cases. The first alternative gives characters back until it has a lower one.
func cased(letters class) func(s string, i int) int {
	return func(s string, i int) int {
		both := -1 // end of the last letter of both cases
		for i < len(s) {
			c, n := classAt(s, i)
			if c&letters == 0 || c&lower != 0 {
				break
			}
			i += n
			if c&upper == 0 {
				both = i
			}
		}
		start := i
		for i < len(s) {
			c, n := classAt(s, i)
			if c&letters == 0 || c&upper != 0 {
				break
			}
			i += n
		}
		if i == start && both >= 0 {
			return both
		}
		return i
	}
}

// phrase is (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+: words with single spaces between them are one piece.
func phrase(s string, i int) int {
	for i < len(s) {
		c, n := classAt(s, i)
		switch {
		case c&(letter|mark) != 0:
			i += n
		case s[i] == ' ' && is(s, i+1, letter):
			i++
		default:
			return i
		}
	}
	return i
}

// steps is \s*[\r\n]+|\s{512}(?!\S)|…|\s{4}(?!\S)|\s{1,2}(?!\S)|\s: white space in powers of two.
func steps(s string) int {
	if n := lineEnds(s); n > 0 {
		return n
	}
	end := runAtMost(s, 0, space, 513)
	have := utf8.RuneCountInString(s[:end])
	if end < len(s) && !is(s, end, space) {
		have-- // the last one belongs to what follows
	}
	want := 1
	for _, n := range []int{512, 256, 128, 64, 32, 16, 8, 4, 2} {
		if n <= have {
			want = n
			break
		}
	}
	return runAtMost(s, 0, space, want)
}

// deepseek3 matches [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[tail]* and white.
func deepseek3(tail string, white match) match {
	return func(s string) int {
		c, n := classAt(s, 0)
		if s[0] < utf8.RuneSelf && c&(punct|symbol) != 0 && is(s, 1, upper|lower) {
			return run(s, 1, upper|lower)
		}
		switch {
		case c&(letter|mark) != 0:
			return run(s, 0, letter|mark)
		case c&(punct|symbol) == 0 && s[0] != '\r' && s[0] != '\n' && is(s, n, letter|mark):
			return run(s, n, letter|mark)
		case c&(punct|symbol) != 0:
			return runBytes(s, run(s, 0, punct|symbol), tail)
		case s[0] == ' ' && is(s, 1, punct|symbol):
			return runBytes(s, run(s, 1, punct|symbol), tail)
		case c&space != 0:
			return white(s)
		}
		return 0
	}
}

// newlineOrSpaces is [\r\n]|\s+(?!\S)|\s+.
func newlineOrSpaces(s string) int {
	if n := newline(s); n > 0 {
		return n
	}
	return spaces(s)
}

// bloom is  ?[^(\s|.,!?…。，、।۔،)]+ : the parentheses and the bar are characters of the set.
func bloom(s string) int {
	i := 0
	if s[0] == ' ' {
		i = 1
	}
	start := i
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if classes[r]&space != 0 || strings.ContainsRune("(|.,!?…。，、।۔،)", r) {
			break
		}
		i += n
	}
	if i == start {
		return 0
	}
	return i
}

// kimi is the expression of Kimi-K2: o200k without cases, and runs of Han characters by themselves.
func kimi(s string) int {
	if n := runHan(s, 0, true); n > 0 {
		return n
	}
	c, n := classAt(s, 0)
	i := 0
	if c&(letter|number) == 0 && s[0] != '\r' && s[0] != '\n' {
		i = n
	}
	if end := runHan(s, i, false); end > i {
		return contraction(s, end, true)
	}
	return llama3Plain.next(s)
}

// llama3Plain has neither words nor contractions: what is left for kimi when those don't match.
var llama3Plain = words{digits: 3, tail: "\r\n", white: newlines}

// runHan returns the end of the Han characters from s[i:] on, or of the letters that are none.
func runHan(s string, i int, want bool) int {
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if han.has(r) != want || !want && classes[r]&letter == 0 {
			break
		}
		i += n
	}
	return i
}

// han is the reference's idea of it: the blocks of ideographs up to extension F, assigned or not.
var han = ranges("㐀䶿一\u9FFF\uF900\uFAFF\U00020000\U0002A6DF\U0002A700\U0002EBEF\U0002F800\U0002FA1F")
