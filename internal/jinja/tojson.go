package jinja

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf16"
)

// jsonStyle is how tojson writes, as json.dumps of Python does.
type jsonStyle struct {
	ascii, sorted bool
	indent        string
	lines         bool // whether there is an indent
	item, key     string
}

// toJSON is the filter tojson of transformers.
var toJSON = fn("ensure_ascii? indent? separators? sort_keys?", func(m *machine, self any, a []any) any {
	s := jsonStyle{item: ", ", key: ": "}
	s.ascii = m.truth(given(a[0], false))
	s.sorted = m.truth(given(a[3], false))
	switch indent := given(a[1], nil).(type) {
	case nil:
	case string:
		s.indent, s.lines = indent, true
	default:
		n := m.wantInt("indent", indent)
		s.indent, s.lines = m.repeated(" ", max(0, n)), true
	}
	if s.lines {
		s.item = ","
	}
	if pair := given(a[2], nil); pair != nil {
		items := m.unpack(pair, 2)
		s.item, s.key = m.wantString("separators", items[0]), m.wantString("separators", items[1])
	}
	var b builder
	m.writeJSON(&b, &s, self, 0)
	return b.String()
})

func (m *machine) writeJSON(b *builder, s *jsonStyle, v any, level int) {
	m.work(1)
	switch v := v.(type) {
	case nil:
		b.add(m, "null")
	case bool:
		b.add(m, strconv.FormatBool(v))
	case int64:
		b.add(m, strconv.FormatInt(v, 10))
	case *big.Int:
		b.add(m, v.String())
	case float64:
		b.add(m, jsonFloat(v))
	case string:
		m.writeJSONString(b, s, v)
	case markup:
		m.writeJSONString(b, s, string(v))
	case *list:
		m.writeJSONItems(b, s, "[", "]", len(v.items), level, func(i int) {
			m.writeJSON(b, s, v.items[i], level+1)
		})
	case *Map:
		order := m.jsonOrder(s, v)
		m.writeJSONItems(b, s, "{", "}", len(order), level, func(i int) {
			m.writeJSONString(b, s, m.jsonKey(v.keys[order[i]]))
			b.add(m, s.key)
			m.writeJSON(b, s, v.values[order[i]], level+1)
		})
	case undefined:
		m.fail("tojson of nothing: %s", v.why)
	default:
		m.fail("a %s has no form in JSON; make a list of it with |list", typeName(v))
	}
}

// writeJSONItems writes brackets, n items with separators between, and line
// breaks if there is an indent.
func (m *machine) writeJSONItems(b *builder, s *jsonStyle, open, end string, n, level int, item func(i int)) {
	defer m.nest()()
	b.add(m, open)
	newline := func(level int) {
		if s.lines && n > 0 {
			b.add(m, "\n")
			for range level {
				b.add(m, s.indent)
			}
		}
	}
	for i := range n {
		if i > 0 {
			b.add(m, s.item)
		}
		newline(level + 1)
		item(i)
	}
	newline(level)
	b.add(m, end)
}

// jsonOrder is the order in which keys are written, as their indices.
func (m *machine) jsonOrder(s *jsonStyle, d *Map) []int {
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	if s.sorted {
		slices.SortStableFunc(order, func(i, j int) int { return m.order("<", d.keys[i], d.keys[j]) })
	}
	return order
}

func (m *machine) jsonKey(k any) string {
	switch k := k.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(k)
	case float64:
		return jsonFloat(k)
	case string, markup, int64, *big.Int:
		return m.str(k)
	}
	m.fail("a %s cannot be a key in JSON", typeName(k))
	return ""
}

func jsonFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case math.IsNaN(f):
		return "NaN"
	}
	return formatFloat(f)
}

var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}

func (m *machine) writeJSONString(b *builder, s *jsonStyle, text string) {
	m.scan(len(text))
	b.add(m, `"`)
	plain := 0 // start of what needs no escape
	for i, r := range text {
		if r >= ' ' && r != '"' && r != '\\' && (!s.ascii || r < 0x7f) {
			continue
		}
		b.add(m, text[plain:i])
		plain = i + len(string(r))
		if e, ok := jsonEscapes[r]; ok {
			b.add(m, e)
		} else if hi, lo := utf16.EncodeRune(r); r >= 0x10000 {
			b.add(m, fmt.Sprintf(`\u%04x\u%04x`, hi, lo))
		} else {
			b.add(m, fmt.Sprintf(`\u%04x`, r))
		}
	}
	b.add(m, text[plain:], `"`)
}
