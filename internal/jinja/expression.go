package jinja

// Expressions, from the weakest operator to the strongest.

func (p *parser) expression() expr { return nest(p, p.conditional) }

func (p *parser) conditional() expr {
	depth := p.depth
	e := p.or()
	for p.peek().is("if") {
		at := place(p.next().at)
		p.deepen()
		test := p.or()
		var otherwise expr
		if p.take("else") {
			otherwise = p.expression()
		}
		e = &inlineIf{at, e, test, otherwise}
	}
	p.depth = depth
	return e
}

func (p *parser) or() expr { return p.logical("or", true, p.and) }

func (p *parser) and() expr { return p.logical("and", false, p.not) }

func (p *parser) logical(word string, or bool, operand func() expr) expr {
	depth := p.depth
	e := operand()
	for p.peek().is(word) {
		at := place(p.next().at)
		p.deepen()
		e = &logical{at, or, e, operand()}
	}
	p.depth = depth
	return e
}

func (p *parser) not() expr {
	if p.peek().is("not") {
		at := place(p.next().at)
		return &unary{at, "not", nest(p, p.not)}
	}
	return p.comparison()
}

func (p *parser) comparison() expr {
	c := &comparison{place: place(p.peek().at), first: p.sum()}
	for {
		op := p.peek()
		switch {
		case op.kind != "name" && (op.is("==") || op.is("!=") || op.is("<") || op.is("<=") || op.is(">") || op.is(">=")), op.is("in"):
			p.at++
			c.ops = append(c.ops, op.text)
		case op.is("not") && p.tokens[p.at+1].is("in"):
			p.at += 2
			c.ops = append(c.ops, "not in")
		case len(c.ops) == 0:
			return c.first
		default:
			return c
		}
		c.rest = append(c.rest, p.sum())
	}
}

func (p *parser) sum() expr { return p.arithmetic(p.concat, "+", "-") }

func (p *parser) product() expr { return p.arithmetic(p.power, "*", "/", "//", "%") }

// power is a chain from left to right, as in jinja2 and unlike in Python.
func (p *parser) power() expr {
	return p.arithmetic(func() expr { return p.unary(true) }, "**")
}

func (p *parser) arithmetic(operand func() expr, ops ...string) expr {
	depth := p.depth
	e := operand()
	for {
		t, found := p.peek(), false
		for _, op := range ops {
			found = found || t.is(op)
		}
		if !found {
			p.depth = depth
			return e
		}
		p.at++
		p.deepen()
		e = &binary{place(t.at), t.text, e, operand()}
	}
}

func (p *parser) concat() expr {
	c := &concat{place: place(p.peek().at), items: []expr{p.product()}}
	for p.take("~") {
		c.items = append(c.items, p.product())
	}
	if len(c.items) == 1 {
		return c.items[0]
	}
	return c
}

// unary reads signs, a primary and what follows it. A sign binds weaker than
// a subscript and stronger than a filter.
func (p *parser) unary(filters bool) expr {
	depth := p.depth
	defer func() { p.depth = depth }()
	var e expr
	if t := p.peek(); t.is("-") || t.is("+") {
		p.at++
		e = &unary{place(t.at), t.text, nest(p, func() expr { return p.unary(false) })}
	} else {
		e = p.primary(false)
	}
	e = p.postfix(e)
	for filters {
		t := p.peek()
		switch {
		case t.is("|"):
			p.at++
			e = p.filter(e)
		case t.is("is"):
			p.at++
			e = p.test(e)
		case t.is("("):
			e = p.call(e)
		default:
			return e
		}
		p.deepen()
	}
	return e
}

func (p *parser) postfix(e expr) expr {
	for {
		switch t := p.peek(); {
		case t.is("."):
			p.at++
			e = p.attribute(e, t)
		case t.is("["):
			p.at++
			e = p.subscript(e, t)
		case t.is("("):
			e = p.call(e)
		default:
			return e
		}
		p.deepen()
	}
}

func (p *parser) attribute(e expr, dot token) expr {
	at := place(dot.at)
	t := p.next()
	if v, ok := t.value.(int64); ok {
		return &subscript{at, e, &constant{place(t.at), v}}
	}
	if t.kind != "name" {
		p.fail(t.at, "expected a name or a number after %q, found %v", ".", t)
	}
	return &attribute{at, e, t.text}
}

func (p *parser) subscript(e expr, bracket token) expr {
	at := place(bracket.at)
	if p.take("]") {
		return &subscript{at, e, &sequence{place: at, tuple: true}}
	}
	var key expr
	if !p.peek().is(":") {
		key = p.expression()
	}
	if p.take("]") {
		return &subscript{at, e, key}
	}
	if p.peek().is(",") { // a tuple as key
		keys := &sequence{place: place(key.where()), items: []expr{key}, tuple: true}
		for p.take(",") {
			keys.items = append(keys.items, p.expression())
		}
		p.expect("]")
		return &subscript{at, e, keys}
	}
	s := &slice{place: at, of: e, start: key}
	p.expect(":")
	if !p.peek().is(":") && !p.peek().is("]") {
		s.stop = p.expression()
	}
	if p.take(":") && !p.peek().is("]") {
		s.step = p.expression()
	}
	p.expect("]")
	return s
}

func (p *parser) call(e expr) expr {
	at := place(p.peek().at)
	return &call{at, e, p.arguments()}
}

func (p *parser) filter(e expr) expr {
	word, at := p.dotted()
	f := &filtered{place: at, of: e, text: word}
	if p.peek().is("(") {
		f.args = p.arguments()
	}
	return f
}

// dotted is the name of a filter or a test.
func (p *parser) dotted() (string, place) {
	t := p.expectName()
	word := t.text
	for p.take(".") {
		word += "." + p.expectName().text
	}
	return word, place(t.at)
}

func (p *parser) test(e expr) expr {
	negated := p.take("not")
	word, at := p.dotted()
	test := &tested{place: at, of: e, text: word}
	switch t := p.peek(); {
	case t.is("("):
		test.args = p.arguments()
	case t.is("else"), t.is("or"), t.is("and"):
	case t.is("is"):
		p.fail(t.at, `tests cannot be chained with "is"; join them with "and"`)
	case t.kind == "name", t.kind == "string", t.kind == "number", t.is("["), t.is("{"):
		depth := p.depth
		test.args.list = []expr{p.postfix(p.primary(false))}
		p.depth = depth
	}
	if negated {
		return &unary{at, "not", test}
	}
	return test
}

func (p *parser) arguments() (a arguments) {
	open, given := p.expect("("), map[string]bool{}
	for !p.take(")") {
		if len(a.list)+len(a.named) > 0 || a.rest != nil || a.more != nil {
			p.expect(",")
			if p.take(")") {
				break
			}
		}
		ok := a.more == nil
		switch t := p.peek(); {
		case p.take("*"):
			ok = ok && a.rest == nil
			a.rest = p.expression()
		case p.take("**"):
			a.more = p.expression()
		case t.kind == "name" && p.tokens[p.at+1].is("="):
			if given[t.text] {
				p.fail(t.at, "argument %q is given twice", t.text)
			}
			given[t.text] = true
			p.at += 2
			a.names = append(a.names, t.text)
			a.named = append(a.named, p.expression())
		default:
			ok = ok && a.rest == nil && a.named == nil
			a.list = append(a.list, p.expression())
		}
		if !ok {
			p.fail(open.at, "arguments in the wrong order; write positional ones first, then name=value, *list and **mapping")
		}
	}
	return a
}
