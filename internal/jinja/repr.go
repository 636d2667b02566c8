package jinja

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// A builder makes a string within the limit of memory.
type builder struct{ strings.Builder }

func (b *builder) add(m *machine, parts ...string) {
	for _, s := range parts {
		m.alloc(len(s))
		b.WriteString(s)
	}
}

// repeated is s so often that it has size bytes.
func (m *machine) repeated(s string, size int) string {
	m.alloc(size)
	if s == "" {
		return ""
	}
	return strings.Repeat(s, size/len(s))
}

// str is Python's str: how a value is printed.
func (m *machine) str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case markup:
		return string(v)
	case undefined:
		return ""
	}
	return m.repr(v)
}

// repr is how a value is printed inside of a list.
func (m *machine) repr(v any) string {
	var b builder
	m.writeRepr(&b, v)
	return b.String()
}

// short names a key in an error.
func (m *machine) short(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) <= 60 {
			return quote(v)
		}
	case bool, int64, float64:
		return m.repr(v)
	}
	return "such " + typeName(v)
}

func (m *machine) writeRepr(b *builder, v any) {
	m.work(1)
	switch v := v.(type) {
	case nil:
		b.add(m, "None")
	case bool:
		b.add(m, map[bool]string{true: "True", false: "False"}[v])
	case int64:
		b.add(m, strconv.FormatInt(v, 10))
	case *big.Int:
		b.add(m, v.String())
	case float64:
		b.add(m, formatFloat(v))
	case string:
		m.scan(len(v))
		b.add(m, quote(v))
	case markup:
		b.add(m, "Markup(", quote(string(v)), ")")
	case *list:
		m.writeList(b, v)
	case *Map:
		m.writeMap(b, v)
	case *view:
		l := &list{}
		for i := range v.of.keys {
			l.items = append(l.items, v.item(i))
		}
		b.add(m, "dict_", v.kind, "(")
		m.writeRepr(b, l)
		b.add(m, ")")
	case *span:
		stop := v.start + int64(v.n)*v.step
		b.add(m, fmt.Sprintf("range(%d, %d", v.start, stop))
		if v.step != 1 {
			b.add(m, fmt.Sprintf(", %d", v.step))
		}
		b.add(m, ")")
	case *namespace:
		b.add(m, "<Namespace ")
		m.writeRepr(b, v.attrs)
		b.add(m, ">")
	case *loop:
		b.add(m, fmt.Sprintf("<LoopContext %d/%d>", v.index+1, v.length(m)))
	case *macro:
		if v.block.name == nil {
			b.add(m, "<Macro anonymous>")
		} else {
			b.add(m, "<Macro ", quote(v.name()), ">")
		}
	case undefined:
		b.add(m, "Undefined")
	default:
		b.add(m, "<", typeName(v), ">") // Python adds an address
	}
}

func (m *machine) writeList(b *builder, l *list) {
	defer m.nest()()
	open, end := "[", "]"
	if l.tuple {
		open, end = "(", ")"
		if len(l.items) == 1 {
			end = ",)"
		}
	}
	b.add(m, open)
	for i, item := range l.items {
		if i > 0 {
			b.add(m, ", ")
		}
		m.writeRepr(b, item)
	}
	b.add(m, end)
}

func (m *machine) writeMap(b *builder, d *Map) {
	defer m.nest()()
	b.add(m, "{")
	for i, k := range d.keys {
		if i > 0 {
			b.add(m, ", ")
		}
		m.writeRepr(b, k)
		b.add(m, ": ")
		m.writeRepr(b, d.values[i])
	}
	b.add(m, "}")
}

// quote is Python's repr of a string.
func quote(s string) string { return quoted(s, strconv.IsPrint) }

// quoted escapes what does not show.
func quoted(s string, shows func(rune) bool) string {
	mark := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		mark = '"'
	}
	b := append(make([]byte, 0, len(s)+2), mark)
	for _, r := range s {
		switch {
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == rune(mark) || r == '\\':
			b = append(b, '\\', byte(r))
		case shows(r):
			b = append(b, string(r)...)
		case r < 0x100:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return string(append(b, mark))
}
