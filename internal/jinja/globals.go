package jinja

import "math/big"

// globals are the functions of a template, those of jinja2 and transformers.
var globals map[string]any

var (
	dictFunction = variadic(func(m *machine, _ any, a args) any { return m.newDict(a) })
	dictFromKeys = fn("iterable value?", func(m *machine, _ any, a []any) any {
		d := &Map{}
		for key := range m.iterate(a[0]) {
			m.put(d, key, given(a[1], nil))
		}
		return d
	})
)

// maxRange is what the sandbox of jinja2 lets range count to.
const maxRange = 100000

func init() {
	globals = map[string]any{
		"range": variadic(rangeFunction),
		"dict":  dictFunction,
		"namespace": variadic(func(m *machine, _ any, a args) any {
			d, ns := m.newDict(a), &namespace{&Map{}}
			for i, key := range d.keys {
				m.setAttribute(ns, m.str(key), d.values[i])
			}
			return ns
		}),
		"cycler": variadic(func(m *machine, _ any, a args) any {
			if len(a.list) == 0 || len(a.named) > 0 {
				m.fail("cycler wants values to choose from")
			}
			return &cycler{items: a.list}
		}),
		"joiner": fn("sep?", func(_ *machine, _ any, a []any) any { return &joiner{separator: given(a[0], ", ")} }),
		"raise_exception": fn("message", func(m *machine, _ any, a []any) any {
			panic(failure{m.at, &RaiseError{m.str(a[0])}})
		}),
		"strftime_now": fn("format", func(m *machine, _ any, a []any) any {
			return m.strftime(m.wantString("format", a[0]), m.now())
		}),
	}
}

// newDict is Python's dict: of a mapping or pairs, and of named arguments.
func (m *machine) newDict(a args) *Map {
	d := &Map{}
	if len(a.list) > 1 {
		m.fail("dict takes one mapping or list of pairs, got %d arguments", len(a.list))
	}
	if len(a.list) == 1 {
		if from, ok := a.list[0].(*Map); ok {
			m.alloc(64 * len(from.keys))
			d = from.copy()
		} else {
			for pair := range m.iterate(a.list[0]) {
				kv := m.unpack(pair, 2)
				m.put(d, kv[0], kv[1])
			}
		}
	}
	for _, name := range a.names() {
		m.put(d, name, a.named[name])
	}
	return d
}

func rangeFunction(m *machine, _ any, a args) any {
	if len(a.list) < 1 || len(a.list) > 3 || len(a.named) > 0 {
		m.fail("range wants a stop, a start and a stop, or these and a step")
	}
	bounds := make([]int64, len(a.list))
	for i, v := range a.list {
		if _, ok := v.(*big.Int); ok {
			m.fail("range beyond %d items", maxRange)
		}
		bounds[i] = int64(m.wantInt("the bound of a range", v))
	}
	start, stop, step := int64(0), bounds[0], int64(1)
	if len(bounds) > 1 {
		start, stop = bounds[0], bounds[1]
	}
	if len(bounds) > 2 {
		step = bounds[2]
	}
	if step == 0 {
		m.fail("the step of a range cannot be 0")
	}
	n := int64(0)
	if step > 0 && start < stop {
		n = (stop-start-1)/step + 1
	} else if step < 0 && stop < start {
		n = (start-stop-1)/-step + 1
	}
	if n > maxRange {
		m.fail("range of %d items, at most %d allowed: %w", n, maxRange, ErrLimit)
	}
	return &span{start, step, int(n)}
}
