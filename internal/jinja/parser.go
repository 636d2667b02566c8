package jinja

import (
	"fmt"
	"slices"
	"strings"
)

// What is refused before it is parsed. Chat templates have up to 40 KB and
// nest some ten levels; Python itself stops at 200 brackets.
const (
	maxSource  = 1 << 18
	maxNesting = 200
)

// A parser builds the tree by recursive descent, as jinja2/parser.py does:
// statements here, expressions in expression.go.
type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int           // open loops of the innermost macro
	inLoop int           // open loops in all
	macros []*macroBlock // open macros
}

func (p *parser) fail(at int, format string, args ...any) {
	panic(failure{at, fmt.Errorf(format, args...)})
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != "end" {
		p.at++
	}
	return t
}

// is says whether a token is the operator or the keyword given.
func (t token) is(text string) bool {
	return t.text == text && t.kind != "data" && t.kind != "string"
}

// take reads the operator or keyword, if it is next.
func (p *parser) take(text string) bool {
	if !p.peek().is(text) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(text string) token {
	if t := p.peek(); !t.is(text) {
		p.fail(t.at, "expected %q, found %v", text, t)
	}
	return p.next()
}

func (p *parser) expectName() token {
	if t := p.peek(); t.kind != "name" {
		p.fail(t.at, "expected a name, found %v", t)
	}
	return p.next()
}

// deepen counts one more level of nesting; the caller restores p.depth.
func (p *parser) deepen() {
	if p.depth++; p.depth > maxNesting {
		p.fail(p.peek().at, "nested more than %d levels deep: %w", maxNesting, ErrLimit)
	}
}

// nest parses one level deeper.
func nest[T any](p *parser, parse func() T) T {
	depth := p.depth
	p.deepen()
	v := parse()
	p.depth = depth
	return v
}

// statements reads up to a block that begins with one of the words of ends,
// and up to and including that word; or to the end of the template, without ends.
func (p *parser) statements(opened token, ends ...string) (body []statement, end string) {
	for {
		t := p.next()
		switch t.kind {
		case "data":
			body = append(body, &text{place(t.at), t.text})
		case "{{":
			body = append(body, &output{place(t.at), []expr{p.tuple(p.expression, nil)}})
			p.expect("}}")
		case "{%":
			if word := p.peek(); word.kind == "name" && slices.Contains(ends, word.text) {
				p.at++
				return body, word.text
			}
			if s := nest(p, p.statement); s != nil {
				body = append(body, s)
			}
			p.expect("%}")
		default:
			if len(ends) > 0 {
				p.fail(opened.at, "%q without end; close it with {%% %s %%}", opened.text, ends[len(ends)-1])
			}
			return body, ""
		}
	}
}

// block reads the rest of a tag and the statements up to end.
func (p *parser) block(opened token, ends ...string) ([]statement, string) {
	p.take(":")
	p.expect("%}")
	return p.statements(opened, ends...)
}

func (p *parser) statement() statement {
	t := p.expectName()
	at := place(t.at)
	switch t.text {
	case "if":
		return p.ifBlock(t)
	case "for":
		return p.forBlock(t)
	case "set":
		return p.set(t)
	case "macro":
		return p.macro(t)
	case "call", "generation":
		return p.callBlock(t)
	case "filter":
		b := &filterBlock{place: at, filter: p.filterChain()}
		b.body, _ = p.block(t, "endfilter")
		return b
	case "with":
		return p.with(t)
	case "print":
		return &output{at, p.list("%}")}
	case "break", "continue":
		if p.loops == 0 {
			p.fail(t.at, "%q outside of a loop", t.text)
		}
		return &leave{at, map[string]flow{"break": breaks, "continue": continues}[t.text]}
	case "include", "import", "from", "extends", "block":
		p.fail(t.at, "%q is not available: a chat template is one file", t.text)
	}
	if strings.HasPrefix(t.text, "end") || t.text == "else" || t.text == "elif" {
		p.fail(t.at, "%q closes nothing that is open here; check the nesting", t.text)
	}
	p.fail(t.at, "unknown tag %q", t.text)
	return nil
}

func (p *parser) ifBlock(t token) statement {
	b := &ifBlock{place: place(t.at)}
	for {
		b.tests = append(b.tests, p.tuple(p.or, nil))
		body, end := p.block(t, "elif", "else", "endif")
		b.bodies = append(b.bodies, body)
		switch end {
		case "else":
			b.otherwise, _ = p.block(t, "endif")
			return b
		case "endif":
			return b
		}
	}
}

func (p *parser) forBlock(t token) statement {
	b := &forBlock{place: place(t.at)}
	p.inLoop++
	b.target = p.target(func() bool { return p.peek().is("in") }, false)
	p.expect("in")
	b.in = p.tuple(p.or, func() bool { return p.peek().is("recursive") })
	if p.take("if") {
		b.test = p.expression()
	}
	b.recursive = p.take("recursive")
	p.loops++
	var end string
	b.body, end = p.block(t, "endfor", "else")
	p.loops--
	if end == "else" {
		b.otherwise, _ = p.block(t, "endfor")
	}
	p.inLoop--
	return b
}

func (p *parser) set(t token) statement {
	target := p.target(nil, true)
	if p.take("=") {
		return &set{place(t.at), target, p.tuple(p.expression, nil)}
	}
	b := &setBlock{place: place(t.at), target: target}
	if p.take("|") {
		b.filter = p.filterChain()
	}
	b.body, _ = p.block(t, "endset")
	return b
}

// filterChain reads name(args) | name(args) …, without the first "|".
func (p *parser) filterChain() expr {
	e := p.filter(nil)
	for p.take("|") {
		p.deepen()
		e = p.filter(e)
	}
	return e
}

func (p *parser) with(t token) statement {
	b := &withBlock{place: place(t.at)}
	for !p.peek().is("%}") {
		if len(b.targets) > 0 {
			p.expect(",")
		}
		b.targets = append(b.targets, p.target(nil, false))
		p.expect("=")
		b.values = append(b.values, p.expression())
	}
	b.body, _ = p.block(t, "endwith")
	return b
}

func (p *parser) macro(t token) statement {
	word := p.expectName()
	p.assignable(word)
	b := &macroBlock{place: place(t.at), name: &name{place: place(word.at), text: word.text}}
	p.signature(b)
	p.macroBody(b, t, "endmacro")
	return b
}

func (p *parser) callBlock(t token) statement {
	b := &macroBlock{place: place(t.at)}
	if t.text == "generation" {
		p.macroBody(b, t, "endgeneration")
		return &callBlock{place: place(t.at), macro: b}
	}
	if p.peek().is("(") {
		p.signature(b)
	}
	at := p.peek().at
	called, ok := p.expression().(*call)
	if !ok {
		p.fail(at, `"call" wants the call of a macro, such as {%% call name() %%}`)
	}
	p.macroBody(b, t, "endcall")
	return &callBlock{place(t.at), called, b}
}

func (p *parser) macroBody(b *macroBlock, t token, end string) {
	loops := p.loops
	p.loops = 0
	b.uses = map[string]bool{}
	p.macros = append(p.macros, b)
	b.body, _ = p.block(t, end)
	p.macros = p.macros[:len(p.macros)-1]
	p.loops = loops
	p.checkCaller(b)
}

// checkCaller refuses a parameter called caller that has no default, when
// the body reads it.
func (p *parser) checkCaller(b *macroBlock) {
	for i, param := range b.params {
		if param.text == "caller" && b.uses["caller"] && i < len(b.params)-len(b.defaults) {
			p.fail(param.where(), `the parameter "caller" must have a default`)
		}
	}
}

func (p *parser) signature(b *macroBlock) {
	p.expect("(")
	declared := map[string]bool{}
	for !p.take(")") {
		if len(b.params) > 0 {
			p.expect(",")
		}
		word := p.expectName()
		p.assignable(word)
		if declared[word.text] {
			p.fail(word.at, "parameter %q is declared twice", word.text)
		}
		declared[word.text] = true
		b.params = append(b.params, &name{place: place(word.at), text: word.text})
		if p.take("=") {
			b.defaults = append(b.defaults, p.expression())
		} else if len(b.defaults) > 0 {
			p.fail(word.at, "parameter %q without default follows one that has it", word.text)
		}
	}
}
