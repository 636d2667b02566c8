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
	apply := func(item any) any { return nil }
	if attribute, ok := a.take("attribute"); ok && len(a.list) == 0 {
		absent, _ := a.take("default")
		if len(a.names) > 0 {
			m.fail("map has no argument %q beside attribute", a.names[0])
		}
		apply = m.getter(attribute, false, absent)
	} else if len(a.list) == 0 {
		m.fail("map wants the name of a filter, or attribute=…")
	} else {
		name := m.wantString("filter", a.list[0])
		rest := args{a.list[1:], a.names, a.named}
		apply = func(item any) any { return m.callFilter(name, item, rest) }
	}
	return m.lazily(self, func(item any, send func(any)) { send(apply(item)) })
}

// lazily is generate for the filters that take nothing, such as none, as empty.
func (m *machine) lazily(v any, f func(item any, send func(any))) any {
	if !m.truth(v) {
		v = &list{}
	}
	return m.generate(v, f)
}

// choose makes the filters that keep the items for which a test holds, or
// does not, of the item itself or of an attribute.
func choose(want, attributes bool) *native {
	return variadic(func(m *machine, self any, a args) any {
		get := func(item any) any { return item }
		if attributes {
			if len(a.list) == 0 {
				m.fail("the name of an attribute is missing")
			}
			get = m.getter(a.list[0], false, nil)
			a.list = a.list[1:]
		}
		holds := m.truth
		if len(a.list) > 0 {
			name := m.wantString("test", a.list[0])
			rest := args{a.list[1:], a.names, a.named}
			holds = func(v any) bool { return m.truth(m.callTest(name, v, rest)) }
		}
		return m.lazily(self, func(item any, send func(any)) {
			if holds(get(item)) == want {
				send(item)
			}
		})
	})
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
	return m.generate(&list{items: items}, func(item any, send func(any)) { send(item) })
}

func filterItems(m *machine, self any, _ []any) any {
	d, ok := self.(*Map)
	if isUndefined(self) {
		d = &Map{}
	} else if !ok {
		m.fail("items wants a mapping, got a %s", typeName(self))
	}
	return m.generate(&view{d, "items"}, func(item any, send func(any)) { send(item) })
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

// sorted orders items by their keys, keeping the order of equal ones.
func (m *machine) sorted(items []any, reverse bool, key func(any) any) []any {
	m.alloc(48 * len(items))
	type entry struct{ key, item any }
	entries := make([]entry, len(items))
	for i, item := range items {
		entries[i] = entry{key(item), item}
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		c := m.order("<", a.key, b.key)
		if c == unordered {
			c = 0
		}
		if reverse {
			return -c
		}
		return c
	})
	for i, e := range entries {
		items[i] = e.item
	}
	return items
}

func filterSort(m *machine, self any, a []any) any {
	fold := !m.truth(given(a[1], false))
	var getters []func(any) any
	switch attribute := given(a[2], nil).(type) {
	case string:
		for part := range strings.SplitSeq(attribute, ",") {
			getters = append(getters, m.getter(part, fold, nil))
		}
	default:
		getters = append(getters, m.getter(attribute, fold, nil))
	}
	return &list{items: m.sorted(m.collect(self), m.truth(given(a[0], false)), func(item any) any {
		keys := &list{}
		for _, get := range getters {
			keys.items = append(keys.items, get(item))
		}
		return keys
	})}
}

func filterDictsort(m *machine, self any, a []any) any {
	d, ok := self.(*Map)
	if u, is := self.(undefined); is {
		m.fail("%s", u.why)
	}
	if !ok {
		m.fail("dictsort wants a mapping, got a %s", typeName(self))
	}
	by := map[string]int{"key": 0, "value": 1}
	at, ok := by[m.wantString("by", given(a[1], "key"))]
	if !ok {
		m.fail("by is %s, want 'key' or 'value'", m.repr(a[1]))
	}
	get := m.getter(nil, !m.truth(given(a[0], false)), nil)
	pairs := m.collect(&view{d, "items"})
	return &list{items: m.sorted(pairs, m.truth(given(a[2], false)), func(pair any) any {
		return get(pair.(*list).items[at])
	})}
}

func filterGroupby(m *machine, self any, a []any) any {
	absent, fold := given(a[1], nil), !m.truth(given(a[2], false))
	key, shown := m.getter(a[0], fold, absent), m.getter(a[0], false, absent)
	groups := &list{}
	var last any
	for i, item := range m.sorted(m.collect(self), false, key) {
		k := key(item)
		if i == 0 || !m.equal(k, last) {
			groups.items = append(groups.items, &list{
				items: []any{shown(item), &list{}}, tuple: true, fields: []string{"grouper", "list"},
			})
		}
		last = k
		group := groups.items[len(groups.items)-1].(*list).items[1].(*list)
		group.items = append(group.items, item)
	}
	return groups
}

func filterUnique(m *machine, self any, a []any) any {
	get := m.getter(given(a[1], nil), !m.truth(given(a[0], false)), nil)
	seen := &Map{}
	return m.generate(self, func(item any, send func(any)) {
		key := get(item)
		if _, ok := m.find(seen, key); !ok {
			m.put(seen, key, nil)
			send(item)
		}
	})
}

// extreme makes the filters min (-1) and max (1).
func extreme(want int) func(m *machine, self any, a []any) any {
	return func(m *machine, self any, a []any) any {
		get := m.getter(given(a[1], nil), !m.truth(given(a[0], false)), nil)
		var best any = undefined{"there is no smallest or largest item: nothing is in it"}
		var bestKey any
		first := true
		for item := range m.iterate(self) {
			key := get(item)
			if first || m.order("<", key, bestKey) == want {
				best, bestKey, first = item, key, false
			}
		}
		return best
	}
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
	size, fill := m.wantInt("linecount", a[0]), given(a[1], nil)
	items := m.collect(self)
	batches := &list{}
	for len(items) > 0 {
		n := len(items)
		if size > 0 {
			n = min(n, size)
		}
		batch := slices.Clone(items[:n])
		items = items[n:]
		for fill != nil && len(batch) < size {
			m.alloc(16)
			batch = append(batch, fill)
		}
		batches.items = append(batches.items, &list{items: batch})
	}
	return m.generate(batches, func(item any, send func(any)) { send(item) })
}

func filterSlice(m *machine, self any, a []any) any {
	n, fill := m.wantInt("slices", a[0]), given(a[1], nil)
	if n == 0 {
		m.fail("slices is 0")
	}
	items := m.collect(self)
	columns := &list{}
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
		columns.items = append(columns.items, &list{items: column})
	}
	return m.generate(columns, func(item any, send func(any)) { send(item) })
}
