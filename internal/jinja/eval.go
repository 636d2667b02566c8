package jinja

// What expressions mean.

// eval is the value of an expression.
func (m *machine) eval(e expr) any {
	m.at = e.where()
	m.work(1)
	return e.eval(m)
}

// value is eval of an expression that may be absent, which is nil.
func (m *machine) value(e expr) any {
	if e == nil {
		return nil
	}
	return m.eval(e)
}

func (e *constant) eval(*machine) any { return e.value }

func (e *name) eval(m *machine) any {
	v := *m.env.variable(e.addr)
	if v == (missing{}) {
		return undefined{quote(e.text) + ` is undefined; pass it to the template, or test it with "is defined"`}
	}
	return v
}

func (e *attribute) eval(m *machine) any {
	of := m.eval(e.of)
	m.at = e.where()
	return m.attribute(of, e.text)
}

func (e *subscript) eval(m *machine) any {
	of, key := m.eval(e.of), m.eval(e.key)
	m.at = e.where()
	return m.subscript(of, key)
}

func (e *slice) eval(m *machine) any {
	of := m.eval(e.of)
	start, stop, step := m.value(e.start), m.value(e.stop), m.value(e.step)
	m.at = e.where()
	return m.slice(of, start, stop, step)
}

func (e *call) eval(m *machine) any {
	callee := m.eval(e.callee)
	a := m.arguments(&e.args)
	m.at = e.where()
	return m.call(callee, a)
}

func (e *filtered) eval(m *machine) any { return m.filter(e, nil) }

// filter is a filter's result. block is what it filters if it has no
// expression to filter: the output of a block.
func (m *machine) filter(e *filtered, block any) any {
	v := block
	switch of := e.of.(type) {
	case nil:
	case *filtered: // may begin with the block
		v = m.filter(of, block)
	default:
		v = m.eval(of)
	}
	a := m.arguments(&e.args)
	m.at = e.where()
	return m.callFilter(e.text, v, a)
}

func (m *machine) callFilter(name string, v any, a args) any {
	f, ok := filters[name]
	if !ok {
		m.fail("%w", noFilter(name))
	}
	m.work(1)
	return f.call(m, v, a)
}

func (e *tested) eval(m *machine) any {
	v := m.eval(e.of)
	a := m.arguments(&e.args)
	m.at = e.where()
	return m.callTest(e.text, v, a)
}

func (m *machine) callTest(name string, v any, a args) any {
	t, ok := tests[name]
	if !ok {
		m.fail("%w", noTest(name))
	}
	m.work(1)
	return t.call(m, v, a)
}

func (e *unary) eval(m *machine) any {
	v := m.eval(e.of)
	m.at = e.where()
	if e.op == "not" {
		return !m.truth(v)
	}
	return m.sign(e.op, v)
}

func (e *binary) eval(m *machine) any {
	left, right := m.eval(e.left), m.eval(e.right)
	m.at = e.where()
	return m.arithmetic(e.op, left, right)
}

func (e *logical) eval(m *machine) any {
	left := m.eval(e.left)
	if m.truth(left) == e.or {
		return left
	}
	return m.eval(e.right)
}

func (e *comparison) eval(m *machine) any {
	left := m.eval(e.first)
	for i, op := range e.ops {
		right := m.eval(e.rest[i])
		m.at = e.where()
		if !m.compare(op, left, right) {
			return false
		}
		left = right
	}
	return true
}

func (e *concat) eval(m *machine) any {
	var b builder
	for _, item := range e.items {
		b.add(m, m.str(m.eval(item)))
	}
	return b.String()
}

func (e *inlineIf) eval(m *machine) any {
	if m.truth(m.eval(e.test)) {
		return m.eval(e.then)
	}
	if e.otherwise == nil {
		return undefined{`the inline if is false and has no else; add "else" and a value`}
	}
	return m.eval(e.otherwise)
}

func (e *sequence) eval(m *machine) any {
	m.alloc(16*len(e.items) + 32)
	l := &list{items: make([]any, len(e.items)), tuple: e.tuple}
	for i, item := range e.items {
		l.items[i] = m.eval(item)
	}
	return l
}

func (e *dict) eval(m *machine) any {
	d := &Map{}
	for i, k := range e.keys {
		key := m.eval(k)
		v := m.eval(e.values[i])
		m.at = k.where()
		m.put(d, key, v)
	}
	return d
}

// eval reads the attribute; only assignments have this node.
func (e *namespaced) eval(m *machine) any { return m.attribute(m.eval(e.ns), e.text) }
