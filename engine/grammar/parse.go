package grammar

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a grammar may have at most. A longer one is refused: what it takes to
// compile and match one stays bounded.
const (
	maxSource  = 1 << 20 // bytes of GBNF or JSON schema
	maxNesting = 100     // groups in groups, schemas in schemas
	maxTimes   = 100_000 // {m,n}
)

// A SyntaxError says what is wrong with a grammar, and where.
type SyntaxError struct {
	Line, Column int // from 1; columns count characters
	Msg          string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("grammar: line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// Parse reads a grammar in GBNF
// (https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md):
//
//	root  ::= "yes" | "no" | count   # a comment
//	count ::= [1-9] [0-9]{0,5} ("," [^\n"]+)*
//
// Its texts are those of the rule root. A rule must not begin with itself, and
// must be able to end. Errors are of type *SyntaxError.
func Parse(source string) (*Grammar, error) {
	p := &parser{src: source, index: map[string]int{}}
	if err := p.run(); err != nil {
		return nil, err
	}
	g := &Grammar{rules: p.rules, source: source, kind: "GBNF"}
	if err := g.check(); err != nil {
		if r, ok := err.(*ruleError); ok {
			return nil, p.errorAt(p.defined[r.rule], "%s", r.msg)
		}
		return nil, p.errorAt(0, "%v", err)
	}
	return g, nil
}

// A parser is at one place of a grammar. The first error stays in err, and
// from then on the parser is at the end.
type parser struct {
	src     string
	at      int
	depth   int
	rules   []rule
	index   map[string]int // of rules, by name
	used    []int          // where each rule is first mentioned
	defined []int          // where it is defined, -1: nowhere yet
	err     error
}

func (p *parser) run() error {
	if len(p.src) > maxSource {
		return &SyntaxError{1, 1, fmt.Sprintf("the grammar has %d bytes, at most %d allowed", len(p.src), maxSource)}
	}
	if i := invalid(p.src); i >= 0 {
		return p.errorAt(i, "byte %#x is no UTF-8", p.src[i])
	}
	p.rule("root", 0)
	for p.blank(true); p.more(); p.blank(true) {
		p.definition()
	}
	if p.err != nil {
		return p.err
	}
	for i, d := range p.defined {
		if i > 0 && d < 0 {
			return p.errorAt(p.used[i], "rule %q is used and not defined", p.rules[i].name)
		}
	}
	if p.defined[0] < 0 {
		return p.errorAt(0, `the rule "root" is missing; the texts of a grammar are those of root`)
	}
	return nil
}

// invalid is the place of the first byte of s that is no UTF-8, or -1.
func invalid(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}

func (p *parser) errorAt(at int, format string, args ...any) error {
	before := p.src[:at]
	line := strings.LastIndexByte(before, '\n') + 1
	return &SyntaxError{strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[line:]) + 1, fmt.Sprintf(format, args...)}
}

func (p *parser) fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = p.errorAt(at, format, args...)
	}
	p.at = len(p.src)
}

func (p *parser) more() bool { return p.at < len(p.src) }

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.more() {
		return p.src[p.at]
	}
	return 0
}

func (p *parser) skip(s string) bool {
	if strings.HasPrefix(p.src[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// blank skips spaces and comments, and line ends where they mean nothing.
func (p *parser) blank(lines bool) {
	for p.more() {
		switch c := p.peek(); {
		case c == ' ' || c == '\t', lines && (c == '\n' || c == '\r'):
			p.at++
		case c == '#':
			n := strings.IndexByte(p.src[p.at:], '\n')
			if n < 0 {
				n = len(p.src) - p.at
			}
			p.at += n
		default:
			return
		}
	}
}

// rule is the index of a rule, which may be new.
func (p *parser) rule(name string, at int) int {
	i, ok := p.index[name]
	if !ok {
		i = len(p.rules)
		p.index[name] = i
		p.rules = append(p.rules, rule{name: name})
		p.used, p.defined = append(p.used, at), append(p.defined, -1)
	}
	return i
}

// name reads the name of a rule, or nothing.
func (p *parser) name() string {
	from := p.at
	for p.more() && (isLetter(p.peek()) || isDigit(p.peek()) || p.peek() == '-' || p.peek() == '_') {
		p.at++
	}
	return p.src[from:p.at]
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// definition reads a rule and the end of its line.
func (p *parser) definition() {
	at := p.at
	name := p.name()
	if name == "" {
		p.fail(at, "want a rule (name ::= …), found %s", p.found())
		return
	}
	p.blank(false)
	if !p.skip("::=") {
		p.fail(p.at, "want ::= after the rule's name %q, found %s", name, p.found())
		return
	}
	i := p.rule(name, at)
	if p.defined[i] >= 0 {
		p.fail(at, "rule %q is defined a second time", name)
		return
	}
	p.defined[i] = at
	p.blank(true)
	p.rules[i].body = p.alternatives(false)
	if p.more() && p.peek() != '\n' && p.peek() != '\r' {
		p.fail(p.at, "want the end of the line or a further part of rule %q, found %s", name, p.found())
	}
}

// found shows what stands here.
func (p *parser) found() string {
	if !p.more() {
		return "the end"
	}
	r, _ := utf8.DecodeRuneInString(p.src[p.at:])
	return strconv.QuoteRune(r)
}

// alternatives reads up to the end of the line, or of the group: there, line
// ends mean nothing.
func (p *parser) alternatives(group bool) *expr {
	args := []*expr{p.sequence(group)}
	for p.skip("|") {
		p.blank(true)
		args = append(args, p.sequence(group))
	}
	return alt(args...)
}

func (p *parser) sequence(group bool) *expr {
	var args []*expr
	for p.more() {
		e := p.item()
		if e == nil {
			break
		}
		p.blank(group)
		args = append(args, p.times(e, group))
	}
	return seq(args...)
}

// item reads one element of a sequence; nil where there is none.
func (p *parser) item() *expr {
	at := p.at
	switch c := p.peek(); {
	case c == '"':
		return p.literal()
	case c == '[':
		return p.class()
	case c == '.':
		p.at++
		return chars(0, lastRune)
	case c == '(':
		return p.group()
	case c == '<', c == '!':
		p.fail(at, "tokens (<…>) are not supported; write the text of the token in quotes")
	case c == '*', c == '+', c == '?', c == '{':
		p.fail(at, "%q repeats nothing: nothing stands before it", c)
	default:
		if name := p.name(); name != "" {
			return p.mention(name, at)
		}
	}
	return nil
}

// mention is a reference to a rule. A name that begins a new rule here lacks
// its line end.
func (p *parser) mention(name string, at int) *expr {
	end := p.at
	p.blank(false)
	if strings.HasPrefix(p.src[p.at:], "::=") {
		p.fail(at, "rule %q begins inside another one, which is not complete", name)
		return nil
	}
	p.at = end
	return ref(p.rule(name, at))
}

func (p *parser) group() *expr {
	at := p.at
	if p.depth++; p.depth > maxNesting {
		p.fail(at, "groups are nested more than %d deep", maxNesting)
		return nil
	}
	p.at++
	p.blank(true)
	e := p.alternatives(true)
	if !p.skip(")") {
		if p.more() {
			p.fail(p.at, "want ) or a further part of the group, found %s", p.found())
		}
		p.fail(at, "the group has no end: ) is missing")
	}
	p.depth--
	return e
}

// times reads what says how often e is repeated. There may be several: "a"+?
func (p *parser) times(e *expr, group bool) *expr {
	for n := 0; p.more(); n++ {
		at := p.at
		lo, hi := 0, -1
		switch {
		case p.skip("*"):
		case p.skip("+"):
			lo = 1
		case p.skip("?"):
			hi = 1
		case p.skip("{"):
			lo, hi = p.bounds(at)
		default:
			return e
		}
		if n == maxNesting {
			p.fail(at, "more than %d repetitions of one thing", maxNesting)
		}
		e = repeat(e, lo, hi)
		p.blank(group)
	}
	return e
}

// bounds reads what stands behind {.
func (p *parser) bounds(at int) (lo, hi int) {
	p.blank(true)
	lo = p.number()
	hi = lo
	p.blank(true)
	if p.skip(",") {
		p.blank(true)
		hi = -1
		if isDigit(p.peek()) {
			hi = p.number()
		}
		p.blank(true)
	}
	switch {
	case p.err != nil:
	case !p.skip("}"):
		p.fail(p.at, "want } at the end of a repetition, found %s", p.found())
	case hi >= 0 && hi < lo:
		p.fail(at, "repetition {%d,%d}: the second number is less than the first", lo, hi)
	}
	return lo, hi
}

func (p *parser) number() int {
	at := p.at
	for isDigit(p.peek()) {
		p.at++
	}
	digits := p.src[at:p.at]
	if digits == "" {
		p.fail(at, "want a number of times, found %s", p.found())
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > maxTimes {
		p.fail(at, "repetition of %s times, at most %d allowed", digits, maxTimes)
		return 0
	}
	return n
}

// literal reads a text in quotes.
func (p *parser) literal() *expr {
	at := p.at
	p.at++
	var b strings.Builder
	for p.more() && p.peek() != '"' {
		if p.peek() == '\n' {
			break
		}
		b.WriteRune(p.char())
	}
	if !p.skip(`"`) {
		p.fail(at, `the text has no end: " is missing`)
	}
	return text(b.String())
}

// class reads a set of characters.
func (p *parser) class() *expr {
	at := p.at
	p.at++
	inverse := p.skip("^")
	var set []span
	for p.more() && p.peek() != ']' && p.peek() != '\n' {
		from := p.at
		s := span{lo: p.char()}
		s.hi = s.lo
		if rest := p.src[p.at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.at++
			s.hi = p.char()
		}
		if s.hi < s.lo {
			p.fail(from, "the range %c-%c is empty: its end comes before its start", s.lo, s.hi)
		}
		set = append(set, s)
	}
	if !p.skip("]") {
		p.fail(at, "the characters have no end: ] is missing")
	}
	set = union(set)
	if inverse {
		set = without(set)
	}
	if len(set) == 0 {
		p.fail(at, "no character is in this set")
	}
	return class(set)
}

// char reads one character, which may be written as an escape.
func (p *parser) char() rune {
	at := p.at
	r, n := utf8.DecodeRuneInString(p.src[at:])
	p.at += n
	if r != '\\' {
		return r
	}
	c := p.peek()
	p.at = min(p.at+1, len(p.src))
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case '\\', '"', '[', ']', '-', '^':
		return rune(c)
	case 'x':
		return p.hex(at, 2)
	case 'u':
		return p.hex(at, 4)
	case 'U':
		return p.hex(at, 8)
	}
	p.at = at
	p.at += min(1, len(p.src)-at)
	p.fail(at, `unknown escape \%s; write \\ for the character itself`, strings.Trim(p.found(), "'"))
	return 0
}

// hex reads n hexadecimal digits: the number of a character.
func (p *parser) hex(at, n int) rune {
	end := min(p.at+n, len(p.src))
	v, err := strconv.ParseUint(p.src[p.at:end], 16, 32)
	if err != nil || end-p.at < n {
		p.fail(at, "want %d hexadecimal digits in the escape", n)
		return 0
	}
	p.at = end
	if r := rune(v); v <= lastRune && utf8.ValidRune(r) {
		return r
	}
	p.fail(at, "U+%04X is no character", v)
	return 0
}
