package jinja

import (
	"fmt"
	"math/big"
)

// A value of the language is one of these Go types:
//
//	nil, bool, int64, *big.Int (beyond int64), float64, string
//	markup                 a string that is safe as HTML
//	*list, *Map            list or tuple, dict
//	*view, *span, *stream  d.items() and the like, range(), what filters yield
//	*namespace, *loop, *cycler, *joiner
//	*macro, *method, *native
//	undefined
//
// They are immutable, as in jinja2's immutable sandbox, but for namespaces
// and for what streams have left. Nothing else of Go is within reach.

// A markup is what |safe and |escape yield: a string that escapes what is
// added to it.
type markup string

// A list is a Python list or tuple. Fields are the names of the items, of
// the tuples that groupby yields.
type list struct {
	items  []any
	tuple  bool
	fields []string
}

// undefined is the value of what is not there. Using it, other than to
// print it or to test it, fails with what it says.
type undefined struct {
	why string
}

// missing is a variable without value.
type missing struct{}

// A namespace is what set can change from inside of a loop.
type namespace struct{ attrs *Map }

// A view is d.keys(), d.values() or d.items().
type view struct {
	of   *Map
	kind string
}

func (v *view) item(i int) any {
	switch v.kind {
	case "keys":
		return v.of.keys[i]
	case "values":
		return v.of.values[i]
	}
	return &list{items: []any{v.of.keys[i], v.of.values[i]}, tuple: true}
}

// A span is a range of n integers.
type span struct {
	start, step int64
	n           int
}

func (s *span) item(i int) any { return s.start + int64(i)*s.step }

// A stream yields values once, like a Python generator. Next reports false
// at its end.
type stream struct{ next func() (any, bool) }

// A method is a method of a value, not yet called.
type method struct {
	of   any
	name string
	fn   *native
}

// cycler and joiner are made by the functions of these names.
type cycler struct {
	items []any
	at    int
}

type joiner struct {
	separator any
	used      bool
}

// typeName is Python's name for the type of v, for errors.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string, markup:
		return "str"
	case *list:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *Map:
		return "dict"
	case *view:
		return "dict_" + v.kind
	case *span:
		return "range"
	case *stream:
		return "generator"
	case *macro:
		return "macro"
	case *method, *native:
		return "function"
	case undefined:
		return "undefined"
	}
	return fmt.Sprintf("%T", v)[len("*jinja."):]
}

// text is v as a string, if it is one.
func asString(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case markup:
		return string(v), true
	}
	return "", false
}

// truth is what if makes of v.
func (m *machine) truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	}
	if n, ok := m.length(v); ok {
		return n > 0
	}
	return true
}

// length is Python's len, where v has one.
func (m *machine) length(v any) (int, bool) {
	switch v := v.(type) {
	case string:
		return m.runes(v), true
	case markup:
		return m.runes(string(v)), true
	case *list:
		return len(v.items), true
	case *Map:
		return len(v.keys), true
	case *view:
		return len(v.of.keys), true
	case *span:
		return v.n, true
	case *loop:
		return v.length(m), true
	case undefined:
		return 0, true
	}
	return 0, false
}
