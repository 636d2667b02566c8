package jinja

import "fmt"

// A binder lays out the frames below one, gives every name its address, and
// refuses filters and tests that do not exist. Inside of an if that is left
// to the run, as jinja2 does: templates probe for what is there.
type binder struct {
	frame *frame
	soft  bool
}

// bind prepares a template and returns the outermost frame.
func bind(body []statement) *frame {
	f := newFrame(nil, nil, func(s *scope) { s.statements(body) })
	binder{f, false}.statements(body)
	return f
}

// inner binds the body of a block in its own frame.
func (b binder) inner(body []statement, params []string, exprs ...expr) *frame {
	f := newFrame(b.frame, params, func(s *scope) {
		each(s.expr, exprs...)
		s.statements(body)
	})
	in := binder{f, false}
	each(in.expr, exprs...)
	in.statements(body)
	return f
}

func (b binder) expr(e expr) {
	switch e := e.(type) {
	case *name:
		e.addr, _ = b.frame.lookup(e.text)
	case *filtered:
		if _, ok := filters[e.text]; !ok && !b.soft {
			panic(failure{e.where(), noFilter(e.text)})
		}
	case *tested:
		if _, ok := tests[e.text]; !ok && !b.soft {
			panic(failure{e.where(), noTest(e.text)})
		}
	case *inlineIf:
		b.soft = true
	}
	e.parts(b.expr)
}

func noFilter(name string) error {
	return fmt.Errorf("no filter %q; chat templates have jinja2's filters and tojson", name)
}

func noTest(name string) error {
	return fmt.Errorf("no test %q; chat templates have jinja2's tests", name)
}

func (b binder) statements(body []statement) {
	for _, st := range body {
		b.statement(st)
	}
}

func (b binder) statement(st statement) {
	switch st := st.(type) {
	case *output:
		each(b.expr, st.items...)
	case *ifBlock:
		b.soft = true
		each(b.expr, st.tests...)
		for _, body := range st.bodies {
			b.statements(body)
		}
		b.statements(st.otherwise)
	case *forBlock:
		b.loop(st)
	case *set:
		b.expr(st.value)
		b.expr(st.target)
	case *setBlock:
		b.expr(st.target)
		st.frame = b.inner(st.body, nil, st.filter)
	case *withBlock:
		each(b.expr, st.values...)
		var params []string
		for _, t := range st.targets {
			params = append(params, names(t)...)
		}
		st.frame = b.inner(st.body, params, st.targets...)
	case *filterBlock:
		st.frame = b.inner(st.body, nil, st.filter)
	case *macroBlock:
		b.expr(st.name)
		b.macro(st)
	case *callBlock:
		if st.call != nil {
			b.expr(st.call)
		}
		b.macro(st.macro)
	}
}

func (b binder) loop(st *forBlock) {
	b.expr(st.in)
	params := names(st.target)
	if st.test != nil {
		st.testFrame = b.inner(nil, params, st.target, st.test)
	}
	if st.otherwise != nil {
		st.elseFrame = b.inner(st.otherwise, nil)
	}
	st.frame = b.inner(st.body, append(params, "loop"), st.target)
}

// macro lays out parameters and what the body reads of caller, kwargs and
// varargs without having a parameter of that name.
func (b binder) macro(st *macroBlock) {
	var params []string
	var exprs []expr
	declared := map[string]bool{}
	for _, p := range st.params {
		params = append(params, p.text)
		exprs = append(exprs, p)
		declared[p.text] = true
	}
	var special []string
	for _, word := range []string{"caller", "kwargs", "varargs"} {
		if st.uses[word] && !declared[word] {
			special = append(special, word)
		}
	}
	st.frame = b.inner(st.body, append(params, special...), append(exprs, st.defaults...)...)
	st.special = map[string]int{}
	for _, word := range special {
		st.special[word] = st.frame.slots[word]
	}
}
