package jinja

import (
	"regexp"
	"strconv"
	"strings"
)

// percentField is what follows a "%": (key), flags, width, precision, kind.
var percentField = regexp.MustCompile(`^(\([^)]*\))?([-+ #0]*)(\*|\d+)?(\.(?:\*|\d+)?)?[hlL]?(.)`)

// A percenter formats "format % values".
type percenter struct {
	m     *machine
	given any
	rest  []any // the values: those of a tuple, else the one given
	used  int
}

func (m *machine) percent(format, values any) any {
	f := &percenter{m: m, given: values, rest: []any{values}}
	if l, ok := values.(*list); ok && l.tuple {
		f.rest = l.items
	}
	var b builder
	s := m.str(format)
	for {
		text, after, found := strings.Cut(s, "%")
		b.add(m, text)
		if !found {
			break
		}
		p := percentField.FindStringSubmatch(after)
		if p == nil {
			m.fail("%% at the end of a format is not well-formed; write %%%%")
		}
		s = after[len(p[0]):]
		if p[5] == "%" {
			b.add(m, "%")
			continue
		}
		text = f.field(p)
		if isMarkup(format) && p[5] != "r" {
			text = m.escape(text)
		}
		b.add(m, text)
	}
	if f.used < len(f.rest) && !subscriptable(values) {
		m.fail("%% has %d values, the format wants %d; write %%%% for a percent sign", len(f.rest), f.used)
	}
	return like(format, b.String())
}

// subscriptable says whether Python takes v for a mapping, of which nothing
// need be used.
func subscriptable(v any) bool {
	switch v := v.(type) {
	case *Map, *span, undefined:
		return true
	case *list:
		return !v.tuple
	}
	return false
}

// next is the next value.
func (f *percenter) next() any {
	if f.used == len(f.rest) {
		f.m.fail("%% wants more values than the %d given", len(f.rest))
	}
	f.used++
	return f.rest[f.used-1]
}

// value is the next value, or that of a key in brackets.
func (f *percenter) value(key string) any {
	if key == "" {
		return f.next()
	}
	f.used = len(f.rest)
	d, ok := f.given.(*Map)
	if !ok {
		f.m.fail("%%%s wants a mapping, got a %s", key, typeName(f.given))
	}
	v, ok := f.m.find(d, key[1:len(key)-1])
	if !ok {
		f.m.fail("%%%s is not in the mapping", key)
	}
	return v
}

// size is a width or a precision: a number, or "*" for the next value.
func (f *percenter) size(text string) int {
	if text == "*" {
		return f.m.wantInt("*", f.next())
	}
	n, err := strconv.Atoi(text)
	if err != nil && text != "" {
		f.m.fail("%%: size %s is too large", text)
	}
	return n
}

// field formats one value as the parts of its field say.
func (f *percenter) field(p []string) string {
	s := &spec{precision: -1, alternate: strings.Contains(p[2], "#"), fill: " ", align: ">", kind: p[5]}
	if s.width = f.size(p[3]); s.width < 0 || strings.Contains(p[2], "-") {
		s.width, s.align = max(s.width, -s.width), "<"
	} else if strings.Contains(p[2], "0") && !strings.Contains("srac", p[5]) {
		s.fill, s.align = "0", "="
	}
	if p[4] != "" {
		s.precision = f.size(p[4][1:])
	}
	for _, sign := range []string{" ", "+"} {
		if strings.Contains(p[2], sign) {
			s.sign = sign
		}
	}
	return f.format(f.value(p[1]), s)
}

func (f *percenter) format(v any, s *spec) string {
	m := f.m
	if u, ok := v.(undefined); ok && !strings.Contains("sra", s.kind) {
		m.fail("%s", u.why)
	}
	switch s.kind {
	case "s":
		return m.formatText(m.str(v), s)
	case "r":
		return m.formatText(m.repr(v), s)
	case "a":
		return m.formatText(m.ascii(v), s)
	case "c":
		s.precision = -1
		if t, ok := asString(v); ok && m.runes(t) == 1 {
			return m.formatText(t, s)
		}
		s.sign = ""
		return m.formatInt(int64(m.wantInt("%c", v)), s)
	case "d", "i", "u", "x", "X", "o":
		return m.percentInt(v, s)
	case "e", "E", "f", "F", "g", "G":
		if !isNumber(v) {
			m.fail("%%%s wants a number, got a %s", s.kind, typeName(v))
		}
		return m.formatSpec(v, s)
	}
	m.fail("%%%s is no format; write %%%% for a percent sign", s.kind)
	return ""
}

// formatText is a string cut to the precision and filled up to the width.
func (m *machine) formatText(text string, s *spec) string {
	return m.formatSpec(text, &spec{fill: s.fill, align: s.align, width: s.width, precision: s.precision})
}

// percentInt formats an integer; its precision is the least number of digits.
func (m *machine) percentInt(v any, s *spec) string {
	if s.kind == "i" || s.kind == "u" {
		s.kind = "d"
	}
	if _, ok := v.(float64); ok && s.kind == "d" {
		v = filterInt(m, v, []any{missing{}, missing{}})
	}
	if !isInt(v) {
		m.fail("%%%s wants an integer, got a %s", s.kind, typeName(v))
	}
	if s.precision < 0 {
		return m.formatInt(v, s)
	}
	if s.precision > maxPrecision {
		m.fail("%%: precision %d, at most %d allowed", s.precision, maxPrecision)
	}
	bare := spec{kind: s.kind, precision: -1, fill: "0", align: "=", alternate: s.alternate, sign: s.sign, width: s.precision}
	if i, _ := wide(v); i.Sign() < 0 || s.sign != "" {
		bare.width++
	}
	return m.align(s, "", m.formatInt(v, &bare), ">")
}
