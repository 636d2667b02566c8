package jinja

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is a piece of template text or of the code between delimiters.
type token struct {
	kind  string // "data", "name", "string", "number", "end", a delimiter, or the operator itself
	text  string
	value any // of strings and numbers
	at    int // byte offset in the source
}

// String is how errors show a token.
func (t token) String() string {
	switch t.kind {
	case "end":
		return "the end of the template"
	case "data":
		return "text"
	case "string":
		return "a string"
	}
	return strconv.Quote(t.text)
}

// A lexer cuts a template into tokens, with the rules of jinja2/lexer.py for
// trim_blocks (the newline after a block is dropped) and lstrip_blocks (so
// are the blanks of the line before it).
type lexer struct {
	src       string
	at        int
	tokens    []token
	lineStart bool // whether the last thing read ended a line
}

// lex reads a template whose newlines are all "\n".
func lex(src string) []token {
	l := &lexer{src: src, lineStart: true}
	for l.at < len(l.src) {
		l.text()
	}
	l.emit("end", "", nil, l.at)
	return l.tokens
}

func (l *lexer) fail(at int, format string, args ...any) {
	panic(failure{at, fmt.Errorf(format, args...)})
}

func (l *lexer) emit(kind, text string, value any, at int) {
	l.tokens = append(l.tokens, token{kind, text, value, at})
}

func (l *lexer) rest() string { return l.src[l.at:] }

var (
	openTag = regexp.MustCompile(`\{[%#{]`)
	rawTag  = regexp.MustCompile(`^\{%([-+]?)` + blanks + `raw` + blanks + `(?:-%\}` + blanks + `|%\})`)
	endRaw  = regexp.MustCompile(`\{%([-+]?)` + blanks + `endraw` + blanks + `(?:\+%\}|-%\}` + blanks + `|%\}\n?)`)
)

// blanks is what Python's \s* matches.
const blanks = `[\s\v\x1c-\x1f\x{85}\p{Z}]*`

// text reads template text and the delimiter that ends it, and what stands
// between the delimiters.
func (l *lexer) text() {
	start := l.at
	open := openTag.FindStringIndex(l.rest())
	if open == nil {
		l.emit("data", l.rest(), nil, l.at)
		l.at = len(l.src)
		return
	}
	text := l.src[start : start+open[0]]
	l.at += open[0]
	if m := rawTag.FindStringSubmatch(l.rest()); m != nil {
		l.data(text, m[1], true, start)
		l.skip(len(m[0]))
		l.raw()
		return
	}
	begin, tag := l.at, l.src[l.at:l.at+2]
	sign := ""
	if l.at += 2; l.at < len(l.src) && (l.src[l.at] == '-' || l.src[l.at] == '+') {
		sign = l.src[l.at : l.at+1]
		l.at++
	}
	l.data(text, sign, tag != "{{", start)
	l.lineStart = false
	if tag == "{#" {
		l.comment(begin)
		return
	}
	l.emit(tag, tag, nil, begin)
	l.code(begin, map[string]string{"{{": "}}", "{%": "%}"}[tag])
}

// data emits the text before a tag, after what the tag's sign and
// lstrip_blocks take from it.
func (l *lexer) data(text, sign string, lstrip bool, at int) {
	if sign == "-" {
		text = strings.TrimRightFunc(text, isSpace)
	} else if sign != "+" && lstrip {
		line := strings.LastIndexByte(text, '\n') + 1
		if (line > 0 || l.lineStart) && strings.TrimFunc(text[line:], isSpace) == "" {
			text = text[:line]
		}
	}
	if text != "" {
		l.emit("data", text, nil, at)
	}
}

// skip moves on by n bytes.
func (l *lexer) skip(n int) {
	if n > 0 {
		l.at += n
		l.lineStart = l.src[l.at-1] == '\n'
	}
}

func (l *lexer) raw() {
	m := endRaw.FindStringSubmatchIndex(l.rest())
	if m == nil && l.rest() == "" {
		return // jinja2 lets this pass
	}
	if m == nil {
		l.fail(l.at, "raw block without end; close it with {%% endraw %%}")
	}
	l.data(l.rest()[:m[0]], l.rest()[m[2]:m[3]], true, l.at)
	l.skip(m[1])
}

func (l *lexer) comment(begin int) {
	n := strings.Index(l.rest(), "#}")
	if n < 0 && l.rest() == "" {
		return // jinja2 lets this pass
	}
	if n < 0 {
		l.fail(begin, "comment without end; close it with #}")
	}
	sign := byte(0)
	if n > 0 {
		sign = l.rest()[n-1]
	}
	l.skip(n + 2)
	l.trim(sign)
}

// trim drops what the end of a tag takes from the text after it.
func (l *lexer) trim(sign byte) {
	switch {
	case sign == '-':
		l.skip(len(l.rest()) - len(strings.TrimLeftFunc(l.rest(), isSpace)))
	case sign != '+' && strings.HasPrefix(l.rest(), "\n"):
		l.skip(1)
	}
}

var (
	floatToken   = regexp.MustCompile(`^(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)`)
	integerToken = regexp.MustCompile(`^(?i:0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*)`)
	stringToken  = regexp.MustCompile(`^(?s:'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")`)
	operator     = regexp.MustCompile(`^(?:\*\*|//|==|!=|>=|<=|[-+*/%~\[\](){}<>=.:|,;])`)
)

// code reads the tokens of a block or a print statement up to its end.
func (l *lexer) code(begin int, end string) {
	var open []byte // brackets that wait for their partner
	for {
		r, size := utf8.DecodeRuneInString(l.rest())
		rest := l.rest()
		switch {
		case rest == "":
			l.fail(begin, "tag without end; close it with %s", end)
		case len(open) == 0 && l.end(end):
			return
		case isSpace(r):
			l.at += size
		case isDigit(rest[0]):
			l.number(rest)
		case inName(r):
			l.word(rest)
		case r == '"' || r == '\'':
			l.quoted(rest)
		default:
			op := operator.FindString(rest)
			if op == "" {
				l.fail(l.at, "unexpected character %q", r)
			}
			open = l.bracket(open, op)
			l.emit(op, op, nil, l.at)
			l.at += len(op)
		}
	}
}

// end reads the end of a tag, if it is next. Only blocks have the sign "+",
// and only they drop the newline that follows.
func (l *lexer) end(end string) bool {
	rest, sign := l.rest(), byte(0)
	if rest[0] == '-' || rest[0] == '+' && end == "%}" {
		sign, rest = rest[0], rest[1:]
	}
	if !strings.HasPrefix(rest, end) {
		return false
	}
	l.emit(end, end, nil, l.at)
	l.skip(len(l.rest()) - len(rest) + len(end))
	if end == "%}" || sign == '-' {
		l.trim(sign)
	}
	return true
}

func (l *lexer) bracket(open []byte, op string) []byte {
	switch op {
	case "(":
		return append(open, ')')
	case "[":
		return append(open, ']')
	case "{":
		return append(open, '}')
	case ")", "]", "}":
		if len(open) == 0 {
			l.fail(l.at, "unexpected %q: no bracket is open", op)
		}
		if want := open[len(open)-1]; want != op[0] {
			l.fail(l.at, "unexpected %q: the open bracket wants %q", op, want)
		}
		return open[:len(open)-1]
	}
	return open
}

func (l *lexer) number(rest string) {
	if text := floatToken.FindString(rest); text != "" && l.src[l.at-1] != '.' {
		v, _ := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64) // too large is infinite
		l.emit("number", text, v, l.at)
		l.at += len(text)
		return
	}
	text := integerToken.FindString(rest)
	if len(text) > maxIntBits/4 {
		l.fail(l.at, "number of %d digits: %w", len(text), ErrLimit)
	}
	v, _ := new(big.Int).SetString(strings.ReplaceAll(text, "_", ""), 0)
	l.emit("number", text, integer(v), l.at)
	l.at += len(text)
}

// inName says whether names may have r in them.
func inName(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.In(r, unicode.N, unicode.M) || r == 0xb7 || r == 0x387
}

func (l *lexer) word(rest string) {
	n := strings.IndexFunc(rest, func(r rune) bool { return !inName(r) })
	if n < 0 {
		n = len(rest)
	}
	text := rest[:n]
	if r, _ := utf8.DecodeRuneInString(text); r != '_' && !unicode.IsLetter(r) {
		l.fail(l.at, "name %q does not begin with a letter", text)
	}
	l.emit("name", text, nil, l.at)
	l.at += n
}

func (l *lexer) quoted(rest string) {
	text := stringToken.FindString(rest)
	if text == "" {
		l.fail(l.at, "string without end; close it with %c", rest[0])
	}
	value, err := unescape(text[1 : len(text)-1])
	if err != nil {
		l.fail(l.at, "string: %w", err)
	}
	l.emit("string", text, value, l.at)
	l.at += len(text)
}
