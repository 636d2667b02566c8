package jinja

// What statements do.

// run executes statements until one leaves a loop.
func (m *machine) run(body []statement) flow {
	for _, s := range body {
		m.at = s.where()
		m.work(1)
		if f := s.exec(m); f != onward {
			return f
		}
	}
	return onward
}

func (s *text) exec(m *machine) flow {
	m.write(s.text)
	return onward
}

func (s *output) exec(m *machine) flow {
	for _, e := range s.items {
		v := m.eval(e)
		m.at = e.where()
		if text, ok := asString(v); ok {
			m.write(text)
		} else {
			m.write(m.str(v))
		}
	}
	return onward
}

func (s *ifBlock) exec(m *machine) flow {
	for i, test := range s.tests {
		if m.truth(m.eval(test)) {
			return m.run(s.bodies[i])
		}
	}
	return m.run(s.otherwise)
}

func (s *set) exec(m *machine) flow {
	m.assign(m.env, s.target, m.eval(s.value))
	return onward
}

func (s *setBlock) exec(m *machine) (f flow) {
	var v any
	m.inside(newEnv(m, s.frame, m.env), func() {
		v, f = m.filterBlock(s.body, s.filter)
	})
	if f == onward {
		m.assign(m.env, s.target, v)
	}
	return f
}

// filterBlock is what a body writes, filtered.
func (m *machine) filterBlock(body []statement, filter expr) (v any, f flow) {
	v = m.capture(func() { f = m.run(body) })
	if f == onward && filter != nil {
		v = m.filter(filter.(*filtered), v)
	}
	return v, f
}

func (s *filterBlock) exec(m *machine) (f flow) {
	m.inside(newEnv(m, s.frame, m.env), func() {
		var v any
		if v, f = m.filterBlock(s.body, s.filter); f == onward {
			m.write(m.wantString("the output of the filter", v))
		}
	})
	return f
}

func (s *withBlock) exec(m *machine) (f flow) {
	e := newEnv(m, s.frame, m.env)
	for i, target := range s.targets {
		m.assign(e, target, m.eval(s.values[i]))
	}
	m.inside(e, func() { f = m.run(s.body) })
	return f
}

func (s *macroBlock) exec(m *machine) flow {
	*m.env.variable(s.name.addr) = &macro{s, m.env}
	return onward
}

func (s *callBlock) exec(m *machine) flow {
	body := &macro{s.macro, m.env}
	if s.call == nil {
		m.write(m.callMacro(body, args{}))
		return onward
	}
	callee := m.eval(s.call.callee)
	a := m.arguments(&s.call.args)
	a.add("caller", body)
	m.at = s.call.where()
	m.write(m.str(m.call(callee, a)))
	return onward
}

func (s *leave) exec(*machine) flow { return s.how }

// assign gives the variables of a target, which live in e, their values.
func (m *machine) assign(e *env, target expr, v any) {
	switch t := target.(type) {
	case *name:
		*e.variable(t.addr) = v
	case *namespaced:
		m.at = t.where()
		ns, ok := (*e.variable(t.ns.addr)).(*namespace)
		if !ok {
			m.fail("cannot set %s.%s: %q is no namespace; make one with {%% set %s = namespace() %%}", t.ns.text, t.text, t.ns.text, t.ns.text)
		}
		m.setAttribute(ns, t.text, v)
	case *sequence:
		m.at = t.where()
		items := m.unpack(v, len(t.items))
		for i, item := range t.items {
			m.assign(e, item, items[i])
		}
	}
}

// unpack is v as a list of n values.
func (m *machine) unpack(v any, n int) []any {
	var items []any
	for item := range m.iterate(v) {
		if items = append(items, item); len(items) > n {
			break
		}
	}
	if len(items) != n {
		few := map[bool]string{true: "fewer", false: "more"}[len(items) < n]
		m.fail("cannot unpack a %s into %d variables: it has %s items", typeName(v), n, few)
	}
	return items
}

func (m *machine) setAttribute(ns *namespace, key string, v any) {
	if key != "" && key[0] == '_' {
		m.fail("a namespace cannot have %q; choose a name without underscore in front", key)
	}
	m.put(ns.attrs, key, v)
}
