package jinja

import (
	"regexp"
	"strconv"
	"strings"
)

var percentField = regexp.MustCompile(`^(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?(.)`)

// percent is "format % values": a tuple, a mapping, or one value.
func (m *machine) percent(format, values any) any {
	list, isList := values.(*list)
	named, _ := values.(*Map)
	rest := []any{values}
	if isList && list.tuple {
		rest = list.items
	}
	used := 0
	next := func() any {
		if used == len(rest) {
			m.fail("%% wants more values than the %d given", len(rest))
		}
		used++
		return rest[used-1]
	}
	var b builder
	s := m.str(format)
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			break
		}
		b.add(m, s[:i])
		p := percentField.FindStringSubmatch(s[i+1:])
		if p == nil {
			m.fail("%% at the end of a format is not well-formed; write %%%%")
		}
		field := s[i+1 : i+1+len(p[0])]
		s = s[i+1+len(p[0]):]
		if p[5] == "%" {
			b.add(m, "%")
			continue
		}
		value := next
		if p[1] != "" || strings.HasPrefix(field, "(") {
			if named == nil {
				m.fail("%%(%s) wants a mapping, got a %s", p[1], typeName(values))
			}
			used = len(rest)
			value = func() any {
				v, ok := m.find(named, p[1])
				if !ok {
					m.fail("no value %s in the mapping", quote(p[1]))
				}
				return v
			}
		}
		text := m.percentValue(p, strings.Contains(field, "."), next, value)
		if isMarkup(format) && !strings.ContainsAny(p[5], "r") {
			text = m.escape(text)
		}
		b.add(m, text)
	}
	if used < len(rest) && !subscriptable(values) {
		m.fail("%% has %d values, the format wants %d; write %%%% for a percent sign", len(rest), used)
	}
	b.add(m, s)
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

// percentValue formats a value as the field p says.
func (m *machine) percentValue(p []string, precise bool, next, value func() any) string {
	sp := spec{precision: -1, alternate: strings.Contains(p[2], "#"), fill: " ", align: ">", kind: p[5]}
	size := func(text string) int {
		if text == "*" {
			return m.wantInt("*", next())
		}
		n, err := strconv.Atoi(text)
		if err != nil && text != "" {
			m.fail("%%: size %s is too large", text)
		}
		return n
	}
	if sp.width = size(p[3]); sp.width < 0 || strings.Contains(p[2], "-") {
		sp.width, sp.align = max(sp.width, -sp.width), "<"
	} else if strings.Contains(p[2], "0") && !strings.ContainsAny(p[5], "srac") {
		sp.fill, sp.align = "0", "="
	}
	if precise {
		sp.precision = size(p[4])
	}
	for _, sign := range []string{" ", "+"} {
		if strings.Contains(p[2], sign) {
			sp.sign = sign
		}
	}
	v := value()
	if u, ok := v.(undefined); ok && !strings.ContainsAny(p[5], "sra") {
		m.fail("%s", u.why)
	}
	switch p[5] {
	case "s", "r", "a":
		sp.kind, sp.sign = "s", ""
		if p[5] == "s" {
			return m.formatSpec(m.str(v), &sp)
		} else if p[5] == "a" {
			return m.formatSpec(m.ascii(v), &sp)
		}
		return m.formatSpec(m.repr(v), &sp)
	case "c":
		sp.sign = ""
		if t, ok := asString(v); ok && m.runes(t) == 1 {
			sp.kind, sp.precision = "s", -1
			return m.formatSpec(t, &sp)
		}
		return m.formatInt(int64(m.wantInt("%c", v)), &sp)
	case "d", "i", "u", "x", "X", "o":
		return m.percentInt(v, &sp)
	case "e", "E", "f", "F", "g", "G":
		if !isNumber(v) {
			m.fail("%%%s wants a number, got a %s", p[5], typeName(v))
		}
		return m.formatSpec(v, &sp)
	}
	m.fail("%%%s is no format; write %%%% for a percent sign", p[5])
	return ""
}

func (m *machine) percentInt(v any, sp *spec) string {
	if sp.kind == "i" || sp.kind == "u" {
		sp.kind = "d"
	}
	if _, ok := v.(float64); ok && sp.kind == "d" {
		v = filterInt(m, v, []any{missing{}, missing{}})
	}
	if !isInt(v) {
		m.fail("%%%s wants an integer, got a %s", sp.kind, typeName(v))
	}
	if sp.precision < 0 {
		return m.formatInt(v, sp)
	}
	if sp.precision > maxPrecision {
		m.fail("%%: precision %d, at most %d allowed", sp.precision, maxPrecision)
	}
	bare := spec{kind: sp.kind, precision: -1, fill: "0", align: "=", alternate: sp.alternate, sign: sp.sign, width: sp.precision}
	i, _ := wide(v)
	if i.Sign() < 0 || sp.sign != "" {
		bare.width++
	}
	return m.align(sp, "", m.formatInt(v, &bare), ">")
}
