package jinja

import "math/big"

// tests are those of jinja2/tests.py.
var tests = map[string]*native{}

func init() {
	for name, test := range map[string]func(m *machine, v any) bool{
		"odd":       func(m *machine, v any) bool { return m.remainder(v, int64(2), int64(1)) },
		"even":      func(m *machine, v any) bool { return m.remainder(v, int64(2), int64(0)) },
		"defined":   func(m *machine, v any) bool { return !isUndefined(v) },
		"undefined": func(m *machine, v any) bool { return isUndefined(v) },
		"filter":    func(m *machine, v any) bool { s, ok := asString(v); return ok && filters[m.read(s)] != nil },
		"test":      func(m *machine, v any) bool { s, ok := asString(v); return ok && tests[m.read(s)] != nil },
		"none":      func(m *machine, v any) bool { return v == nil },
		"boolean":   func(m *machine, v any) bool { _, ok := v.(bool); return ok },
		"false":     func(m *machine, v any) bool { return v == false },
		"true":      func(m *machine, v any) bool { return v == true },
		"integer":   isInteger,
		"float":     func(m *machine, v any) bool { _, ok := v.(float64); return ok },
		"lower":     func(m *machine, v any) bool { return isLower(m.read(m.str(v))) },
		"upper":     func(m *machine, v any) bool { return isUpper(m.read(m.str(v))) },
		"string":    func(m *machine, v any) bool { _, ok := asString(v); return ok },
		"mapping":   func(m *machine, v any) bool { _, ok := v.(*Map); return ok },
		"number":    func(m *machine, v any) bool { return isNumber(v) },
		"sequence":  isSequence,
		"iterable":  isIterable,
		"callable":  isCallable,
		"escaped":   func(m *machine, v any) bool { _, ok := v.(markup); return ok },
	} {
		tests[name] = fn("", func(m *machine, self any, _ []any) any { return test(m, self) })
	}
	for name, op := range map[string]string{
		"==": "==", "eq": "==", "equalto": "==", "!=": "!=", "ne": "!=",
		">": ">", "gt": ">", "greaterthan": ">", ">=": ">=", "ge": ">=",
		"<": "<", "lt": "<", "lessthan": "<", "<=": "<=", "le": "<=", "in": "in",
	} {
		tests[name] = fn("other", func(m *machine, self any, a []any) any { return m.compare(op, self, a[0]) })
	}
	tests["sameas"] = fn("other", func(m *machine, self any, a []any) any { return m.same(self, a[0]) })
	tests["divisibleby"] = fn("num", func(m *machine, self any, a []any) any {
		return m.remainder(self, a[0], int64(0))
	})
}

func (m *machine) remainder(v, by, want any) bool {
	return m.equal(m.arithmetic("%", v, by), want)
}

func isUndefined(v any) bool {
	_, ok := v.(undefined)
	return ok
}

func isInteger(_ *machine, v any) bool {
	switch v.(type) {
	case int64, *big.Int:
		return true
	}
	return false
}

func isSequence(_ *machine, v any) bool {
	switch v.(type) {
	case string, markup, *list, *Map, *span, undefined:
		return true
	}
	return false
}

func isIterable(_ *machine, v any) bool {
	switch v.(type) {
	case string, markup, *list, *Map, *span, *view, *stream, *loop, undefined:
		return true
	}
	return false
}

func isCallable(_ *machine, v any) bool {
	switch v.(type) {
	case *macro, *method, *native, *joiner, *loop, undefined:
		return true
	}
	return false
}
