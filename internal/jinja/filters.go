package jinja

import (
	"maps"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// filters are jinja2's (jinja2/filters.py) but for those of HTML pages, and
// transformers' tojson. Those of sequences are in sequence.go, of strings in
// words.go.
var filters = map[string]*native{}

func init() { // the filters map and select look others up
	maps.Copy(filters, map[string]*native{
		"abs":     fn("", filterAbs),
		"attr":    fn("name", filterAttr),
		"default": fn("default_value? boolean?", filterDefault),
		"float":   fn("default?", filterFloat),
		"int":     fn("default? base?", filterInt),
		"round":   fn("precision? method?", filterRound),
		"string":  fn("", filterString),
		"tojson":  toJSON,
	})
	maps.Copy(filters, sequenceFilters)
	maps.Copy(filters, wordFilters)
	filters["d"], filters["e"], filters["count"] = filters["default"], filters["escape"], filters["length"]
}

// given is an argument, or what it is if absent.
func given(v, absent any) any {
	if v == (missing{}) {
		return absent
	}
	return v
}

// wantInt is the argument called name as an int.
func (m *machine) wantInt(name string, v any) int {
	if u, ok := v.(undefined); ok {
		m.fail("%s", u.why)
	}
	if !isInt(v) {
		m.fail("%s is a %s, want an integer", name, typeName(v))
	}
	return m.bound(v, 0)
}

// wantString is the argument called name as a string.
func (m *machine) wantString(name string, v any) string {
	s, ok := asString(v)
	if u, is := v.(undefined); is {
		m.fail("%s", u.why)
	}
	if !ok {
		m.fail("%s is a %s, want a string", name, typeName(v))
	}
	return s
}

func filterAbs(m *machine, self any, _ []any) any {
	if f, ok := self.(float64); ok {
		return math.Abs(f)
	}
	i, ok := wide(self)
	if !ok {
		m.fail("abs wants a number, got a %s", typeName(self))
	}
	return integer(new(big.Int).Abs(i))
}

// filterAttr looks at attributes only, not at items.
func filterAttr(m *machine, self any, a []any) any {
	name := m.wantString("name", a[0])
	if u, ok := self.(undefined); ok {
		m.fail("%s", u.why)
	}
	if v, ok := m.member(self, name); ok {
		return v
	}
	return undefined{"a " + typeName(self) + " has no attribute " + quote(name)}
}

func filterDefault(m *machine, self any, a []any) any {
	if _, ok := self.(undefined); ok || m.truth(given(a[1], false)) && !m.truth(self) {
		return given(a[0], "")
	}
	return self
}

func filterString(m *machine, self any, _ []any) any {
	if _, ok := asString(self); ok {
		return self
	}
	return m.str(self)
}

func filterFloat(m *machine, self any, a []any) any {
	if u, ok := self.(undefined); ok {
		m.fail("%s", u.why)
	}
	if f, ok := m.toFloat(self); ok {
		return f
	}
	return given(a[0], 0.0)
}

// toFloat is Python's float(v), where that succeeds.
func (m *machine) toFloat(v any) (float64, bool) {
	if s, ok := asString(v); ok {
		m.scan(32 * len(s))
		return parseFloat(s)
	}
	return float(v)
}

func parseFloat(s string) (float64, bool) {
	s = strings.TrimFunc(s, isSpace)
	if strings.ContainsAny(s, "xXpP") || !underscores(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

// underscores says whether those of a number stand between digits.
func underscores(s string) bool {
	for i := range s {
		if s[i] == '_' && (i == 0 || i == len(s)-1 || !isDigit(s[i-1]) || !isDigit(s[i+1])) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func filterInt(m *machine, self any, a []any) any {
	if u, ok := self.(undefined); ok {
		m.fail("%s", u.why)
	}
	if s, ok := asString(self); ok {
		if i, ok := m.parseInt(s, m.wantInt("base", given(a[1], int64(10)))); ok {
			return i
		}
	}
	if isInt(self) {
		i, _ := wide(self)
		return integer(i)
	}
	f, ok := m.toFloat(self)
	if _, is := self.(float64); is && math.IsInf(f, 0) {
		m.fail("int of an infinite float")
	}
	if !ok || math.IsInf(f, 0) || math.IsNaN(f) {
		return given(a[0], int64(0))
	}
	i, _ := big.NewFloat(f).Int(nil)
	return integer(i)
}

// parseInt is Python's int(s, base), where that succeeds.
func (m *machine) parseInt(s string, base int) (any, bool) {
	m.scan(8 * len(s))
	s = strings.TrimFunc(s, isSpace)
	if len(s) > maxIntBits/8 || base < 0 || base == 1 || base > 36 {
		return nil, false
	}
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	if s == "" || s[0] == '-' || s[0] == '+' || !underscoresBetween(s) {
		return nil, false
	}
	if prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" && len(s) > 2 && strings.EqualFold(s[:2], prefix) {
		s = s[2:]
	}
	if base == 0 && len(s) > 1 && s[0] == '0' && (isDigit(s[1]) || s[1] == '_') && strings.Trim(s, "0_") != "" {
		return nil, false // Python reads no octal number in this
	}
	i, ok := new(big.Int).SetString(sign+strings.ReplaceAll(s, "_", ""), base)
	if !ok {
		return nil, false
	}
	return integer(i), true
}

func underscoresBetween(s string) bool {
	return s[0] != '_' && s[len(s)-1] != '_' && !strings.Contains(s, "__")
}

func filterRound(m *machine, self any, a []any) any {
	precision := m.wantInt("precision", given(a[0], int64(0)))
	method := m.wantString("method", given(a[1], "common"))
	if u, ok := self.(undefined); ok {
		m.fail("%s", u.why)
	}
	if !isNumber(self) {
		m.fail("round wants a number, got a %s", typeName(self))
	}
	f, _ := float(self)
	switch method {
	case "common":
		if isInt(self) {
			return m.roundInt(self, precision)
		}
		return round(f, precision)
	case "ceil", "floor":
		if precision > 300 || precision < -300 {
			m.fail("precision %d is out of reach", precision)
		}
		p := math.Pow(10, float64(precision))
		if method == "ceil" {
			return math.Ceil(f*p) / p
		}
		return math.Floor(f*p) / p
	}
	m.fail("method is %s, want 'common', 'ceil' or 'floor'", quote(method))
	return nil
}

// round is Python's round of a float: half to even, of the exact number.
func round(f float64, precision int) float64 {
	if math.IsInf(f, 0) || math.IsNaN(f) || precision > 350 {
		return f
	}
	if precision >= 0 {
		r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', precision, 64), 64)
		return r
	}
	if precision < -350 {
		return math.Copysign(0, f)
	}
	p := math.Pow(10, float64(-precision))
	return math.RoundToEven(f/p) * p
}

// roundInt is Python's round of an int: digits before the point, half to even.
func (m *machine) roundInt(v any, precision int) any {
	i, _ := wide(v)
	if precision >= 0 {
		return integer(i)
	}
	if -precision > maxIntBits/3 {
		return int64(0)
	}
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-precision)), nil)
	q, rest := new(big.Int).DivMod(i, p, new(big.Int))
	if c := rest.Lsh(rest, 1).Cmp(p); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return m.checked(q.Mul(q, p))
}
