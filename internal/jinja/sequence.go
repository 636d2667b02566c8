package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// sequenceFilters are the filters of lists, mappings and what else has items.
var sequenceFilters = map[string]*native{
	"batch":      fn("linecount fill_with?", filterBatch),
	"dictsort":   fn("case_sensitive? by? reverse?", filterDictsort),
	"first":      fn("", filterFirst),
	"groupby":    fn("attribute default? case_sensitive?", filterGroupby),
	"items":      fn("", filterItems),
	"join":       fn("d? attribute?", filterJoin),
	"last":       fn("", filterLast),
	"length":     fn("", filterLength),
	"list":       fn("", func(m *machine, self any, _ []any) any { return &list{items: m.collect(self)} }),
	"map":        variadic(filterMap),
	"max":        fn("case_sensitive? attribute?", extreme(1)),
	"min":        fn("case_sensitive? attribute?", extreme(-1)),
	"reject":     choose(false, false),
	"rejectattr": choose(false, true),
	"reverse":    fn("", filterReverse),
	"select":     choose(true, false),
	"selectattr": choose(true, true),
	"slice":      fn("slices fill_with?", filterSlice),
	"sort":       fn("reverse? case_sensitive? attribute?", filterSort),
	"sum":        fn("attribute? start?", filterSum),
	"unique":     fn("case_sensitive? attribute?", filterUnique),
}

// getter is a function that finds an attribute such as "user.name.0" in an
// item; nil finds the item itself. Strings lose their case if fold is set.
func (m *machine) getter(attribute any, fold bool, absent any) func(item any) any {
	path := []any{attribute}
	if attribute == nil {
		path = nil
	} else if s, ok := asString(attribute); ok {
		m.alloc(16 * (1 + len(s)))
		path = nil
		for part := range strings.SplitSeq(s, ".") {
			if i, err := strconv.ParseInt(part, 10, 64); err == nil && isDigit(part[0]) {
				path = append(path, i)
			} else {
				path = append(path, part)
			}
		}
	}
	return func(item any) any {
		for _, key := range path {
			item = m.subscript(item, key)
			if isUndefined(item) && absent != nil {
				item = absent
			}
		}
		if s, ok := asString(item); ok && fold {
			return m.lower(s)
		}
		return item
	}
}

func filterMap(m *machine, self any, a args) any {
	return m.lazy(func() func() (any, bool) {
		apply := m.mapping(a)
		return m.generate(m.orEmpty(self), func(item any, send func(any)) { send(apply(item)) })
	})
}

// mapping is the function of the arguments of map.
func (m *machine) mapping(a args) func(item any) any {
	if attribute, ok := a.named["attribute"]; ok && len(a.list) == 0 {
		delete(a.named, "attribute")
		absent, _ := a.take("default")
		if len(a.named) > 0 {
			m.fail("map has no argument %q beside attribute", a.names()[0])
		}
		return m.getter(attribute, false, absent)
	}
	if len(a.list) == 0 {
		m.fail("map wants the name of a filter, or attribute=…")
	}
	name := m.wantString("filter", a.list[0])
	a.list = a.list[1:]
	return func(item any) any { return m.callFilter(name, item, a.copy()) }
}

// orEmpty is v, or an empty list for what is nothing, such as none.
func (m *machine) orEmpty(v any) any {
	if m.truth(v) {
		return v
	}
	return &list{}
}

// choose makes the filters that keep the items for which a test holds, or
// does not, of the item itself or of an attribute.
func choose(want, attributes bool) *native {
	return variadic(func(m *machine, self any, a args) any {
		return m.lazy(func() func() (any, bool) {
			holds := m.condition(a, attributes)
			return m.generate(m.orEmpty(self), func(item any, send func(any)) {
				if holds(item) == want {
					send(item)
				}
			})
		})
	})
}

// condition is the function of the arguments of the filters of choose.
func (m *machine) condition(a args, attributes bool) func(item any) bool {
	get := func(item any) any { return item }
	if attributes {
		if len(a.list) == 0 {
			m.fail("the name of an attribute is missing")
		}
		get = m.getter(a.list[0], false, nil)
		a.list = a.list[1:]
	}
	if len(a.list) == 0 {
		return func(item any) bool { return m.truth(get(item)) }
	}
	name := m.wantString("test", a.list[0])
	a.list = a.list[1:]
	return func(item any) bool { return m.truth(m.callTest(name, get(item), a.copy())) }
}

func filterLength(m *machine, self any, _ []any) any {
	n, ok := m.length(self)
	if !ok {
		m.fail("a %s has no length", typeName(self))
	}
	return int64(n)
}

func filterFirst(m *machine, self any, _ []any) any {
	for item := range m.iterate(self) {
		return item
	}
	return undefined{"there is no first item: nothing is in it"}
}

func filterLast(m *machine, self any, _ []any) any {
	if _, ok := self.(*stream); ok {
		m.fail("a generator has no last item; make a list of it with |list")
	}
	items := m.collect(self)
	if len(items) == 0 {
		return undefined{"there is no last item: nothing is in it"}
	}
	return items[len(items)-1]
}

func filterReverse(m *machine, self any, _ []any) any {
	if _, ok := asString(self); ok {
		return m.slice(self, nil, nil, int64(-1))
	}
	items := m.collect(self)
	slices.Reverse(items)
	if _, ok := self.(*stream); ok {
		return &list{items: items}
	}
	return &stream{m.iterator(&list{items: items})}
}

func filterItems(m *machine, self any, _ []any) any {
	return m.lazy(func() func() (any, bool) {
		d, ok := self.(*Map)
		if isUndefined(self) {
			d = &Map{}
		} else if !ok {
			m.fail("items wants a mapping, got a %s", typeName(self))
		}
		return m.iterator(&view{d, "items"})
	})
}

func filterJoin(m *machine, self any, a []any) any {
	separator, get := m.str(given(a[0], "")), m.getter(given(a[1], nil), false, nil)
	var b builder
	first := true
	for item := range m.iterate(self) {
		if !first {
			b.add(m, separator)
		}
		first = false
		b.add(m, m.str(get(item)))
	}
	return b.String()
}

func filterSum(m *machine, self any, a []any) any {
	get := m.getter(given(a[0], nil), false, nil)
	total := given(a[1], int64(0))
	if _, ok := asString(total); ok {
		m.fail("sum does not add strings; use |join")
	}
	for item := range m.iterate(self) {
		total = m.arithmetic("+", total, get(item))
	}
	return total
}

func filterBatch(m *machine, self any, a []any) any {
	return m.lazy(func() func() (any, bool) {
		return m.iterator(&list{items: m.batches(m.collect(self), m.wantInt("linecount", a[0]), given(a[1], nil))})
	})
}

// batches are lists of size items, the last filled up if fill is not nil.
func (m *machine) batches(items []any, size int, fill any) []any {
	var batches []any
	for len(items) > 0 {
		n := len(items)
		if size > 0 {
			n = min(n, size)
		}
		batch := slices.Clone(items[:n])
		items = items[n:]
		if fill != nil && n < size {
			m.alloc(16 * min(size-n, m.limits.Memory))
			batch = append(batch, slices.Repeat([]any{fill}, size-n)...)
		}
		batches = append(batches, &list{items: batch})
	}
	return batches
}

func filterSlice(m *machine, self any, a []any) any {
	return m.lazy(func() func() (any, bool) {
		return m.iterator(&list{items: m.columns(m.collect(self), m.wantInt("slices", a[0]), given(a[1], nil))})
	})
}

// columns are n lists of about the same length, the shorter ones with fill
// at the end if that is not nil.
func (m *machine) columns(items []any, n int, fill any) []any {
	if n == 0 {
		m.fail("slices is 0")
	}
	var columns []any
	for i := range max(0, n) {
		m.alloc(64)
		size := len(items) / n
		start := i*size + min(i, len(items)%n)
		if i < len(items)%n {
			size++
		}
		column := slices.Clone(items[start : start+size])
		if fill != nil && i >= len(items)%n {
			column = append(column, fill)
		}
		columns = append(columns, &list{items: column})
	}
	return columns
}
