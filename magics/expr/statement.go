package expr

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// The word forms: "create A 3x4 f32".
var createForm = regexp.MustCompile(`^create[ \t]+([\pL_][\pL\pN_]*)[ \t]+([0-9]+(?:[ \t]*[xX×,][ \t]*[0-9]+)*)(?:[ \t]+([A-Za-z_0-9]+))?[ \t]*(?:[;\n#]|$)`)

func (p *parser) statement() (stmt, error) {
	first := p.tok
	s := stmt{pos: pos(first.pos)}
	if first.kind == tokName {
		switch first.text {
		case "create":
			if m := createForm.FindStringSubmatchIndex(p.src[first.pos:]); m != nil {
				return p.create(m)
			}
		case "print", "del", "delete", "list":
			if word, ok, err := p.wordForm(first); ok || err != nil {
				return word, err
			}
		}
	}
	x, err := p.expr(0)
	if err != nil {
		return s, err
	}
	s.x = x
	if p.tok.kind != tokOp || !strings.HasSuffix(p.tok.text, "=") || strings.Contains("== != <= >=", p.tok.text) && p.tok.text != "=" {
		return s, nil
	}
	return p.assignment(s)
}

// assignment parses what follows the target s.x.
func (p *parser) assignment(s stmt) (stmt, error) {
	op := p.tok
	target, ok := s.x.(*name)
	if !ok {
		return s, errorAt(p.src, op.pos, "only a name can be assigned to, as in A = zeros(2, 3)")
	}
	if reserved(target.id) {
		return s, errorAt(p.src, target.at(), "%s is a word of the language; choose another name", target.id)
	}
	if err := p.advance(); err != nil {
		return s, err
	}
	x, err := p.expr(0)
	if err != nil {
		return s, err
	}
	if p.is("=") {
		return s, errorAt(p.src, p.tok.pos, "one assignment a statement")
	}
	if o := strings.TrimSuffix(op.text, "="); o != "" { // A += 1
		x = &operation{pos(op.pos), o, target, x}
	}
	return stmt{pos: s.pos, kind: stmtAssign, name: target.id, x: x}, nil
}

// wordForm parses "print A", "del A, B", "delete A" and "list". ok is false
// where the word is a name of something else, as in "list = 3".
func (p *parser) wordForm(word token) (s stmt, ok bool, err error) {
	save := *p
	if err := p.advance(); err != nil {
		return s, false, err
	}
	s.pos = pos(word.pos)
	ends := p.tok.kind == tokEOF || p.tok.kind == tokNewline
	switch {
	case word.text == "list" && ends:
		s.kind = stmtList
		return s, true, nil
	case word.text == "list", p.tok.kind == tokOp && !p.is("(") && !p.is("[") && !p.is("-"):
		*p = save
		return s, false, nil
	case word.text == "print":
		s.kind = stmtPrint
		bracket := p.is("(")
		s.xs, _, err = p.items("")
		if bracket && len(s.xs) == 1 { // print(A, B)
			if l, ok := s.xs[0].(*list); ok && l.tuple {
				s.xs = l.items
			}
		}
		return s, true, err
	}
	s.kind = stmtDel
	for p.tok.kind == tokName || p.is(",") || p.is("(") || p.is(")") { // A, B or (A, B) or A B
		if p.tok.kind == tokName {
			s.names = append(s.names, name{pos(p.tok.pos), p.tok.text})
		}
		if err := p.advance(); err != nil {
			return s, true, err
		}
	}
	if ends := p.tok.kind == tokEOF || p.tok.kind == tokNewline; !ends || len(s.names) == 0 {
		return s, true, p.unexpected("the name of a variable, as in " + word.text + " A, B")
	}
	return s, true, nil
}

// create turns "create A 3x4 f32" into A = zeros(3, 4, dtype=f32). m indexes
// the source from the word on.
func (p *parser) create(m []int) (stmt, error) {
	base := p.tok.pos
	text := func(i int) string { return p.src[base+m[2*i] : base+m[2*i+1]] }
	at := func(i int) pos { return pos(base + m[2*i]) }
	c := &call{pos: at(0), fn: &name{at(0), "zeros"}}
	for dim := range strings.FieldsFuncSeq(text(2), func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.ParseInt(dim, 10, 64)
		if err != nil {
			return stmt{}, errorAt(p.src, int(at(2)), "dimension %s is too large", dim)
		}
		c.args = append(c.args, &literal{at(2), n})
	}
	if m[6] >= 0 {
		c.named = append(c.named, namedArg{at(3), "dtype", &name{at(3), text(3)}})
	}
	if reserved(text(1)) {
		return stmt{}, errorAt(p.src, int(at(1)), "%s is a word of the language; choose another name", text(1))
	}
	last := base + m[5]
	if m[6] >= 0 {
		last = base + m[7]
	}
	p.lexer.pos = last
	return stmt{pos: at(0), kind: stmtAssign, name: text(1), x: c}, p.advance()
}

var words = []string{"print", "del", "delete", "list", "create", "true", "false"}

// reserved names cannot be variables: statements, types and devices.
func reserved(id string) bool {
	if slices.Contains(words, id) {
		return true
	}
	_, err := tensor.ParseDType(id)
	return err == nil
}
