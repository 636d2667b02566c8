package jinja

import (
	"iter"
	"unicode/utf8"
)

// iterator yields the items of a value, one at each call.
func (m *machine) iterator(v any) func() (any, bool) {
	switch v := v.(type) {
	case string:
		return characters(v)
	case markup:
		return characters(string(v))
	case *list:
		return counted(len(v.items), func(i int) any { return v.items[i] })
	case *Map:
		return counted(len(v.keys), func(i int) any { return v.keys[i] })
	case *view:
		return counted(len(v.of.keys), v.item)
	case *span:
		return counted(v.n, v.item)
	case *stream:
		return v.next
	case *loop:
		return func() (any, bool) { // items with the loop, as Python has it
			if !v.advance(m) {
				return nil, false
			}
			return &list{items: []any{v.current, v}, tuple: true}, true
		}
	case undefined:
		return counted(0, nil)
	}
	m.fail("a %s has no items to go through; pass a list or a mapping", typeName(v))
	return nil
}

func counted(n int, item func(int) any) func() (any, bool) {
	i := 0
	return func() (any, bool) {
		if i >= n {
			return nil, false
		}
		i++
		return item(i - 1), true
	}
}

func characters(s string) func() (any, bool) {
	return func() (any, bool) {
		if s == "" {
			return nil, false
		}
		_, n := utf8.DecodeRuneInString(s)
		c := s[:n]
		s = s[n:]
		return c, true
	}
}

// iterate goes through the items of a value, a step each.
func (m *machine) iterate(v any) iter.Seq[any] {
	next := m.iterator(v)
	return func(yield func(any) bool) {
		for {
			item, ok := next()
			if !ok {
				return
			}
			m.work(1)
			if !yield(item) {
				return
			}
		}
	}
}

// collect is the items of a value in memory of its own.
func (m *machine) collect(v any) []any {
	var items []any
	for item := range m.iterate(v) {
		m.alloc(16)
		items = append(items, item)
	}
	return items
}

// lazy is a stream of the items that are found when the stream is first
// read, as the body of a Python generator runs then.
func (m *machine) lazy(items func() func() (any, bool)) *stream {
	var next func() (any, bool)
	return &stream{func() (any, bool) {
		defer m.nest()()
		if next == nil {
			next = items()
		}
		return next()
	}}
}

// generate yields what f sends of each item of v.
func (m *machine) generate(v any, f func(item any, send func(any))) func() (any, bool) {
	next := m.iterator(v)
	var ready []any
	return func() (any, bool) {
		for len(ready) == 0 {
			item, ok := next()
			if !ok {
				return nil, false
			}
			m.work(1)
			f(item, func(v any) { ready = append(ready, v) })
		}
		item := ready[0]
		ready = ready[1:]
		return item, true
	}
}
