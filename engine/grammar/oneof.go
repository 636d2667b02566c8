package grammar

import (
	"slices"
	"strconv"
)

// oneOf is the texts of anyOf or oneOf: of one branch or another, where the
// keywords beside it hold too.
func (b *builder) oneOf(o *object, key, path string) *expr {
	list, ok := o.values[key].([]any)
	if !ok || len(list) == 0 {
		return b.fail(path, key, "want a list of schemas, not empty")
	}
	if key == "oneOf" && !b.exclusive(list, path) {
		return nil
	}
	base := o.without(key)
	var ways []*expr
	for i, s := range list {
		at := child(path, key, strconv.Itoa(i))
		if base.restricts() {
			switch part := s.(type) {
			case *object:
				if part = b.flatten(part, at); part == nil {
					return nil
				}
				s = part
			}
			merged := b.mergeAny(base, s, at)
			if merged == nil {
				return nil
			}
			s = merged
		}
		if e := b.value(s, at); e != nil {
			ways = append(ways, e)
		}
		if b.err != nil {
			return nil
		}
	}
	if len(ways) == 0 {
		return b.nothing(path, key, "no value is valid for any of them")
	}
	return alt(ways...)
}

// exclusive says whether the branches of oneOf exclude each other, as far as
// that can be seen: a value that two of them allow would not be valid.
func (b *builder) exclusive(list []any, path string) bool {
	flat := make([]*object, len(list))
	for i, s := range list {
		o, ok := s.(*object)
		if !ok {
			if s == false {
				continue
			}
			o = newObject()
		}
		if flat[i] = b.flatten(o, child(path, "oneOf", strconv.Itoa(i))); flat[i] == nil {
			return false
		}
	}
	for i, x := range flat {
		for j, y := range flat[:i] {
			if x != nil && y != nil && !b.disjoint(x, y, 0) {
				if b.err == nil {
					b.fail(path, "oneOf", "branches %d and %d may allow the same value; write anyOf, or give each a property with another const", j, i)
				}
				return false
			}
		}
	}
	return true
}

// disjoint says whether it can be seen that no value is valid for both.
func (b *builder) disjoint(x, y *object, depth int) bool {
	if depth > 4 {
		return false
	}
	for _, o := range []*object{x, y} { // a choice is disjoint if all its branches are
		for _, key := range []string{"anyOf", "oneOf"} {
			list, ok := o.values[key].([]any)
			if !ok || len(list) == 0 || len(list) > 32 {
				continue
			}
			other := x
			if o == x {
				other = y
			}
			if !slices.ContainsFunc(list, func(s any) bool { return !b.disjointAny(s, other, depth+1) }) {
				return true
			}
		}
	}
	xv, xLists := valuesOf(x)
	yv, yLists := valuesOf(y)
	switch {
	case xLists && yLists:
		return !slices.ContainsFunc(xv, func(v any) bool { return slices.ContainsFunc(yv, func(w any) bool { return equal(v, w) }) })
	case xLists && y.has("type"):
		return !slices.ContainsFunc(xv, func(v any) bool { ok, err := literalValid(y, v); return ok || err != nil })
	case yLists && x.has("type"):
		return !slices.ContainsFunc(yv, func(v any) bool { ok, err := literalValid(x, v); return ok || err != nil })
	}
	if !x.has("type") || !y.has("type") {
		return false
	}
	common := commonTypes(x.values["type"], y.values["type"])
	if len(common) == 0 {
		return true
	}
	return len(common) == 1 && common[0] == "object" && (b.apart(x, y, depth) || b.apart(y, x, depth))
}

func (b *builder) disjointAny(s any, o *object, depth int) bool {
	x, ok := s.(*object)
	if !ok {
		return s == false
	}
	if x = b.flatten(x, "#"); x == nil {
		return false
	}
	return b.disjoint(x, o, depth)
}

// apart says whether x requires a property that y does not allow, or only with
// other values.
func (b *builder) apart(x, y *object, depth int) bool {
	px, _ := x.values["properties"].(*object)
	py, _ := y.values["properties"].(*object)
	list, _ := x.values["required"].([]any)
	for _, v := range list {
		name, _ := v.(string)
		if py == nil || !py.has(name) {
			if y.values["additionalProperties"] == false {
				return true
			}
			continue
		}
		if py.values[name] == false {
			return true
		}
		other, ok := py.values[name].(*object)
		if !ok || px == nil || !px.has(name) {
			continue
		}
		if other = b.flatten(other, "#"); other != nil && b.disjointAny(px.values[name], other, depth+1) {
			return true
		}
	}
	return false
}

// valuesOf lists the values of const or enum.
func valuesOf(o *object) ([]any, bool) {
	if o.has("const") {
		return []any{o.values["const"]}, true
	}
	l, ok := o.values["enum"].([]any)
	return l, ok
}
