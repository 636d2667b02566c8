package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// simpleEscapes are the escapes of one letter in a string of the language.
var simpleEscapes = map[byte]string{
	'\n': "", '\\': `\`, '\'': `'`, '"': `"`, 'a': "\a", 'b': "\b",
	'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// unescape resolves the escapes of a string literal as Python's codec
// unicode-escape does: unknown ones stay as they are.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for s != "" {
		n := strings.IndexByte(s, '\\')
		if n < 0 {
			n = len(s)
		}
		b.WriteString(s[:n])
		if s = s[n:]; s == "" {
			break
		}
		text, size, err := escape(s[1:])
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		s = s[1+size:]
	}
	return b.String(), nil
}

// escape is the meaning of what follows a backslash and how long it is.
func escape(s string) (text string, size int, err error) {
	c := s[0] // the lexer leaves no backslash at the end
	if simple, ok := simpleEscapes[c]; ok {
		return simple, 1, nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	switch {
	case c >= '0' && c <= '7':
		n := 1
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[:n], 8, 32)
		return string(rune(v)), n, nil
	case c == 'N':
		return "", 0, fmt.Errorf(`\N{…} is not supported; write the character itself`)
	case digits > 0:
		if len(s) <= digits {
			return "", 0, fmt.Errorf(`\%c wants %d hexadecimal digits`, c, digits)
		}
		v, err := strconv.ParseUint(s[1:1+digits], 16, 32)
		if err != nil || v > unicode.MaxRune {
			return "", 0, fmt.Errorf(`\%c wants %d hexadecimal digits of a character`, c, digits)
		}
		return string(rune(v)), 1 + digits, nil
	case c >= utf8.RuneSelf: // jinja2 has escaped it once more before
		r, n := utf8.DecodeRuneInString(s)
		format := `\U%08x`
		if r < 0x100 {
			format = `\x%02x`
		} else if r < 0x10000 {
			format = `\u%04x`
		}
		return fmt.Sprintf(format, r), n, nil
	}
	return `\` + s[:1], 1, nil
}
