package grammar

import (
	"encoding/json"
	"slices"
	"strconv"
)

// flatten puts what $ref and allOf refer to beside the other keywords; nil is
// an error.
func (b *builder) flatten(o *object, path string) *object {
	if b.flats == 0 {
		b.flatPath = path
	}
	b.flats++
	defer func() { b.flats-- }()
	if b.flats > maxNesting {
		b.fail(b.flatPath, "", "references and allOf lead to each other without end, or more than %d deep", maxNesting)
		return nil
	}
	for range maxNesting {
		switch {
		case o.has("$ref"):
			s, _, ok := b.resolve(o.values["$ref"], path)
			if !ok {
				return nil
			}
			o = b.mergeAny(o.without("$ref"), s, path)
		case o.has("allOf"):
			list, ok := o.values["allOf"].([]any)
			if !ok {
				b.fail(path, "allOf", "want a list of schemas, not %s", kindOf(o.values["allOf"]))
				return nil
			}
			o = o.without("allOf")
			for i, s := range list {
				if part, ok := s.(*object); ok {
					if s = b.flatten(part, child(path, "allOf", strconv.Itoa(i))); b.err != nil {
						return nil
					}
				}
				if o = b.mergeAny(o, s, path); o == nil {
					return nil
				}
			}
		default:
			return o
		}
		if o == nil {
			return nil
		}
	}
	b.fail(b.flatPath, "", "references and allOf lead to each other without end")
	return nil
}

// mergeAny is o where schema holds too.
func (b *builder) mergeAny(o *object, schema any, path string) *object {
	if b.size++; b.size > maxSize {
		b.fail(path, "", "the schema is too large: more than %d schemas in it", maxSize)
		return nil
	}
	switch s := schema.(type) {
	case bool:
		if s {
			return o
		}
		o = o.without()
		o.never = true
		return o
	case *object:
		return b.merge(o, s, path)
	}
	b.fail(path, "", "want a schema: an object, true or false, not %s", kindOf(schema))
	return nil
}

// merge is what both schemas allow.
func (b *builder) merge(x, y *object, path string) *object {
	if !b.check(x, path) || !b.check(y, path) {
		return nil
	}
	out := x.without()
	out.never = x.never || y.never
	mergeProperties(out, x, y)
	mergeItems(out, x, y)
	for _, k := range y.keys {
		v := y.values[k]
		switch {
		case slices.Contains([]string{"properties", "additionalProperties", "items", "prefixItems", "additionalItems"}, k):
		case !x.has(k):
			out.set(k, v)
		case isDescription(k) || equal(x.values[k], v):
		case !b.both(out, k, x.values[k], v):
			b.fail(path, k, "two different ones that hold together are not supported")
			return nil
		}
	}
	return out
}

// both sets a keyword that two schemas have, so that both hold; false: that
// is not possible.
func (b *builder) both(out *object, key string, x, y any) bool {
	switch key {
	case "type":
		common := commonTypes(x, y)
		out.set(key, common)
		out.never = out.never || len(common) == 0
	case "enum":
		l, ok1 := x.([]any)
		m, ok2 := y.([]any)
		if !ok1 || !ok2 {
			return false
		}
		common := []any{}
		for _, v := range l {
			if slices.ContainsFunc(m, func(w any) bool { return equal(v, w) }) {
				common = append(common, v)
			}
		}
		out.set(key, common)
	case "const":
		out.never = true
	case "required":
		l, ok1 := x.([]any)
		m, ok2 := y.([]any)
		out.set(key, append(slices.Clone(l), m...))
		return ok1 && ok2
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		return number(out, key, x, y, 1)
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		return number(out, key, x, y, -1)
	case "uniqueItems":
		out.set(key, x == true || y == true)
	case "anyOf", "oneOf":
		l, ok1 := x.([]any)
		m, ok2 := y.([]any)
		if key == "oneOf" || !ok1 || !ok2 || len(l)*len(m) > 256 {
			return false
		}
		pairs := []any{}
		for _, v := range l {
			for _, w := range m {
				pairs = append(pairs, allOf(v, w))
			}
		}
		out.set(key, pairs)
	case "$ref", "allOf":
		rest := newObject()
		rest.set(key, y)
		l := []any{rest}
		if key == "allOf" {
			m, ok := x.([]any)
			if !ok {
				return false
			}
			l = append(slices.Clone(m), rest)
		} else {
			first := newObject()
			first.set(key, x)
			l = append([]any{first}, l...)
			out.drop(key)
		}
		if old, ok := out.values["allOf"].([]any); ok && key == "$ref" {
			l = append(slices.Clone(old), l...)
		}
		out.set("allOf", l)
	default:
		return false
	}
	return true
}

func (o *object) drop(key string) {
	delete(o.values, key)
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
}

// number keeps the larger of two numbers, or with sign -1 the smaller.
func number(out *object, key string, x, y any, sign int) bool {
	n, ok1 := x.(json.Number)
	m, ok2 := y.(json.Number)
	if !ok1 || !ok2 {
		return false
	}
	p, ok1 := ratOf(n)
	q, ok2 := ratOf(m)
	if !ok1 || !ok2 {
		return false
	}
	if p.Cmp(q)*sign < 0 {
		out.set(key, y)
	}
	return true
}

func allOf(schemas ...any) *object {
	o := newObject()
	o.set("allOf", schemas)
	return o
}

// commonTypes keeps the types of both.
func commonTypes(x, y any) []any {
	list := func(v any) []any {
		if l, ok := v.([]any); ok {
			return l
		}
		return []any{v}
	}
	has := func(l []any, t any) bool {
		return slices.Contains(l, t) || t == "integer" && slices.Contains(l, any("number"))
	}
	common := []any{}
	for _, t := range list(x) {
		if has(list(y), t) {
			common = append(common, t)
		}
	}
	for _, t := range list(y) {
		if has(list(x), t) && !slices.Contains(common, t) {
			common = append(common, t)
		}
	}
	return common
}

// mergeProperties sets properties and additionalProperties: a property that
// one schema does not name is one of its additional ones.
func mergeProperties(out, x, y *object) {
	px, _ := x.values["properties"].(*object)
	py, _ := y.values["properties"].(*object)
	ax, xSays := x.values["additionalProperties"]
	ay, ySays := y.values["additionalProperties"]
	if px == nil && py == nil && !ySays {
		return
	}
	one := func(p *object, key string, more any, says bool) any {
		if p != nil && p.has(key) {
			return p.values[key]
		}
		if says {
			return more
		}
		return true
	}
	all := newObject()
	for _, p := range []*object{px, py} {
		if p == nil {
			continue
		}
		for _, k := range p.keys {
			all.set(k, together(one(px, k, ax, xSays), one(py, k, ay, ySays)))
		}
	}
	if len(all.keys) > 0 {
		out.set("properties", all)
	}
	switch {
	case xSays && ySays:
		out.set("additionalProperties", together(ax, ay))
	case ySays:
		out.set("additionalProperties", ay)
	}
}

// together is a schema for what both allow.
func together(x, y any) any {
	switch {
	case x == true:
		return y
	case y == true:
		return x
	case x == false || y == false:
		return false
	}
	return allOf(x, y)
}

// mergeItems sets items and prefixItems, likewise.
func mergeItems(out, x, y *object) {
	xs, xRest, xSays := tuple(x)
	ys, yRest, ySays := tuple(y)
	if ys == nil && !ySays {
		return
	}
	out.drop("additionalItems")
	out.drop("items")
	var first []any
	for i := range max(len(xs), len(ys)) {
		first = append(first, together(at(xs, i, xRest), at(ys, i, yRest)))
	}
	if first != nil {
		out.set("prefixItems", first)
	}
	if xSays || ySays {
		out.set("items", together(xRest, yRest))
	}
}

func at(list []any, i int, rest any) any {
	if i < len(list) {
		return list[i]
	}
	return rest
}

// tuple is the schemas of the first elements of an array, and that of the
// others, in the words of 2020-12 or of the drafts before.
func tuple(o *object) (first []any, rest any, says bool) {
	if l, ok := o.values["items"].([]any); ok {
		rest, says = o.values["additionalItems"]
		if !says {
			rest = true
		}
		return l, rest, says
	}
	first, _ = o.values["prefixItems"].([]any)
	rest, says = o.values["items"]
	if !says {
		rest = true
	}
	return first, rest, says
}
