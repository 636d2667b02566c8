package jinja

import (
	"maps"
	"slices"
	"strings"
)

// args are the evaluated arguments of a call.
type args struct {
	list  []any
	named map[string]any
	order []string // of the keys of named, when made
}

func (a *args) add(name string, v any) {
	if a.named == nil {
		a.named = map[string]any{}
	}
	a.named[name] = v
	a.order = append(a.order, name)
}

// take removes and returns the argument called name.
func (a *args) take(name string) (any, bool) {
	v, ok := a.named[name]
	delete(a.named, name)
	return v, ok
}

// names are those of the named arguments that were not taken.
func (a *args) names() []string {
	return slices.DeleteFunc(slices.Clone(a.order), func(name string) bool {
		_, ok := a.named[name]
		return !ok
	})
}

// copy is a with named arguments that can be taken without changing a.
func (a args) copy() args { return args{a.list, maps.Clone(a.named), a.order} }

func (m *machine) arguments(from *arguments) args {
	var a args
	for _, e := range from.list {
		a.list = append(a.list, m.eval(e))
	}
	for i, e := range from.named {
		a.add(from.names[i], m.eval(e))
	}
	if from.rest != nil {
		a.list = append(a.list, m.collect(m.eval(from.rest))...)
	}
	if from.more != nil {
		v := m.eval(from.more)
		d, ok := v.(*Map)
		if !ok {
			m.fail("** wants a mapping, got a %s", typeName(v))
		}
		for i, k := range d.keys {
			key, ok := asString(k)
			if _, twice := a.named[key]; !ok || twice {
				m.fail("** wants keys that are strings and not arguments already, got %s", m.short(k))
			}
			m.alloc(64)
			a.add(key, d.values[i])
		}
	}
	return a
}

// A native is a filter, a test, a method or a function written in Go.
type native struct {
	params []string // names; optional ones end in "?"
	bound  func(m *machine, self any, a []any) any
	free   func(m *machine, self any, a args) any // takes what comes, instead
}

// fn is a native with parameters such as "old new count?". Absent arguments
// are missing{}. Self is what is filtered or tested, or whose method it is.
func fn(params string, f func(m *machine, self any, a []any) any) *native {
	return &native{params: strings.Fields(params), bound: f}
}

func variadic(f func(m *machine, self any, a args) any) *native { return &native{free: f} }

func (n *native) call(m *machine, self any, a args) any {
	if n.free != nil {
		return n.free(m, self, a)
	}
	if len(a.list) > len(n.params) {
		m.fail("%d arguments, at most %d allowed", len(a.list), len(n.params))
	}
	bound := make([]any, len(n.params))
	for i, p := range n.params {
		p, optional := strings.CutSuffix(p, "?")
		v, named := a.take(p)
		switch {
		case i < len(a.list) && named:
			m.fail("argument %q is given twice", p)
		case i < len(a.list):
			v = a.list[i]
		case !named && !optional:
			m.fail("argument %q is missing", p)
		case !named:
			v = missing{}
		}
		bound[i] = v
	}
	if len(a.named) > 0 {
		m.fail("no argument %q; there are %s", a.names()[0], strings.Join(n.params, ", "))
	}
	return n.bound(m, self, bound)
}

// call calls a value.
func (m *machine) call(callee any, a args) any {
	m.work(1)
	switch f := callee.(type) {
	case *macro:
		return m.callMacro(f, a)
	case *method:
		return f.fn.call(m, f.of, a)
	case *native:
		return f.call(m, nil, a)
	case *joiner:
		if !f.used {
			f.used = true
			return ""
		}
		return f.separator
	case *loop:
		if !f.block.recursive {
			m.fail(`loop can only be called if the for ends in "recursive"`)
		}
		if len(a.list) != 1 || len(a.named) > 0 {
			m.fail("loop wants one list")
		}
		return f.block.recurse(m, a.list[0], f.env, f.depth+1)
	case undefined:
		m.fail("%s", f.why)
	}
	m.fail("a %s cannot be called", typeName(callee))
	return nil
}

// A macro is a macro or the body of a call block, with the variables around it.
type macro struct {
	block *macroBlock
	env   *env
}

func (f *macro) name() string {
	if f.block.name == nil {
		return "caller"
	}
	return f.block.name.text
}

// callMacro is what the body of f writes.
func (m *machine) callMacro(f *macro, a args) string {
	defer m.nest()()
	b := f.block
	e := newEnv(m, b.frame, f.env)
	caller, called := any(nil), false
	if _, ok := b.special["caller"]; ok {
		caller, called = a.take("caller")
	}
	m.inside(e, func() { m.parameters(f, e, &a) })
	for word, slot := range b.special {
		switch word {
		case "caller":
			e.vars[slot] = caller
			if !called {
				e.vars[slot] = undefined{"no caller; call the macro with {% call %}"}
			}
		case "kwargs":
			d := &Map{}
			for _, name := range a.names() {
				m.put(d, name, a.named[name])
			}
			e.vars[slot] = d
		case "varargs":
			e.vars[slot] = &list{items: a.list[min(len(b.params), len(a.list)):], tuple: true}
		}
	}
	m.checkArguments(f, a)
	var s string
	m.inside(e, func() { s = m.capture(func() { m.run(b.body) }) })
	return s
}

// parameters sets the variables of the parameters, in order: defaults may
// refer to those before.
func (m *machine) parameters(f *macro, e *env, a *args) {
	params, defaults := f.block.params, f.block.defaults
	var absent []int
	for i, p := range params {
		slot := e.variable(address{0, f.block.frame.slots[p.text]})
		*slot = missing{}
		if i < len(a.list) {
			*slot = a.list[i]
		} else if v, ok := a.take(p.text); ok {
			*slot = v
		} else {
			absent = append(absent, i)
		}
	}
	for _, i := range absent {
		p := params[i]
		slot := e.variable(address{0, f.block.frame.slots[p.text]})
		if d := i - (len(params) - len(defaults)); d >= 0 {
			*slot = m.eval(defaults[d])
		} else {
			*slot = undefined{"parameter " + quote(p.text) + " was not provided"}
		}
	}
}

// checkArguments refuses what is left over.
func (m *machine) checkArguments(f *macro, a args) {
	if _, ok := f.block.special["kwargs"]; !ok && len(a.named) > 0 {
		m.fail("macro %q has no parameter %q", f.name(), a.names()[0])
	}
	if _, ok := f.block.special["varargs"]; !ok && len(a.list) > len(f.block.params) {
		m.fail("macro %q takes at most %d arguments, got %d", f.name(), len(f.block.params), len(a.list))
	}
}
