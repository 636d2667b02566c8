package jinja

// A loop is the variable "loop" inside of a for block.
type loop struct {
	block *forBlock
	env   *env // around the block
	depth int

	items     func() (any, bool)
	ahead     []any // read from items, but not yet given out
	index     int   // of the current item, from 0
	before    any
	current   any
	changed   any // the last arguments of loop.changed
	hasBefore bool
}

func (s *forBlock) exec(m *machine) flow {
	in := m.eval(s.in)
	if !s.recursive {
		m.at = s.where()
		return s.run(m, in, 0)
	}
	m.write(s.recurse(m, in, m.env, 0))
	return onward
}

// recurse is what the body writes for the items of in: loop(in).
func (s *forBlock) recurse(m *machine, in any, around *env, depth int) string {
	defer m.nest()()
	return m.capture(func() {
		m.inside(around, func() { s.run(m, in, depth) })
	})
}

func (s *forBlock) run(m *machine, in any, depth int) flow {
	items := m.iterator(in)
	if s.test != nil {
		items = s.filter(m, items)
	}
	l := &loop{block: s, env: m.env, depth: depth, items: items, index: -1, changed: missing{}}
	e := newEnv(m, s.frame, m.env)
	loopSlot := s.frame.slots["loop"]
	completed := false // as in jinja2, an iteration cut short does not keep the else from running
	for l.advance(m) {
		m.work(1)
		m.at = s.where()
		e.vars[loopSlot] = l
		m.assign(e, s.target, l.current)
		e.enter(m, s.frame)
		var f flow
		m.inside(e, func() { f = m.run(s.body) })
		if f == breaks {
			break
		}
		completed = completed || f == onward
	}
	if completed || s.otherwise == nil {
		return onward
	}
	var f flow
	m.inside(newEnv(m, s.elseFrame, m.env), func() { f = m.run(s.otherwise) })
	return f
}

// filter passes on the items for which the test of the block holds, an item
// of several variables as their tuple. It runs when the item is asked for:
// the body may change what the test looks at.
func (s *forBlock) filter(m *machine, items func() (any, bool)) func() (any, bool) {
	e := newEnv(m, s.testFrame, m.env)
	return func() (v any, ok bool) {
		for {
			if v, ok = items(); !ok {
				return nil, false
			}
			m.work(1)
			m.assign(e, s.target, v)
			holds := false
			m.inside(e, func() {
				holds = m.truth(m.eval(s.test))
				v = m.eval(s.target)
			})
			if holds {
				return v, true
			}
		}
	}
}

func (l *loop) advance(m *machine) bool {
	v, ok := l.peek()
	if !ok {
		return false
	}
	l.ahead = l.ahead[1:]
	l.before, l.hasBefore = l.current, l.index >= 0
	l.current = v
	l.index++
	return true
}

// peek is the item after the current one.
func (l *loop) peek() (any, bool) {
	if len(l.ahead) == 0 {
		v, ok := l.items()
		if !ok {
			return nil, false
		}
		l.ahead = append(l.ahead, v)
	}
	return l.ahead[0], true
}

// length reads all items.
func (l *loop) length(m *machine) int {
	for {
		v, ok := l.items()
		if !ok {
			return l.index + 1 + len(l.ahead)
		}
		m.alloc(16)
		l.ahead = append(l.ahead, v)
	}
}

// attribute is loop.name.
func (l *loop) attribute(m *machine, name string) (any, bool) {
	switch name {
	case "index":
		return int64(l.index + 1), true
	case "index0":
		return int64(l.index), true
	case "revindex":
		return int64(l.length(m) - l.index), true
	case "revindex0":
		return int64(l.length(m) - l.index - 1), true
	case "length":
		return int64(l.length(m)), true
	case "first":
		return l.index == 0, true
	case "last":
		_, more := l.peek()
		return !more, true
	case "depth":
		return int64(l.depth + 1), true
	case "depth0":
		return int64(l.depth), true
	case "previtem":
		if !l.hasBefore {
			return undefined{"there is no previous item; test loop.first before"}, true
		}
		return l.before, true
	case "nextitem":
		if v, more := l.peek(); more {
			return v, true
		}
		return undefined{"there is no next item; test loop.last before"}, true
	case "cycle":
		return &method{l, name, loopCycle}, true
	case "changed":
		return &method{l, name, loopChanged}, true
	}
	return nil, false
}

var loopCycle = variadic(func(m *machine, self any, a args) any {
	if len(a.list) == 0 {
		m.fail("loop.cycle wants values to choose from")
	}
	return a.list[self.(*loop).index%len(a.list)]
})

var loopChanged = variadic(func(m *machine, self any, a args) any {
	l, now := self.(*loop), &list{items: a.list, tuple: true}
	if m.equal(l.changed, now) {
		return false
	}
	l.changed = now
	return true
})
