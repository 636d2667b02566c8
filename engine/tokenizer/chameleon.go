package tokenizer

import "strings"

// Chameleon's expressions, in order of its stages; the last one is gpt2.

// sentinel matches <sentinel:[0-9]+>.
func sentinel(s string) int {
	const prefix = "<sentinel:"
	if !strings.HasPrefix(s, prefix) {
		return 0
	}
	end := runBytes(s, len(prefix), "0123456789")
	if end == len(prefix) || end == len(s) || s[end] != '>' {
		return 0
	}
	return end + 1
}

// image matches IMGIMG[A-I]{1,4}Z.
func image(s string) int {
	const prefix = "IMGIMG"
	if !strings.HasPrefix(s, prefix) {
		return 0
	}
	end := runBytes(s, len(prefix), "ABCDEFGHI")
	if n := end - len(prefix); n < 1 || n > 4 || end == len(s) || s[end] != 'Z' {
		return 0
	}
	return end + 1
}

// indent matches [\t\n]|four spaces|two spaces.
func indent(s string) int {
	switch {
	case s[0] == '\t', s[0] == '\n':
		return 1
	case strings.HasPrefix(s, "    "):
		return 4
	case strings.HasPrefix(s, "  "):
		return 2
	}
	return 0
}

// mark1 matches one character of punctuation, all of ASCII's included.
func mark1(s string) int {
	c, n := classAt(s, 0)
	if c&punct != 0 || n == 1 && c&symbol != 0 {
		return n
	}
	return 0
}
