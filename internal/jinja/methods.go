package jinja

import (
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// methods are what values have by Python's types, without what changes them.
var methods map[string]map[string]*native

func init() {
	methods = map[string]map[string]*native{
		"str":    stringMethods,
		"list":   listMethods,
		"tuple":  {"count": listMethods["count"], "index": listMethods["index"]},
		"dict":   dictMethods,
		"range":  {"count": listMethods["count"], "index": listMethods["index"]},
		"int":    {"bit_length": fn("", intBitLength)},
		"float":  {"is_integer": fn("", floatIsInteger)},
		"cycler": {"next": fn("", cyclerNext), "reset": fn("", cyclerReset)},
	}
}

var listMethods = map[string]*native{
	"copy": fn("", func(m *machine, self any, _ []any) any {
		l := self.(*list)
		m.alloc(16 * len(l.items))
		return &list{items: slices.Clone(l.items)}
	}),
	"count": fn("value", func(m *machine, self any, a []any) any {
		n := int64(0)
		for item := range m.iterate(self) {
			if m.equal(item, a[0]) {
				n++
			}
		}
		return n
	}),
	"index": fn("value start? stop?", func(m *machine, self any, a []any) any {
		n, _ := m.length(self)
		start := m.wantInt("start", given(a[1], int64(0)))
		stop := m.wantInt("stop", given(a[2], int64(n)))
		if start < 0 {
			start = max(0, start+n)
		}
		if stop < 0 {
			stop += n
		}
		i := 0
		for item := range m.iterate(self) {
			if i >= start && i < stop && m.equal(item, a[0]) {
				return int64(i)
			}
			i++
		}
		m.fail("%s is not in the %s; test it with \"in\" before", m.short(a[0]), typeName(self))
		return nil
	}),
}

var dictMethods = map[string]*native{
	"copy": fn("", func(m *machine, self any, _ []any) any {
		m.alloc(64 * len(self.(*Map).keys))
		return self.(*Map).copy()
	}),
	"fromkeys": dictFromKeys,
	"get": fn("key default?", func(m *machine, self any, a []any) any {
		if v, ok := m.find(self.(*Map), a[0]); ok {
			return v
		}
		return given(a[1], nil)
	}),
	"items":  fn("", func(_ *machine, self any, _ []any) any { return &view{self.(*Map), "items"} }),
	"keys":   fn("", func(_ *machine, self any, _ []any) any { return &view{self.(*Map), "keys"} }),
	"values": fn("", func(_ *machine, self any, _ []any) any { return &view{self.(*Map), "values"} }),
}

func intBitLength(_ *machine, self any, _ []any) any {
	if i, ok := self.(int64); ok {
		return int64(bits.Len64(uint64(max(i, -i))))
	}
	return int64(self.(*big.Int).BitLen())
}

func floatIsInteger(_ *machine, self any, _ []any) any {
	f := self.(float64)
	return f == math.Trunc(f) && !math.IsInf(f, 0)
}

func cyclerNext(_ *machine, self any, _ []any) any {
	c := self.(*cycler)
	v := c.items[c.at]
	c.at = (c.at + 1) % len(c.items)
	return v
}

func cyclerReset(_ *machine, self any, _ []any) any {
	self.(*cycler).at = 0
	return nil
}
