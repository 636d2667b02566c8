package magics

import (
	"errors"
	"strings"
)

// splitWords cuts a line into words like a POSIX shell (IEEE 1003.1, 2.2
// Quoting) that expands nothing: blanks separate, '…' is verbatim, in "…" a
// backslash escapes \ " $ ` and line breaks, elsewhere it escapes anything.
func splitWords(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		if line == "" {
			return words, nil
		}
		if rest, ok := strings.CutPrefix(line, "\\\n"); ok {
			line = rest
			continue
		}
		word, n, err := nextWord(line)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), line[n:]
	}
}

// nextWord reads the word at the start of line and returns how long its source
// is.
func nextWord(line string) (word string, n int, err error) {
	var b strings.Builder
	for i := 0; i < len(line); {
		switch c := line[i]; c {
		case ' ', '\t', '\r', '\n':
			return b.String(), i, nil
		case '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return "", 0, errors.New("a ' opens and does not close; quote it as \"'\"")
			}
			b.WriteString(line[i+1 : i+1+end])
			i += end + 2
		case '"':
			text, length, ok := doubleQuoted(line[i:])
			if !ok {
				return "", 0, errors.New("a \" opens and does not close; quote it as '\"'")
			}
			b.WriteString(text)
			i += length
		case '\\':
			if i+1 == len(line) {
				return "", 0, errors.New(`nothing follows the last \; write \\ for a backslash`)
			}
			if line[i+1] != '\n' {
				b.WriteByte(line[i+1])
			}
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), len(line), nil
}

// doubleQuoted reads "…" at the start of s.
func doubleQuoted(s string) (text string, n int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), i + 1, true
		case c == '\\' && i+1 < len(s) && strings.IndexByte("\\\"$`\n", s[i+1]) >= 0:
			i++
			if s[i] != '\n' {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, false
}
