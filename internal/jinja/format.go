package jinja

import (
	"strconv"
	"strings"
)

// stringFormat is Python's str.format, within the sandbox: the fields of
// arguments are looked up as the language does.
func stringFormat(m *machine, self any, a args) any {
	f := formatter{m: m, list: a.list, named: m.newDict(args{nil, a.named, a.order}), markup: isMarkup(self)}
	return like(self, f.format(m.str(self), 2))
}

func stringFormatMap(m *machine, self any, a []any) any {
	d, ok := a[0].(*Map)
	if !ok {
		m.fail("format_map wants a mapping, got a %s", typeName(a[0]))
	}
	f := formatter{m: m, named: d, markup: isMarkup(self)}
	return like(self, f.format(m.str(self), 2))
}

func isMarkup(v any) bool {
	_, ok := v.(markup)
	return ok
}

type formatter struct {
	m      *machine
	list   []any
	named  *Map
	next   int // the argument that the next {} takes, -1 after {0}
	markup bool
}

// format replaces the fields of a format string: {field!conversion:spec}.
// A spec may have fields itself, to the depth given.
func (f *formatter) format(s string, depth int) string {
	if depth < 0 {
		f.m.fail("format: fields nested too deep")
	}
	f.m.scan(len(s))
	var b builder
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			break
		}
		b.add(f.m, s[:i])
		brace := s[i]
		s = s[i+1:]
		if s != "" && s[0] == brace { // doubled
			b.add(f.m, s[:1])
			s = s[1:]
			continue
		}
		if brace == '}' {
			f.m.fail("format: single '}'; write '}}'")
		}
		end := matching(s)
		if end < 0 {
			f.m.fail("format: single '{'; write '{{', or close it")
		}
		b.add(f.m, f.field(s[:end], depth))
		s = s[end+1:]
	}
	b.add(f.m, s)
	return b.String()
}

// matching is where the brace that was opened before s is closed.
func matching(s string) int {
	open := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open < 0 {
				return i
			}
		}
	}
	return -1
}

func (f *formatter) field(s string, depth int) string {
	f.m.work(1)
	name, spec, conversion := s, "", ""
	if i := strings.IndexAny(s, "!:["); i >= 0 {
		for i >= 0 && i < len(s) && s[i] == '[' { // an index may hold anything
			end := strings.IndexByte(s[i:], ']')
			if end < 0 {
				f.m.fail("format: missing ']'")
			}
			i += end
			if n := strings.IndexAny(s[i:], "!:["); n >= 0 {
				i += n
			} else {
				i = len(s)
			}
		}
		name, s = s[:i], s[i:]
		if strings.HasPrefix(s, "!") {
			conversion, spec, _ = strings.Cut(s[1:], ":")
		} else if s != "" {
			spec = s[1:]
		}
	}
	v := f.lookup(name)
	switch conversion {
	case "":
	case "s":
		v = f.m.str(v)
	case "r":
		v = f.m.repr(v)
	case "a":
		v = f.m.ascii(v)
	default:
		f.m.fail("format: unknown conversion %q; there are r, s and a", "!"+conversion)
	}
	if strings.Contains(spec, "{") {
		spec = f.format(spec, depth-1)
	}
	text := f.m.formatValue(v, spec)
	if f.markup && !isMarkup(v) {
		text = f.m.escape(text)
	}
	return text
}

// ascii is Python's ascii: a repr that escapes what is beyond ASCII.
func (m *machine) ascii(v any) string {
	if s, ok := v.(string); ok {
		return quoted(s, func(r rune) bool { return r >= ' ' && r < 0x7f })
	}
	return m.repr(v)
}

// lookup finds the value of a field such as 0.name[key].
func (f *formatter) lookup(name string) any {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	v := f.argument(name[:end])
	for rest := name[end:]; rest != ""; {
		if rest[0] == '.' {
			rest = rest[1:]
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			v, rest = f.m.attribute(v, rest[:end]), rest[end:]
			continue
		}
		key, after, ok := strings.Cut(rest[1:], "]")
		if !ok || rest[0] != '[' {
			f.m.fail("format: field %q is not well-formed", name)
		}
		if i, err := strconv.ParseInt(key, 10, 64); err == nil {
			v = f.m.subscript(v, i)
		} else {
			v = f.m.subscript(v, key)
		}
		rest = after
	}
	return v
}

func (f *formatter) argument(name string) any {
	i, err := strconv.Atoi(name)
	switch {
	case name == "":
		if f.next < 0 {
			f.m.fail("format: {} cannot follow {0}")
		}
		i = f.next
		f.next++
	case err == nil:
		if f.next > 0 {
			f.m.fail("format: {%s} cannot follow {}", name)
		}
		f.next = -1
	default:
		v, ok := f.m.find(f.named, name)
		if !ok {
			f.m.fail("format: no argument %q", name)
		}
		return v
	}
	if i < 0 || i >= len(f.list) {
		f.m.fail("format: no argument %d; there are %d", i, len(f.list))
	}
	return f.list[i]
}
