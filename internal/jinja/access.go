package jinja

import (
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// attribute is of.name: a method or an attribute of Python if the type of
// the value has it, then an item.
func (m *machine) attribute(of any, name string) any {
	if u, ok := of.(undefined); ok {
		m.fail("%s", u.why)
	}
	if v, ok := m.member(of, name); ok {
		return v
	}
	if d, ok := of.(*Map); ok {
		if v, ok := m.find(d, name); ok {
			return v
		}
	}
	return undefined{"a " + typeName(of) + " has no " + quote(name) + `; test it with "is defined" first`}
}

// subscript is of[key]: an item, else an attribute.
func (m *machine) subscript(of, key any) any {
	if u, ok := of.(undefined); ok {
		m.fail("%s", u.why)
	}
	if v, ok := m.item(of, key); ok {
		return v
	}
	if name, ok := asString(key); ok {
		m.scan(len(name))
		if v, ok := m.member(of, name); ok {
			return v
		}
	}
	return undefined{"a " + typeName(of) + " has no " + m.short(key) + `; test it with "is defined" first`}
}

// item is of[key] where that exists.
func (m *machine) item(of, key any) (any, bool) {
	if d, ok := of.(*Map); ok {
		if l, ok := key.(*list); ok && !l.tuple {
			return nil, false // not a key
		}
		switch key.(type) {
		case *Map, *view:
			return nil, false
		}
		return m.find(d, key)
	}
	i, ok := index(key)
	n, sized := m.length(of)
	if !ok || !sized {
		return nil, false
	}
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil, false
	}
	switch of := of.(type) {
	case string:
		return m.character(of, i, n), true
	case markup:
		return markup(m.character(string(of), i, n)), true
	case *list:
		return of.items[i], true
	case *span:
		return of.item(i), true
	}
	return nil, false
}

// character is the character i of the n of a string.
func (m *machine) character(s string, i, n int) string {
	if n == len(s) {
		return s[i : i+1]
	}
	m.work(i / 8)
	for at, r := range s {
		if i == 0 {
			return s[at : at+utf8.RuneLen(r)]
		}
		i--
	}
	return ""
}

// index is an int or bool that may count something in memory.
func index(v any) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), true
	case bool:
		return int(toInt(v)), true
	}
	return 0, false
}

// mutators are the methods that the immutable sandbox keeps away.
var mutators = map[string][]string{
	"list": {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"},
	"dict": {"clear", "pop", "popitem", "setdefault", "update"},
}

// member is a method or an attribute that v has by its type.
func (m *machine) member(v any, name string) (any, bool) {
	kind := typeName(v)
	if strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") || slices.Contains(mutators[kind], name) {
		return undefined{quote(name) + " of a " + kind + " is not available to templates; build a new value instead"}, true
	}
	if f, ok := methods[kind][name]; ok {
		return &method{v, name, f}, true
	}
	switch v := v.(type) {
	case *namespace:
		return m.find(v.attrs, name)
	case *loop:
		return v.attribute(m, name)
	case *list:
		if i := slices.Index(v.fields, name); i >= 0 {
			return v.items[i], true
		}
	case *macro:
		return v.attribute(name)
	case *cycler:
		if name == "current" {
			return v.items[v.at], true
		}
	case *native:
		if v == dictFunction && name == "fromkeys" {
			return dictFromKeys, true
		}
	}
	return nil, false
}

func (f *macro) attribute(name string) (any, bool) {
	switch name {
	case "name":
		if f.block.name == nil {
			return nil, true
		}
		return f.name(), true
	case "arguments":
		l := &list{tuple: true}
		for _, p := range f.block.params {
			l.items = append(l.items, p.text)
		}
		return l, true
	case "caller":
		return f.block.uses["caller"], true
	case "catch_kwargs":
		return f.block.uses["kwargs"], true
	case "catch_varargs":
		return f.block.uses["varargs"], true
	}
	return nil, false
}

// slice is of[start:stop:step], nil meaning absent.
func (m *machine) slice(of, start, stop, step any) any {
	n, ok := m.length(of)
	switch of := of.(type) {
	case undefined:
		m.fail("%s", of.why)
	case string, markup, *list, *span:
	default:
		ok = false
	}
	if !ok {
		m.fail("a %s cannot be sliced", typeName(of))
	}
	by := m.bound(step, 1)
	if by == 0 {
		m.fail("the step of a slice cannot be 0")
	}
	low, high, first, last := 0, n, 0, n
	if by < 0 {
		low, high, first, last = -1, n-1, n-1, -1
	}
	clamp := func(v any, absent int) int {
		if v == nil {
			return absent
		}
		i := m.bound(v, 0)
		if i < 0 {
			i += n
		}
		return max(low, min(i, high))
	}
	from, to := clamp(start, first), clamp(stop, last)
	count := 0
	if by > 0 && from < to {
		count = (to-from-1)/by + 1
	} else if by < 0 && to < from {
		count = (from-to-1)/-by + 1
	}
	return m.pick(of, n, from, by, count)
}

// bound is a bound of a slice; numbers beyond all memory are cut off.
func (m *machine) bound(v any, absent int) int {
	const far = 1 << 40
	if v == nil {
		return absent
	}
	if b, ok := v.(*big.Int); ok {
		return far * b.Sign()
	}
	i, ok := index(v)
	if !ok {
		if u, ok := v.(undefined); ok {
			m.fail("%s", u.why)
		}
		m.fail("the bounds of a slice are integers, got a %s", typeName(v))
	}
	return max(-far, min(i, far))
}

// pick takes count of the n items of a value, from one on, by a step.
func (m *machine) pick(of any, n, from, by, count int) any {
	switch of := of.(type) {
	case string:
		return m.pickString(of, n, from, by, count)
	case markup:
		return markup(m.pickString(string(of), n, from, by, count))
	case *list:
		m.alloc(16 * count)
		l := &list{items: make([]any, count), tuple: of.tuple}
		for i := range l.items {
			l.items[i] = of.items[from+i*by]
		}
		return l
	}
	s := of.(*span)
	return &span{s.start + int64(from)*s.step, s.step * int64(by), count}
}

func (m *machine) pickString(s string, n, from, by, count int) string {
	if by == 1 && n == len(s) { // ASCII
		return s[from : from+count]
	}
	m.alloc(4*n + count)
	runes := []rune(s)
	if by == 1 {
		return string(runes[from : from+count])
	}
	out := make([]rune, count)
	for i := range out {
		out[i] = runes[from+i*by]
	}
	return string(out)
}
