package jinja

import (
	"slices"
	"strings"
)

// The filters that sort and group.

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
		m.alloc(16 * len(attribute))
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
	return m.lazy(func() func() (any, bool) {
		get := m.getter(given(a[1], nil), !m.truth(given(a[0], false)), nil)
		seen := &Map{}
		return m.generate(self, func(item any, send func(any)) {
			key := get(item)
			if _, ok := m.find(seen, key); !ok {
				m.put(seen, key, nil)
				send(item)
			}
		})
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
