package jinja

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A machine renders one template once.
type machine struct {
	ctx    context.Context
	limits Limits
	now    func() time.Time
	vars   map[string]any

	out      *strings.Builder // of the template, or of the block that is captured
	captures int              // how many blocks are being captured
	env      *env
	at       int // the node at work, for errors

	steps, depth, memory int
}

// fail ends the run with an error at the node at work.
func (m *machine) fail(format string, args ...any) {
	panic(failure{m.at, fmt.Errorf(format, args...)})
}

// work counts n operations.
func (m *machine) work(n int) {
	before := m.steps
	if m.steps += n; m.steps > m.limits.Steps || m.steps < 0 {
		m.fail("more than %d steps; the template does not seem to end: %w", m.limits.Steps, ErrLimit)
	}
	if before>>12 != m.steps>>12 && m.ctx.Err() != nil {
		m.fail("%w", context.Cause(m.ctx))
	}
}

// scan counts the reading of n bytes of a string.
func (m *machine) scan(n int) { m.work(1 + n/64) }

// alloc counts n bytes that a value takes, before they are taken. It counts
// what is made, not what is in use.
func (m *machine) alloc(n int) {
	m.work(1 + n/1024)
	if m.memory += n; m.memory > m.limits.Memory || m.memory < 0 || n < 0 {
		m.fail("values of more than %d MiB: %w", m.limits.Memory>>20, ErrLimit)
	}
}

// nest counts one more level of calls or of nested values, until what it
// returns is called.
func (m *machine) nest() func() {
	if m.depth++; m.depth > m.limits.Depth {
		m.fail("nested more than %d levels deep; does a macro call itself for ever? %w", m.limits.Depth, ErrLimit)
	}
	return func() { m.depth-- }
}

// write adds to the output.
func (m *machine) write(s string) {
	if m.out.Len()+len(s) > m.limits.Output {
		m.fail("output of more than %d KiB: %w", m.limits.Output>>10, ErrLimit)
	}
	if m.captures > 0 {
		m.alloc(len(s))
	}
	m.out.WriteString(s)
}

// capture is what run writes.
func (m *machine) capture(run func()) string {
	out := m.out
	m.out = &strings.Builder{}
	m.captures++
	run()
	m.captures--
	s := m.out.String()
	m.out = out
	return s
}

// runes is the length of a string in characters.
func (m *machine) runes(s string) int {
	m.scan(len(s))
	return utf8.RuneCountInString(s)
}

// An env holds the variables of a frame.
type env struct {
	vars []any
	up   *env
}

func newEnv(m *machine, f *frame, up *env) *env {
	m.alloc(16*len(f.slots) + 32)
	e := &env{make([]any, len(f.slots)), up}
	for i := range e.vars {
		e.vars[i] = missing{}
	}
	e.enter(m, f)
	return e
}

// enter gives the variables that are no parameters what they are at first.
func (e *env) enter(m *machine, f *frame) {
	m.work(len(f.loads))
	for _, l := range f.loads {
		switch l.how {
		case resolve:
			e.vars[l.slot] = m.resolve(l.name)
		case alias:
			e.vars[l.slot] = *e.variable(l.outer)
		case undefine:
			e.vars[l.slot] = missing{}
		}
	}
}

func (e *env) variable(a address) *any {
	for range a.up {
		e = e.up
	}
	return &e.vars[a.slot]
}

// resolve is what a name means that the template does not set.
func (m *machine) resolve(name string) any {
	if v, ok := m.vars[name]; ok {
		return v
	}
	if f, ok := globals[name]; ok {
		return f
	}
	return missing{}
}

// inside runs something with the variables of e.
func (m *machine) inside(e *env, run func()) {
	outer := m.env
	m.env = e
	run()
	m.env = outer
}
