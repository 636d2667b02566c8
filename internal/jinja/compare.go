package jinja

import (
	"cmp"
	"math"
	"math/big"
	"strings"
)

// compare is one link of a comparison.
func (m *machine) compare(op string, a, b any) bool {
	switch op {
	case "==":
		return m.equal(a, b)
	case "!=":
		return !m.equal(a, b)
	case "in":
		return m.contains(b, a)
	case "not in":
		return !m.contains(b, a)
	}
	c := m.order(op, a, b)
	switch op {
	case "<":
		return c == -1
	case "<=":
		return c == -1 || c == 0
	case ">":
		return c == 1
	}
	return c == 1 || c == 0
}

// equal is Python's ==.
func (m *machine) equal(a, b any) bool {
	m.work(1)
	if s, ok := asString(a); ok {
		t, ok := asString(b)
		if ok && len(s) == len(t) {
			m.scan(len(s))
		}
		return ok && s == t
	}
	if isNumber(a) || isNumber(b) {
		return isNumber(a) && isNumber(b) && m.orderNumbers(a, b) == 0
	}
	switch a := a.(type) {
	case *list:
		b, ok := b.(*list)
		return ok && a.tuple == b.tuple && m.equalItems(a.items, b.items)
	case *Map:
		b, ok := b.(*Map)
		return ok && m.equalMaps(a, b)
	case *view:
		b, ok := b.(*view)
		return ok && a.kind == b.kind && (a == b || a.kind != "values" && m.equalMaps(m.keyed(a), m.keyed(b)))
	case *span:
		b, ok := b.(*span)
		return ok && a.n == b.n && (a.n == 0 || a.start == b.start && (a.n == 1 || a.step == b.step))
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *method:
		b, ok := b.(*method)
		return ok && a.of == b.of && a.fn == b.fn
	}
	return a == b
}

// keyed is a mapping that is equal for views that are.
func (m *machine) keyed(v *view) *Map {
	if v.kind == "items" {
		return v.of
	}
	m.alloc(64 * len(v.of.keys))
	keys := v.of.copy()
	clear(keys.values)
	return keys
}

func (m *machine) equalItems(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	defer m.nest()()
	for i := range a {
		if !m.equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (m *machine) equalMaps(a, b *Map) bool {
	if len(a.keys) != len(b.keys) {
		return false
	}
	defer m.nest()()
	for i, key := range a.keys {
		v, ok := m.find(b, key)
		if !ok || !m.equal(a.values[i], v) {
			return false
		}
	}
	return true
}

// unordered is the result of comparing with NaN.
const unordered = 2

// order is -1, 0 or 1 as a is less than, equal to or greater than b. It
// fails where Python has no order.
func (m *machine) order(op string, a, b any) int {
	m.work(1)
	for _, v := range []any{a, b} {
		if u, ok := v.(undefined); ok {
			m.fail("%s", u.why)
		}
	}
	if isNumber(a) && isNumber(b) {
		return m.orderNumbers(a, b)
	}
	if s, ok := asString(a); ok {
		if t, ok := asString(b); ok {
			m.scan(min(len(s), len(t)))
			return strings.Compare(s, t)
		}
	}
	if l, ok := a.(*list); ok {
		if k, ok := b.(*list); ok && l.tuple == k.tuple {
			return m.orderItems(op, l.items, k.items)
		}
	}
	m.fail("%q cannot compare a %s with a %s", op, typeName(a), typeName(b))
	return 0
}

func (m *machine) orderItems(op string, a, b []any) int {
	defer m.nest()()
	for i := range min(len(a), len(b)) {
		if !m.equal(a[i], b[i]) {
			return m.order(op, a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}

func (m *machine) orderNumbers(a, b any) int {
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	x, _ := wide(a)
	y, _ := wide(b)
	if x != nil && y != nil {
		return x.Cmp(y)
	}
	f, _ := float(a)
	g, _ := float(b)
	switch {
	case math.IsNaN(f) || math.IsNaN(g):
		return unordered
	case x != nil && !math.IsInf(g, 0):
		return new(big.Float).SetInt(x).Cmp(big.NewFloat(g))
	case y != nil && !math.IsInf(f, 0):
		return big.NewFloat(f).Cmp(new(big.Float).SetInt(y))
	}
	return cmp.Compare(f, g)
}

// contains is "v in of".
func (m *machine) contains(of, v any) bool {
	if s, ok := asString(of); ok {
		part, ok := asString(v)
		if !ok {
			m.fail(`"in" looks for a string in a string, got a %s`, typeName(v))
		}
		m.scan(len(s))
		return strings.Contains(s, part)
	}
	switch of := of.(type) {
	case *Map:
		_, ok := m.find(of, v)
		return ok
	case *view:
		if of.kind == "keys" {
			_, ok := m.find(of.of, v)
			return ok
		}
	}
	for item := range m.iterate(of) {
		if m.same(item, v) || m.equal(item, v) {
			return true
		}
	}
	return false
}

// same is Python's "is", as far as templates can tell.
func (m *machine) same(a, b any) bool {
	if f, ok := a.(float64); ok && math.IsNaN(f) {
		return false
	}
	return a == b && typeName(a) == typeName(b)
}
