package grammar

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// string is the texts of a string.
func (b *builder) string(o *object, path string) *expr {
	lo, hi, ok := b.limits(o, "minLength", "maxLength", path)
	if !ok {
		return nil
	}
	limited := lo > 0 || hi >= 0
	switch {
	case o.has("pattern") && o.has("format"):
		return b.fail(path, "pattern", "a pattern beside a format is not supported")
	case o.has("pattern"):
		p, ok := o.values["pattern"].(string)
		if !ok {
			return b.fail(path, "pattern", "want a string, not %s", kindOf(o.values["pattern"]))
		}
		e, err := pattern(p, lo, hi)
		if err != nil {
			return b.fail(path, "pattern", "%v", err)
		}
		if e == nil {
			return b.nothing(path, "pattern", "no string of this length matches %q", p)
		}
		return seq(text(`"`), e, text(`"`))
	case o.has("format"):
		return b.format(o, path, limited)
	case !limited:
		return b.library("string")
	}
	return seq(text(`"`), repeat(b.library("char"), lo, hi), text(`"`))
}

// formats are the rules of the library for what format names.
var formats = []string{"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}

func (b *builder) format(o *object, path string, limited bool) *expr {
	f, ok := o.values["format"].(string)
	if !ok {
		return b.fail(path, "format", "want a string, not %s", kindOf(o.values["format"]))
	}
	if slices.Contains([]string{"int32", "int64", "float", "double"}, f) { // of numbers
		return b.string(o.without("format"), path)
	}
	if !slices.Contains(formats, f) {
		return b.fail(path, "format", "%q is not supported; there are %s", f, strings.Join(formats, ", "))
	}
	if limited {
		return b.fail(path, "format", "a length beside a format is not supported")
	}
	return seq(text(`"`), b.library(f), text(`"`))
}

// number is the texts of an integer or a number.
func (b *builder) number(o *object, t, path string) *expr {
	var lo, hi bound
	for _, k := range []string{"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"} {
		if !o.has(k) {
			continue
		}
		n, ok := o.values[k].(json.Number)
		if !ok {
			return b.fail(path, k, "want a number, not %s", kindOf(o.values[k]))
		}
		x, ok := ratOf(n)
		if !ok || digitsOf(x) > maxDigits {
			return b.fail(path, k, "%s has too many digits, at most %d allowed", n, maxDigits)
		}
		at := bound{x, strings.HasPrefix(k, "exclusive")}
		if strings.HasSuffix(strings.ToLower(k), "minimum") {
			lo = lo.tighter(at)
		} else {
			hi = hi.negative().tighter(at.negative()).negative()
		}
	}
	if o.has("multipleOf") {
		if n, ok := o.values["multipleOf"].(json.Number); !ok || n != "1" || t != "integer" {
			return b.fail(path, "multipleOf", "this keyword is not supported but for 1 of integers; take it out, or check for it after the generation")
		}
	}
	if f, ok := o.values["format"].(string); ok && t == "integer" && (f == "int32" || f == "int64") {
		bits := uint(31)
		if f == "int64" {
			bits = 63
		}
		end := new(big.Int).Lsh(big.NewInt(1), bits)
		low, high := new(big.Rat).SetInt(new(big.Int).Neg(end)), new(big.Rat).SetInt(end)
		lo = lo.tighter(bound{at: low})
		hi = hi.negative().tighter(bound{high, true}.negative()).negative()
	}
	var e *expr
	switch {
	case lo.at == nil && hi.at == nil:
		return b.library(t)
	case t == "integer":
		e = integers(lo, hi)
	default:
		e = decimals(lo, hi)
	}
	if e == nil {
		return b.nothing(path, "minimum", "no %s is within the bounds", t)
	}
	return e
}

// digitsOf is how many digits x has before or behind the point.
func digitsOf(x *big.Rat) int {
	whole, rest, _ := strings.Cut(x.FloatString(4*maxDigits), ".")
	return max(len(strings.TrimPrefix(whole, "-")), len(strings.TrimRight(rest, "0")))
}

// literals is the values of const and enum.
func (b *builder) literals(o *object, path string) *expr {
	list := []any{o.values["const"]}
	if o.has("enum") {
		l, ok := o.values["enum"].([]any)
		if !ok {
			return b.fail(path, "enum", "want a list of values, not %s", kindOf(o.values["enum"]))
		}
		if o.has("const") {
			l = slices.DeleteFunc(slices.Clone(l), func(v any) bool { return !equal(v, o.values["const"]) })
		}
		list = l
	}
	var ways []*expr
	for _, v := range list {
		valid, err := literalValid(o, v)
		if err != nil {
			return b.fail(path, "enum", "%v", err)
		}
		if valid {
			ways = append(ways, text(encode(v)))
		}
	}
	if len(ways) == 0 {
		return b.nothing(path, "enum", "no value is left")
	}
	return alt(ways...)
}

// literalValid holds a value against the keywords beside enum.
func literalValid(o *object, v any) (bool, error) {
	t := typeOf(v)
	for _, k := range o.keys {
		about, _ := aboutType(k)
		switch {
		case k == "type":
			types := o.values[k]
			if s, ok := types.(string); ok {
				types = []any{s}
			}
			l, ok := types.([]any)
			if !ok {
				return false, fmt.Errorf("type is neither a string nor a list")
			}
			if !slices.ContainsFunc(l, func(x any) bool { return x == t || x == "number" && t == "integer" }) {
				return false, nil
			}
		case about == "" || k == "format" || about == "number" && t != "number" && t != "integer" || about != "number" && about != t:
		case about == "number" && k != "multipleOf":
			n, ok1 := v.(json.Number)
			m, ok2 := o.values[k].(json.Number)
			if !ok1 || !ok2 {
				return false, fmt.Errorf("%s is no number", k)
			}
			x, ok1 := ratOf(n)
			y, ok2 := ratOf(m)
			if !ok1 || !ok2 {
				return false, fmt.Errorf("%s or a value has too many digits", k)
			}
			c := x.Cmp(y)
			if strings.HasSuffix(strings.ToLower(k), "maximum") {
				c = -c
			}
			if c < 0 || c == 0 && strings.HasPrefix(k, "exclusive") {
				return false, nil
			}
		case k == "minLength" || k == "maxLength":
			m, ok := o.values[k].(json.Number)
			if !ok {
				return false, fmt.Errorf("%s is no number", k)
			}
			n, _ := m.Int64()
			length := int64(len([]rune(v.(string))))
			if k == "minLength" && length < n || k == "maxLength" && length > n {
				return false, nil
			}
		default:
			return false, fmt.Errorf("%s beside it is not supported", k)
		}
	}
	return true, nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case *object:
		return "object"
	case json.Number:
		if r, ok := ratOf(v); ok && r.IsInt() {
			return "integer"
		}
	}
	return "number"
}
