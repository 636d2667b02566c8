package jinja

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// A spec is how one value is formatted: what follows the colon of a field of
// str.format, or the flags after "%".
type spec struct {
	fill, align string // align is one of < > ^ =
	sign        string // of numbers that are not negative
	alternate   bool
	width       int
	group       string // "," or "_" between thousands
	precision   int    // -1: none
	kind        string
}

var specFormat = regexp.MustCompile(`^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$`)

// formatValue is Python's format(v, text).
func (m *machine) formatValue(v any, text string) string {
	if text == "" {
		return m.str(v)
	}
	p := specFormat.FindStringSubmatch(text)
	if p == nil {
		m.fail("format: %q is no format specification", text)
	}
	s := spec{fill: p[1], align: p[2], sign: p[3], alternate: p[5] != "", group: p[8], precision: -1, kind: p[10]}
	if p[6] != "" { // zeros in front
		if s.fill == "" {
			s.fill = "0"
		}
		if s.align == "" && isNumber(v) {
			s.align = "="
		}
	}
	s.width, _ = strconv.Atoi(p[7])
	if p[9] != "" {
		s.precision, _ = strconv.Atoi(p[9])
	}
	return m.formatSpec(v, &s)
}

// maxPrecision bounds the digits of a formatted number.
const maxPrecision = 1000

func (m *machine) formatSpec(v any, s *spec) string {
	if t, ok := asString(v); ok {
		if s.kind != "" && s.kind != "s" || s.sign != "" || s.align == "=" || s.group != "" {
			m.fail("format: a string cannot be formatted like a number; convert it with |int or |float")
		}
		if s.precision >= 0 {
			t = m.str(m.slice(t, nil, int64(s.precision), nil))
		}
		return m.align(s, "", t, "<")
	}
	if !isNumber(v) {
		m.fail("format: a %s takes no format specification; convert it with |string", typeName(v))
	}
	if s.precision > maxPrecision {
		m.fail("format: precision %d, at most %d allowed", s.precision, maxPrecision)
	}
	if _, ok := v.(bool); ok && s.kind == "" {
		v, _ = wide(v)
		v = integer(v.(*big.Int))
	}
	if isInt(v) && !strings.Contains("eEfFgG%", s.kind) || isInt(v) && s.kind == "" {
		return m.formatInt(v, s)
	}
	f, _ := float(v)
	return m.formatFloat(f, s)
}

func (m *machine) formatInt(v any, s *spec) string {
	i, _ := wide(v)
	base, prefix := 10, ""
	switch s.kind {
	case "", "d", "n":
	case "b":
		base, prefix = 2, "0b"
	case "o":
		base, prefix = 8, "0o"
	case "x", "X":
		base, prefix = 16, "0"+s.kind
	case "c":
		if !i.IsInt64() || i.Int64() < 0 || i.Int64() > 0x10ffff {
			m.fail("format: %s is no character", i)
		}
		return m.align(s, "", string(rune(i.Int64())), "<")
	default:
		m.fail("format: unknown type %q of an integer", s.kind)
	}
	if s.precision >= 0 {
		m.fail("format: an integer has no precision; write it as a float with \"f\"")
	}
	digits := new(big.Int).Abs(i).Text(base)
	if s.kind == "X" {
		digits = strings.ToUpper(digits)
	}
	sign := s.signOf(i.Sign() < 0)
	if s.alternate {
		sign += prefix
	}
	every := 3
	if base != 10 {
		every = 4
	}
	return m.align(s, sign, s.grouped(digits, every, len(sign)), ">")
}

// signOf is what stands in front of a number.
func (s *spec) signOf(negative bool) string {
	if negative {
		return "-"
	}
	if s.sign == "-" {
		return ""
	}
	return s.sign
}

// grouped puts separators between groups of digits, and between the zeros
// that fill up the width.
func (s *spec) grouped(digits string, every, used int) string {
	if s.group == "" {
		return digits
	}
	whole, rest := digits, ""
	if i := strings.IndexFunc(digits, func(r rune) bool { return r == '.' || r == 'e' || r == 'E' || r == '%' }); i >= 0 {
		whole, rest = digits[:i], digits[i:]
	}
	if s.fill == "0" && s.align == "=" {
		for len(whole)+(len(whole)-1)/every+len(rest)+used < min(s.width, maxPrecision) {
			whole = "0" + whole
		}
	}
	for i := len(whole) - every; i > 0; i -= every {
		whole = whole[:i] + s.group + whole[i:]
	}
	return whole + rest
}

func (m *machine) formatFloat(f float64, s *spec) string {
	kind, precision, scale := s.kind, s.precision, ""
	var digits string
	switch kind {
	case "":
		if precision < 0 {
			digits = formatFloat(f)
		} else {
			digits = general(f, precision, s.alternate)
			if !strings.ContainsAny(digits, ".enia") {
				digits += ".0"
			}
		}
	case "f", "F", "e", "E", "g", "G", "n", "%":
		if precision < 0 {
			precision = 6
		}
		if kind == "%" {
			f, kind, scale = f*100, "f", "%"
		}
		if kind == "n" {
			kind = "g"
		}
		lower := strings.ToLower(kind)
		if lower == "g" {
			digits = general(f, precision, s.alternate)
		} else {
			digits = strconv.FormatFloat(f, lower[0], precision, 64)
		}
		digits = strings.NewReplacer("NaN", "nan", "+Inf", "inf", "-Inf", "-inf").Replace(digits)
		if kind != lower {
			digits = strings.ToUpper(digits)
		}
	default:
		m.fail("format: unknown type %q of a float", s.kind)
	}
	digits, negative := strings.CutPrefix(digits, "-")
	sign := s.signOf(negative)
	return m.align(s, sign, s.grouped(digits+scale, 3, len(sign)), ">")
}

// general is the format "g" of C: significant digits, an exponent if it is
// large, and no zeros at the end unless keep is set.
func general(f float64, precision int, keep bool) string {
	if precision == 0 {
		precision = 1
	}
	e := strconv.FormatFloat(f, 'e', precision-1, 64)
	mantissa, power, ok := strings.Cut(e, "e")
	if !ok {
		return e // infinite or no number
	}
	x, _ := strconv.Atoi(power)
	if x >= -4 && x < precision {
		mantissa, power = strconv.FormatFloat(f, 'f', precision-1-x, 64), ""
	}
	if !keep && strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	if power != "" {
		return mantissa + "e" + power
	}
	return mantissa
}

// align fills text up to the width.
func (m *machine) align(s *spec, sign, text, usual string) string {
	fill, align := s.fill, s.align
	if fill == "" {
		fill = " "
	}
	if align == "" {
		align = usual
	}
	n := s.width - m.runes(sign) - m.runes(text)
	if n <= 0 {
		return sign + text
	}
	left := 0
	switch align {
	case ">":
		left = n
	case "^":
		left = n / 2
	case "=":
		return sign + m.repeated(fill, n*len(fill)) + text
	}
	return m.repeated(fill, left*len(fill)) + sign + text + m.repeated(fill, (n-left)*len(fill))
}
