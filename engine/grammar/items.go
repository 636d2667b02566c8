package grammar

import (
	"encoding/json"
	"strconv"
)

// array is the texts of an array.
func (b *builder) array(o *object, path string) *expr {
	for _, k := range []string{"prefixItems"} {
		if _, ok := o.values[k].([]any); o.has(k) && !ok {
			return b.fail(path, k, "want a list of schemas, not %s", kindOf(o.values[k]))
		}
	}
	first, more, says := tuple(o)
	lo, hi, ok := b.limits(o, "minItems", "maxItems", path)
	if !ok {
		return nil
	}
	if len(first) > 0 && !o.has("minItems") {
		lo = len(first)
		if hi >= 0 {
			lo = min(lo, hi)
		}
	}
	if len(first) > 0 && !says && lo <= len(first) && (hi < 0 || hi > len(first)) {
		hi = len(first)
	}
	if u := o.values["uniqueItems"]; u == true && (hi < 0 || hi > 1) {
		return b.fail(path, "uniqueItems", "this keyword is not supported; take it out, or check for it after the generation")
	} else if _, isBool := u.(bool); o.has("uniqueItems") && !isBool {
		return b.fail(path, "uniqueItems", "want true or false, not %s", kindOf(u))
	}
	if hi >= 0 && len(first) > hi {
		first = first[:hi]
	}
	var elements []*expr
	for i, s := range first {
		e := b.part(s, child(path, "prefixItems", strconv.Itoa(i)))
		if e == nil {
			hi = i // an array ends before what cannot be
			break
		}
		elements = append(elements, e)
	}
	if b.err != nil {
		return nil
	}
	var item *expr
	if hi < 0 || hi > len(elements) {
		if item = b.part(more, child(path, "items")); item == nil {
			hi = len(elements)
		}
	}
	if hi >= 0 && lo > hi {
		return b.nothing(path, "minItems", "%d items are needed, and %d are possible", lo, hi)
	}
	if b.err != nil {
		return nil
	}
	ws := b.library("ws")
	return seq(text("["), ws, b.elements(elements, item, lo, hi), ws, text("]"))
}

// elements puts lo to hi elements in a row: those of the list, then items.
func (b *builder) elements(list []*expr, item *expr, lo, hi int) *expr {
	ws := b.library("ws")
	comma := seq(text(","), ws)
	rest := text("")
	n := len(list)
	switch {
	case item == nil || hi == n:
	case n > 0:
		rest = repeat(seq(comma, item), max(lo-n, 0), max(hi-n, -1))
	default:
		rest = seq(item, repeat(seq(comma, item), max(lo-1, 0), max(hi-1, -1)))
		if lo == 0 {
			rest = optional(rest)
		}
	}
	for i := n - 1; i >= 0; i-- {
		rest = seq(list[i], rest)
		if i > 0 {
			rest = seq(comma, rest)
		}
		if i >= lo {
			rest = optional(rest)
		}
	}
	return rest
}

// limits reads two keywords that count; hi < 0 is no limit.
func (b *builder) limits(o *object, low, high, path string) (lo, hi int, ok bool) {
	hi = -1
	for _, k := range []string{low, high} {
		if !o.has(k) {
			continue
		}
		v, isNumber := o.values[k].(json.Number)
		var n int
		if isNumber {
			r, ok := ratOf(v)
			isNumber = ok && r.IsInt() && r.Sign() >= 0
			if isNumber {
				if !r.Num().IsInt64() || r.Num().Int64() > maxTimes {
					b.fail(path, k, "%s is too much, at most %d allowed", v, maxTimes)
					return 0, 0, false
				}
				n = int(r.Num().Int64())
			}
		}
		if !isNumber {
			b.fail(path, k, "want a whole number from 0 up")
			return 0, 0, false
		}
		if k == low {
			lo = n
		} else {
			hi = n
		}
	}
	if hi >= 0 && lo > hi {
		b.nothing(path, low, "%d is more than %s, %d", lo, high, hi)
		return 0, 0, false
	}
	return lo, hi, true
}
