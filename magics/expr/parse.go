package expr

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Program is a parsed source.
type Program struct {
	src   string
	stmts []stmt
}

// Empty says whether the program has no statements.
func (p *Program) Empty() bool { return len(p.stmts) == 0 }

const (
	maxDepth = 200    // of nested brackets and operators
	maxNodes = 20_000 // of one operator chain: evaluation is recursive
)

// Binding powers, as Python has them: + < * < unary - < ** < call.
var infix = map[string]int{"+": 10, "-": 10, "*": 20, "/": 20, "//": 20, "%": 20, "@": 20, "**": 40, "(": 50, "[": 50, ".": 50}

const unaryPower = 30

// Parse reads statements that are separated by line breaks or semicolons. It
// fails with an *Error.
func Parse(src string) (*Program, error) {
	p := &parser{lexer: lexer{src: src}, src: src}
	prog := &Program{src: src}
	err := func() error {
		if err := p.advance(); err != nil {
			return err
		}
		for {
			for p.tok.kind == tokNewline {
				if err := p.advance(); err != nil {
					return err
				}
			}
			if p.tok.kind == tokEOF {
				return nil
			}
			s, err := p.statement()
			if err != nil {
				return err
			}
			prog.stmts = append(prog.stmts, s)
			if p.tok.kind != tokNewline && p.tok.kind != tokEOF {
				return p.unexpected("the end of the statement")
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	return prog, nil
}

type parser struct {
	lexer lexer
	src   string
	tok   token
	depth int
	nodes int
}

func (p *parser) advance() error {
	tok, err := p.lexer.next()
	p.tok = tok
	return err
}

func (p *parser) is(op string) bool { return p.tok.kind == tokOp && p.tok.text == op }

func (p *parser) accept(op string) (bool, error) {
	if !p.is(op) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) unexpected(want string) error {
	switch {
	case p.tok.kind == tokEOF || p.tok.kind == tokNewline:
		e := errorAt(p.src, p.tok.pos, "the statement ends where %s should be", want)
		e.Open = p.tok.kind == tokEOF
		return e
	case p.is("==") || p.is("!=") || p.is("<") || p.is(">") || p.is("<=") || p.is(">="):
		return errorAt(p.src, p.tok.pos, "tensors cannot be compared with %s yet; subtract and use abs, min or max", p.tok.text)
	case p.is("{") || p.is("}"):
		return errorAt(p.src, p.tok.pos, "unexpected %q; lists are written [1, 2]", p.tok.text)
	case p.tok.kind == tokString:
		return errorAt(p.src, p.tok.pos, "unexpected string %q, want %s", p.tok.text, want)
	}
	return errorAt(p.src, p.tok.pos, "unexpected %q, want %s", p.tok.text, want)
}

// expr parses an expression whose operators bind tighter than power.
func (p *parser) expr(power int) (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errorAt(p.src, p.tok.pos, "nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	x, err := p.operand()
	for err == nil && p.tok.kind == tokOp {
		op := p.tok
		left := infix[op.text]
		if left <= power {
			break
		}
		if p.nodes++; p.nodes > maxNodes {
			return nil, errorAt(p.src, op.pos, "more than %d operators", maxNodes)
		}
		if err = p.advance(); err != nil {
			break
		}
		switch op.text {
		case "(":
			x, err = p.call(x)
		case "[":
			x, err = p.index(x, op)
		case ".":
			if p.tok.kind != tokName {
				return nil, p.unexpected("the name of an attribute")
			}
			x = &attr{pos(p.tok.pos), x, p.tok.text}
			err = p.advance()
		default:
			right := left
			if op.text == "**" { // right associative, and 2**-1 works
				right = unaryPower - 1
			}
			var y node
			y, err = p.expr(right)
			x = &operation{pos(op.pos), op.text, x, y}
		}
	}
	return x, err
}

// operand parses what stands before an infix operator.
func (p *parser) operand() (node, error) {
	tok := p.tok
	switch {
	case tok.kind == tokName:
		return &name{pos(tok.pos), tok.text}, p.advance()
	case tok.kind == tokString:
		return &literal{pos(tok.pos), tok.text}, p.advance()
	case tok.kind == tokNumber:
		v, err := number(tok.text)
		if err != nil {
			return nil, errorAt(p.src, tok.pos, "%v", err)
		}
		return &literal{pos(tok.pos), v}, p.advance()
	case p.is("-") || p.is("+"):
		return p.sign(tok)
	case p.is("("), p.is("["):
		if err := p.advance(); err != nil {
			return nil, err
		}
		items, comma, err := p.items(map[string]string{"(": ")", "[": "]"}[tok.text])
		if err == nil && tok.text == "(" && len(items) == 1 && !comma {
			return items[0], nil
		}
		return &list{pos(tok.pos), items, tok.text == "("}, err
	}
	return nil, p.unexpected("a value")
}

func (p *parser) sign(tok token) (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if tok.text == "-" && p.tok.kind == tokNumber && p.tok.text == "9223372036854775808" {
		return &literal{pos(tok.pos), int64(math.MinInt64)}, p.advance()
	}
	x, err := p.expr(unaryPower)
	return &unary{pos(tok.pos), tok.text, x}, err
}

// items parses expressions up to and with the bracket end, or to the end of
// the statement when end is empty. comma says whether one stands last.
func (p *parser) items(end string) (xs []node, comma bool, err error) {
	for {
		if end != "" {
			if ok, err := p.accept(end); ok || err != nil {
				return xs, comma, err
			}
		} else if p.tok.kind == tokEOF || p.tok.kind == tokNewline {
			return xs, comma, nil
		}
		if len(xs) > 0 && !comma {
			return nil, false, p.unexpected(strconv.Quote(",") + or(end))
		}
		x, err := p.expr(0)
		if err != nil {
			return nil, false, err
		}
		xs = append(xs, x)
		if comma, err = p.accept(","); err != nil {
			return nil, false, err
		}
	}
}

func or(end string) string {
	if end == "" {
		return ""
	}
	return " or " + strconv.Quote(end)
}

// call parses the arguments of fn, whose bracket is open.
func (p *parser) call(fn node) (node, error) {
	c := &call{pos: pos(fn.at()), fn: fn}
	for comma := true; ; {
		if ok, err := p.accept(")"); ok || err != nil {
			return c, err
		}
		if !comma {
			return nil, p.unexpected(`"," or ")"`)
		}
		x, err := p.expr(0)
		if err != nil {
			return nil, err
		}
		if p.is("=") {
			n, ok := x.(*name)
			if !ok {
				return nil, p.unexpected(`"," or ")"`)
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
			if x, err = p.expr(0); err != nil {
				return nil, err
			}
			c.named = append(c.named, namedArg{n.pos, n.id, x})
		} else if len(c.named) > 0 {
			return nil, errorAt(p.src, x.at(), "arguments without a name come first")
		} else {
			c.args = append(c.args, x)
		}
		if comma, err = p.accept(","); err != nil {
			return nil, err
		}
	}
}

// index parses A[1], A[1:3], A[:, 0] behind the open bracket.
func (p *parser) index(x node, open token) (node, error) {
	ix := &index{pos: pos(open.pos), x: x}
	for comma := true; ; {
		if p.is("]") {
			if len(ix.items) == 0 {
				return nil, p.unexpected("an index")
			}
			return ix, p.advance()
		}
		if !comma {
			return nil, p.unexpected(`"," or "]"`)
		}
		item, err := p.subscript()
		if err != nil {
			return nil, err
		}
		ix.items = append(ix.items, item)
		if comma, err = p.accept(","); err != nil {
			return nil, err
		}
	}
}

func (p *parser) subscript() (node, error) {
	s := &span{pos: pos(p.tok.pos)}
	var err error
	if !p.is(":") {
		if s.lo, err = p.expr(0); err != nil {
			return nil, err
		}
	}
	if ok, err := p.accept(":"); !ok || err != nil {
		return s.lo, err
	}
	if !p.is("]") && !p.is(",") && !p.is(":") {
		if s.hi, err = p.expr(0); err != nil {
			return nil, err
		}
	}
	if ok, err := p.accept(":"); !ok || err != nil {
		return s, err
	}
	if !p.is("]") && !p.is(",") {
		s.step, err = p.expr(0)
	}
	return s, err
}

// number reads an int64 or a float64.
func number(text string) (Value, error) {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, nil
	} else if errors.Is(err, strconv.ErrRange) {
		return nil, fmt.Errorf("%s does not fit in 64 bits; write %s.0 for a float", text, text)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(text, "xXpP") {
		return f, nil
	}
	if n, err := strconv.ParseInt(strings.TrimLeft(text, "0"), 10, 64); err == nil { // 007
		return n, nil
	}
	return nil, fmt.Errorf("%q is no number", text)
}
