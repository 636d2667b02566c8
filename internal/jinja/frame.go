package jinja

import (
	"maps"
	"slices"
)

// Where variables live. jinja2 compiles templates to Python functions and
// decides before the run which function's local variable a name means
// (jinja2/idtracking.py); templates depend on the outcome, so the rules here
// are the same: a loop, a macro, a with, a call, a filter and a set block
// open a frame; an if does not. What a frame sets, it does not leak.

// A frame is the layout of the variables of one block.
type frame struct {
	parent *frame
	slots  map[string]int
	loads  []load // what to put into the slots on entry
}

// An address is a variable: slot of the frame that is up levels out.
type address struct{ up, slot int }

// A load says what a variable is when its frame is entered.
type load struct {
	how   loading
	name  string
	slot  int
	outer address // of an alias, as seen from the frame
}

type loading int

const (
	parameter loading = iota // set by who enters
	resolve                  // what Render was given, or a global
	alias                    // a variable further out
	undefine                 // nothing
)

// lookup finds a name in f or further out.
func (f *frame) lookup(name string) (address, bool) {
	for up := 0; f != nil; f, up = f.parent, up+1 {
		if slot, ok := f.slots[name]; ok {
			return address{up, slot}, true
		}
	}
	return address{}, false
}

// A scope collects what the statements of a frame, or of a branch of an if
// inside of it, do with names.
type scope struct {
	frame  *frame
	base   *scope // around a branch
	loads  map[string]load
	stores map[string]bool
}

func newScope(f *frame, base *scope) *scope {
	return &scope{f, base, map[string]load{}, map[string]bool{}}
}

// newFrame lays out the frame of a block with parameters params. analyze
// tells the scope what the block does.
func newFrame(parent *frame, params []string, analyze func(*scope)) *frame {
	f := &frame{parent: parent, slots: map[string]int{}}
	s := newScope(f, nil)
	for _, p := range params {
		s.define(p, parameter)
		s.stores[p] = true
	}
	analyze(s)
	for _, l := range s.loads {
		if l.how != parameter {
			f.loads = append(f.loads, l)
		}
	}
	slices.SortFunc(f.loads, func(a, b load) int { return a.slot - b.slot })
	return f
}

func (s *scope) define(name string, how loading) {
	slot, ok := s.frame.slots[name]
	if !ok {
		slot = len(s.frame.slots)
		s.frame.slots[name] = slot
	}
	l := load{how: how, name: name, slot: slot}
	if how == alias {
		l.outer, _ = s.outer(name)
	}
	s.loads[name] = l
}

// outer finds a name outside of the frame, as seen from the frame.
func (s *scope) outer(name string) (address, bool) {
	a, ok := s.frame.parent.lookup(name)
	a.up++
	return a, ok
}

// known says whether the frame has a variable for name already.
func (s *scope) known(name string) bool {
	for ; s != nil; s = s.base {
		if _, ok := s.loads[name]; ok {
			return true
		}
	}
	return false
}

func (s *scope) stored(name string) bool {
	for ; s != nil; s = s.base {
		if s.stores[name] {
			return true
		}
	}
	return false
}

func (s *scope) load(name string) {
	if _, ok := s.outer(name); !ok && !s.known(name) {
		s.define(name, resolve)
	}
}

func (s *scope) store(name string) {
	s.stores[name] = true
	if s.known(name) {
		return
	}
	if _, ok := s.outer(name); ok {
		s.define(name, alias)
	} else {
		s.define(name, undefine)
	}
}

// merge takes over what the branches of an if did. A variable that only some
// of them set has its outer value in the others.
func (s *scope) merge(branches ...*scope) {
	set := map[string]bool{}
	for _, b := range branches {
		for name := range b.stores {
			if !s.stored(name) {
				set[name] = true
			}
		}
	}
	for _, b := range branches {
		maps.Copy(s.loads, b.loads)
		maps.Copy(s.stores, b.stores)
	}
	for name := range set {
		if _, ok := s.outer(name); ok {
			s.define(name, alias)
		} else {
			s.define(name, resolve)
		}
	}
}

func (s *scope) expr(e expr) {
	if n, ok := e.(*name); ok {
		s.load(n.text)
	}
	e.parts(s.expr)
}

// target notes the names that an assignment sets.
func (s *scope) target(e expr) {
	switch e := e.(type) {
	case *name:
		s.store(e.text)
	case *namespaced:
		s.load(e.ns.text)
	case *sequence:
		e.parts(s.target)
	}
}

func (s *scope) statements(body []statement) {
	for _, st := range body {
		s.statement(st)
	}
}

// statement notes what a statement does in this frame. The bodies of blocks
// that open a frame of their own are looked at when that is laid out.
func (s *scope) statement(st statement) {
	switch st := st.(type) {
	case *output:
		each(s.expr, st.items...)
	case *ifBlock:
		s.branches(st)
	case *forBlock:
		s.expr(st.in)
	case *set:
		s.expr(st.value)
		s.target(st.target)
	case *setBlock:
		s.target(st.target)
	case *withBlock:
		each(s.expr, st.values...)
	case *filterBlock:
		s.expr(st.filter)
	case *macroBlock:
		s.store(st.name.text)
	case *callBlock:
		if st.call != nil {
			s.expr(st.call)
		}
	}
}

// branches looks at an if. The tests and bodies after the first are inside
// of one branch, as if nested.
func (s *scope) branches(st *ifBlock) {
	s.expr(st.tests[0])
	body, elifs, otherwise := newScope(s.frame, s), newScope(s.frame, s), newScope(s.frame, s)
	body.statements(st.bodies[0])
	for i := range st.tests[1:] {
		elifs.branches(&ifBlock{tests: st.tests[1+i : 2+i], bodies: st.bodies[1+i : 2+i]})
	}
	otherwise.statements(st.otherwise)
	s.merge(body, elifs, otherwise)
}

// names are the names that a target assigns to.
func names(target expr) []string {
	switch e := target.(type) {
	case *name:
		return []string{e.text}
	case *sequence:
		var all []string
		for _, item := range e.items {
			all = append(all, names(item)...)
		}
		return all
	}
	return nil
}
