package expr

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is one word of the source. Positions are byte offsets.
type token struct {
	kind tokenKind
	text string // of a string: its contents, of all others: the source
	pos  int
}

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokNewline
	tokName
	tokNumber
	tokString
	tokOp
)

// operators are tried longest first.
var operators = []string{"**=", "//=", "**", "//", "+=", "-=", "*=", "/=", "@=", "==", "!=", "<=", ">=",
	"+", "-", "*", "/", "%", "@", "(", ")", "[", "]", ",", ":", "=", ".", "<", ">", "{", "}"}

// A lexer cuts the source into tokens, one at a time.
type lexer struct {
	src   string
	pos   int
	depth int // open brackets: inside them a line break is a space
}

func (l *lexer) next() (token, error) {
	l.space()
	if l.pos >= len(l.src) {
		return token{kind: tokEOF, pos: len(l.src)}, nil
	}
	start, rest := l.pos, l.src[l.pos:]
	c, size := utf8.DecodeRuneInString(rest)
	switch {
	case c == '\n' || c == ';':
		l.pos++
		return token{tokNewline, rest[:1], start}, nil
	case c == '_' || unicode.IsLetter(c):
		l.pos += len(rest) - len(strings.TrimLeftFunc(rest, nameRune))
		return token{tokName, l.src[start:l.pos], start}, nil
	case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return l.number()
	case c == '"' || c == '\'':
		return l.str(byte(c))
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			l.pos += len(op)
			l.bracket(op)
			return token{tokOp, op, start}, nil
		}
	}
	return token{}, errorAt(l.src, start, "unexpected character %q", rest[:size])
}

// space skips blanks, comments and, inside brackets, line breaks. A line that
// starts with // is a comment too; elsewhere // divides.
func (l *lexer) space() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		c, size := utf8.DecodeRuneInString(rest)
		switch {
		case c == '#', strings.HasPrefix(rest, "//") && l.lineStart():
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				l.pos += n
			} else {
				l.pos = len(l.src)
			}
		case strings.HasPrefix(rest, "\\\n"):
			l.pos += 2
		case c == '\n' && l.depth > 0, c != '\n' && unicode.IsSpace(c):
			l.pos += size
		default:
			return
		}
	}
}

func (l *lexer) lineStart() bool {
	before := l.src[:l.pos]
	return strings.TrimSpace(before[strings.LastIndexByte(before, '\n')+1:]) == ""
}

func (l *lexer) bracket(op string) {
	switch op {
	case "(", "[", "{":
		l.depth++
	case ")", "]", "}":
		l.depth = max(l.depth-1, 0)
	}
}

// number takes digits, one point, an exponent; "3x4" is no number.
func (l *lexer) number() (token, error) {
	start := l.pos
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		exponent := l.pos > start && (c == '+' || c == '-') && (l.src[l.pos-1] == 'e' || l.src[l.pos-1] == 'E') &&
			!strings.HasPrefix(l.src[start:], "0x")
		if c != '.' && c != '_' && !exponent && !isAlnum(c) {
			break
		}
		l.pos++
	}
	text := l.src[start:l.pos]
	// "1.reshape" would be a number followed by a name; nobody means that.
	return token{tokNumber, text, start}, nil
}

func (l *lexer) str(quote byte) (token, error) {
	start := l.pos
	end := strings.IndexAny(l.src[start+1:], string(quote)+"\n")
	if end < 0 || l.src[start+1+end] == '\n' {
		return token{}, errorAt(l.src, start, "the string has no closing %c", quote)
	}
	l.pos = start + end + 2
	return token{tokString, l.src[start+1 : start+1+end], start}, nil
}

func nameRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
