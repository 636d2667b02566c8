package grammar

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// A property is a member of an object that the schema names.
type property struct {
	member   *expr // "name": value
	required bool
}

// object is the texts of an object.
func (b *builder) object(o *object, path string) *expr {
	names, required, ok := b.propertyNames(o, path)
	if !ok {
		return nil
	}
	declared, _ := o.values["properties"].(*object)
	more, says := o.values["additionalProperties"]
	open := says && more != false || !says && declared == nil && len(required) == 0
	if !says {
		more = true
	}
	var props []property
	for _, name := range names {
		schema, at := more, child(path, "additionalProperties")
		if declared != nil && declared.has(name) {
			schema, at = declared.values[name], child(path, "properties", name)
		}
		e := b.part(schema, at)
		need := slices.Contains(required, name)
		switch {
		case b.err != nil:
			return nil
		case e == nil && need:
			return b.nothing(path, "required", "%q has no valid value", name)
		case e != nil:
			ws := b.library("ws")
			props = append(props, property{seq(text(encode(name)+":"), ws, e), need})
		}
	}
	var extra *expr
	if open {
		if e := b.part(more, child(path, "additionalProperties")); e != nil {
			ws := b.library("ws")
			extra = b.tail(path+", further properties", seq(b.keyExcept(names), text(":"), ws, e), path)
		}
	}
	lo, hi, ok := b.limits(o, "minProperties", "maxProperties", path)
	if !ok {
		return nil
	}
	members := b.members(props, extra, len(required), lo, hi, path)
	if members == nil {
		return nil
	}
	ws := b.library("ws")
	return seq(text("{"), ws, members, ws, text("}"))
}

// part is the texts of a schema inside another one: a rule, if they are not
// simple, as it may be used several times.
func (b *builder) part(schema any, path string) *expr {
	e := b.value(schema, path)
	if e == nil {
		return nil
	}
	return b.tail(path, e, path)
}

// propertyNames lists the names of properties and required, in order.
func (b *builder) propertyNames(o *object, path string) (names, required []string, ok bool) {
	switch p := o.values["properties"].(type) {
	case *object:
		names = slices.Clone(p.keys)
	case nil:
		if o.has("properties") {
			b.fail(path, "properties", "want an object of schemas, not null")
			return nil, nil, false
		}
	default:
		b.fail(path, "properties", "want an object of schemas, not %s", kindOf(p))
		return nil, nil, false
	}
	if !o.has("required") {
		return names, nil, true
	}
	list, ok := o.values["required"].([]any)
	if !ok {
		b.fail(path, "required", "want a list of names, not %s", kindOf(o.values["required"]))
		return nil, nil, false
	}
	for _, v := range list {
		name, ok := v.(string)
		if !ok {
			b.fail(path, "required", "want a list of names, with %s in it", kindOf(v))
			return nil, nil, false
		}
		if !slices.Contains(required, name) {
			required = append(required, name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, required, true
}

// members are the members of an object with their commas; nil is an error, or
// that no object is valid. extra, if any, follows the named ones.
func (b *builder) members(props []property, extra *expr, required, lo, hi int, path string) *expr {
	if hi >= 0 && required > hi {
		return b.nothing(path, "maxProperties", "%d properties are required", required)
	}
	ws := b.library("ws")
	comma := seq(text(","), ws)
	if len(props) == 0 && extra != nil {
		switch {
		case lo > 1:
			return b.fail(path, "minProperties", "more than 1 is not supported where names are free: they might repeat")
		case hi == 0:
			return text("")
		}
		e := seq(extra, repeat(seq(comma, extra), 0, max(hi-1, -1)))
		if lo == 0 {
			e = optional(e)
		}
		return e
	}
	if hi >= 0 && (extra != nil || len(props) > hi) {
		return b.fail(path, "maxProperties", "%d is not supported beside %d properties", hi, len(props))
	}
	if lo > max(required, 1) {
		return b.fail(path, "minProperties", "%d is not supported where %d are required", lo, required)
	}
	// after[i] is what may follow from property i on, where something stands
	// before it; first[i] where nothing does.
	after, first := endless(extra, comma), text("")
	if extra != nil {
		first = optional(seq(extra, after))
	}
	empty := lo == 0 // whether first may be empty
	if !empty {
		first = nil
		if extra != nil {
			first = seq(extra, after)
		}
	}
	for i := len(props) - 1; i >= 0; i-- {
		p := props[i]
		rest := b.tail(fmt.Sprintf("%s, after %d properties", path, i+1), after, path)
		here := seq(p.member, rest)
		if p.required {
			first = here
			after = seq(comma, here)
			continue
		}
		if first == nil {
			first = here
		} else {
			first = b.tail(fmt.Sprintf("%s, before property %d", path, i+1), alt(here, first), path)
		}
		after = alt(seq(comma, here), rest)
	}
	if first == nil {
		return b.nothing(path, "minProperties", "there are no properties")
	}
	return first
}

func endless(extra, comma *expr) *expr {
	if extra == nil {
		return text("")
	}
	return repeat(seq(comma, extra), 0, -1)
}

// tail is a rule for what is used several times.
func (b *builder) tail(name string, e *expr, path string) *expr {
	if e.op == opRule || e.op == opText {
		return e
	}
	i := b.rule(name, path)
	b.rules[i].body = e
	return ref(i)
}

// keyExcept is a key of free choice that is none of names.
func (b *builder) keyExcept(names []string) *expr {
	if len(names) == 0 {
		return b.library("string")
	}
	return seq(text(`"`), b.except(names), text(`"`))
}

// plain are the characters that stand for themselves in a JSON string.
var plain = without([]span{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}})

// except is a text of plain characters that is none of names: as long as it
// could still become one of them, each character is a case of its own.
func (b *builder) except(names []string) *expr {
	var ways []*expr
	if !slices.Contains(names, "") {
		ways = append(ways, text(""))
	}
	next := map[rune][]string{}
	var firsts []span
	for _, n := range names {
		if n == "" {
			continue
		}
		r, size := utf8.DecodeRuneInString(n)
		if next[r] == nil {
			firsts = append(firsts, span{r, r})
		}
		next[r] = append(next[r], n[size:])
	}
	firsts = union(firsts)
	if others := minus(plain, firsts); len(others) > 0 {
		ways = append(ways, seq(class(others), repeat(class(plain), 0, -1)))
	}
	for _, f := range firsts {
		for r := f.lo; r <= f.hi; r++ {
			if len(minus([]span{{r, r}}, plain)) == 0 {
				ways = append(ways, seq(text(string(r)), b.except(next[r])))
			}
		}
	}
	return alt(ways...)
}

// minus is the characters of a that are not in b.
func minus(a, b []span) []span { return without(union(append(without(a), b...))) }
