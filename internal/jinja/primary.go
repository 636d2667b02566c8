package jinja

import "slices"

// primary reads a name, a literal, or an expression in brackets. The target
// of a set may be an attribute of a namespace.
func (p *parser) primary(target bool) expr {
	t := p.next()
	at := place(t.at)
	switch t.kind {
	case "name":
		switch t.text {
		case "true", "True":
			return &constant{at, true}
		case "false", "False":
			return &constant{at, false}
		case "none", "None":
			return &constant{at, nil}
		}
		n := &name{place: at, text: t.text}
		if target && p.take(".") {
			p.loads(n.text)
			return &namespaced{at, n, p.expectName().text}
		}
		p.loads(n.text)
		return n
	case "string":
		s := t.value.(string)
		for p.peek().kind == "string" { // neighbours are one string
			s += p.next().value.(string)
		}
		return &constant{at, s}
	case "number":
		return &constant{at, t.value}
	case "(":
		e := nest(p, func() expr { return p.items(p.expression, nil) })
		p.expect(")")
		if e == nil {
			return &sequence{place: at, tuple: true}
		}
		return e
	case "[":
		return &sequence{place: at, items: p.list("]")}
	case "{":
		return p.dict(at)
	}
	p.fail(t.at, "expected an expression, found %v", t)
	return nil
}

// loads notes that the open macros read a variable.
func (p *parser) loads(variable string) {
	switch variable {
	case "caller", "kwargs", "varargs":
		for _, m := range p.macros {
			m.uses[variable] = true
		}
	}
}

// tuple reads an item, or several with commas between, which are a tuple. It
// ends where a tag or a bracket ends, or where end says so.
func (p *parser) tuple(item func() expr, end func() bool) expr {
	if e := p.items(item, end); e != nil {
		return e
	}
	p.fail(p.peek().at, "expected an expression, found %v", p.peek())
	return nil
}

// items is a tuple that may be empty, which is nil.
func (p *parser) items(item func() expr, end func() bool) expr {
	at := place(p.peek().at)
	var items []expr
	for {
		t := p.peek()
		if t.is("}}") || t.is("%}") || t.is(")") || end != nil && end() {
			break
		}
		e := item()
		if comma := p.take(","); !comma && items == nil {
			return e
		} else if items = append(items, e); !comma {
			break
		}
	}
	if items == nil {
		return nil
	}
	return &sequence{at, items, true}
}

// list reads expressions up to the closing token. The last may have a comma.
func (p *parser) list(end string) []expr {
	var items []expr
	for !p.peek().is(end) {
		items = append(items, p.expression())
		if !p.take(",") {
			break
		}
	}
	if end != "%}" { // the caller reads that
		p.expect(end)
	}
	return items
}

func (p *parser) dict(at place) expr {
	d := &dict{place: at}
	for !p.peek().is("}") {
		d.keys = append(d.keys, p.expression())
		p.expect(":")
		d.values = append(d.values, p.expression())
		if !p.take(",") {
			break
		}
	}
	p.expect("}")
	return d
}

// target reads what a set, a for or a with assigns to: a name, a tuple of
// them, or an attribute of a namespace.
func (p *parser) target(end func() bool, namespaces bool) expr {
	e := p.tuple(func() expr { return p.primary(namespaces) }, end)
	p.checkTarget(e)
	return e
}

func (p *parser) checkTarget(e expr) {
	switch e := e.(type) {
	case *name:
		p.assignable(token{text: e.text, at: e.where()})
	case *namespaced:
	case *sequence:
		if !e.tuple {
			p.fail(e.where(), "cannot assign to a list; write the names with commas and no brackets")
		}
		for _, item := range e.items {
			p.checkTarget(item)
		}
	default:
		p.fail(e.where(), "cannot assign to this; the target must be a name")
	}
}

// assignable refuses names that mean something else.
func (p *parser) assignable(t token) {
	if slices.Contains([]string{"true", "True", "false", "False", "none", "None"}, t.text) {
		p.fail(t.at, "cannot assign to %q", t.text)
	}
	if t.text == "loop" && p.inLoop > 0 {
		p.fail(t.at, `cannot assign to "loop" inside of a loop; choose another name`)
	}
}
