package grammar

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// pattern is the inside of JSON strings whose value matches a regular
// expression somewhere and has lo to hi characters (hi < 0: no limit), or nil
// if there are none. The expression is one of ECMA-262 without what a grammar
// cannot say: look-around, back references, \b. Characters are escaped only
// where JSON asks for it.
func pattern(p string, lo, hi int) (*expr, error) {
	if err := checkPattern(p); err != nil {
		return nil, err
	}
	re, err := syntax.Parse(unicodeEscapes(p), syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression that can be kept: %v", p, err)
	}
	q := &regex{source: p}
	re = q.withoutGroups(re)
	re, open, closed := q.anchors(re)
	if q.err != nil {
		return nil, q.err
	}
	if !open {
		re = &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{anything(), re}}
	}
	if !closed {
		re = &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{re, anything()}}
	}
	if lo > 0 || hi >= 0 {
		if re = q.limit(re, lo, hi); re == nil {
			return nil, q.err
		}
	}
	e := q.expr(re, 0)
	return e, q.err
}

func anything() *syntax.Regexp {
	return &syntax.Regexp{Op: syntax.OpStar, Sub: []*syntax.Regexp{{Op: syntax.OpAnyChar}}}
}

// checkPattern refuses what Go reads in another way than ECMA-262.
func checkPattern(p string) error {
	inClass := false
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '\\':
			i++
			if i == len(p) {
				return fmt.Errorf("%q ends with a lone backslash", p)
			}
			if c := p[i]; isDigit(c) {
				return fmt.Errorf(`%q: back references (\%c) are not supported`, p, c)
			} else if isLetter(c) && !strings.ContainsRune("dDwWsSnrtfvxupP", rune(c)) {
				return fmt.Errorf(`%q: \%c is not supported`, p, c)
			}
		case inClass:
			if p[i] == ']' {
				inClass = false
			}
			if strings.HasPrefix(p[i:], "[:") {
				return fmt.Errorf("%q: [: inside [] is not supported; write \\[", p)
			}
		case p[i] == '[':
			inClass = true
			if rest := strings.TrimPrefix(p[i+1:], "^"); strings.HasPrefix(rest, "]") {
				return fmt.Errorf("%q: an empty set [] is not supported", p)
			}
		case strings.HasPrefix(p[i:], "(?=") || strings.HasPrefix(p[i:], "(?!") || strings.HasPrefix(p[i:], "(?<=") || strings.HasPrefix(p[i:], "(?<!"):
			return fmt.Errorf("%q: look-around (%s…) is not supported", p, p[i:i+3])
		}
	}
	return nil
}

// unicodeEscapes writes \u0041 in the way Go does.
func unicodeEscapes(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '\\' || i+1 == len(p) {
			b.WriteByte(p[i])
			continue
		}
		if i+6 <= len(p) && p[i+1] == 'u' && strings.Trim(p[i+2:i+6], "0123456789abcdefABCDEF") == "" {
			b.WriteString(`\x{` + p[i+2:i+6] + "}")
			i += 5
			continue
		}
		b.WriteString(p[i : i+2])
		i++
	}
	return b.String()
}

// A regex turns a parsed expression into one of a grammar.
type regex struct {
	source string
	err    error
}

func (q *regex) fail(format string, args ...any) {
	if q.err == nil {
		q.err = fmt.Errorf("%q: %s", q.source, fmt.Sprintf(format, args...))
	}
}

// withoutGroups replaces groups by what is in them.
func (q *regex) withoutGroups(re *syntax.Regexp) *syntax.Regexp {
	if re.Op == syntax.OpCapture {
		return q.withoutGroups(re.Sub[0])
	}
	for i, s := range re.Sub {
		re.Sub[i] = q.withoutGroups(s)
	}
	return re
}

// anchors takes ^ and $ off the ends: whether they were there. Of several
// alternatives all are made whole here.
func (q *regex) anchors(re *syntax.Regexp) (rest *syntax.Regexp, open, closed bool) {
	empty := &syntax.Regexp{Op: syntax.OpEmptyMatch}
	switch re.Op {
	case syntax.OpBeginText:
		return empty, true, false
	case syntax.OpEndText:
		return empty, false, true
	case syntax.OpAlternate:
		out := &syntax.Regexp{Op: syntax.OpAlternate}
		for _, s := range re.Sub {
			r, o, c := q.anchors(s)
			parts := []*syntax.Regexp{r}
			if !o {
				parts = append([]*syntax.Regexp{anything()}, parts...)
			}
			if !c {
				parts = append(parts, anything())
			}
			out.Sub = append(out.Sub, &syntax.Regexp{Op: syntax.OpConcat, Sub: parts})
		}
		return out, true, true
	case syntax.OpConcat:
		sub := slices.Clone(re.Sub)
		for len(sub) > 0 && sub[0].Op == syntax.OpBeginText {
			sub, open = sub[1:], true
		}
		for len(sub) > 0 && sub[len(sub)-1].Op == syntax.OpEndText {
			sub, closed = sub[:len(sub)-1], true
		}
		return &syntax.Regexp{Op: syntax.OpConcat, Sub: sub}, open, closed
	}
	return re, false, false
}

// limit keeps the texts of lo to hi characters; nil: there are none, or an
// error.
func (q *regex) limit(re *syntax.Regexp, lo, hi int) *syntax.Regexp {
	least, most := lengths(re)
	if least >= lo && (hi < 0 || most >= 0 && most <= hi) {
		return re
	}
	if hi >= 0 && least > hi || most >= 0 && most < lo {
		return nil
	}
	for re.Op == syntax.OpConcat && len(re.Sub) == 1 {
		re = re.Sub[0]
	}
	one := -1
	if re.Op == syntax.OpStar || re.Op == syntax.OpPlus || re.Op == syntax.OpRepeat {
		if a, b := lengths(re.Sub[0]); a == 1 && b == 1 {
			one = 1
		}
	}
	if one < 0 {
		q.fail("minLength or maxLength beside a pattern is supported only where the pattern repeats one character or keeps the lengths by itself; put the length into the pattern")
		return nil
	}
	if hi < 0 || most >= 0 && most < hi {
		hi = most
	}
	return &syntax.Regexp{Op: syntax.OpRepeat, Sub: re.Sub, Min: max(lo, least), Max: hi}
}

// lengths are the least and most characters that re matches; most < 0 is
// without limit.
func lengths(re *syntax.Regexp) (least, most int) {
	times := func(lo, hi int) (int, int) {
		a, b := lengths(re.Sub[0])
		switch {
		case b == 0 || hi == 0:
			b = 0
		case hi < 0 || b < 0:
			b = -1
		default:
			b = min(b*hi, maxTimes+1)
		}
		return min(a*lo, maxTimes+1), b
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune), len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, 1
	case syntax.OpStar:
		return times(0, -1)
	case syntax.OpPlus:
		return times(1, -1)
	case syntax.OpQuest:
		return times(0, 1)
	case syntax.OpRepeat:
		return times(re.Min, re.Max)
	case syntax.OpConcat:
		for _, s := range re.Sub {
			a, b := lengths(s)
			least += a
			if most += b; b < 0 || most < b {
				most = -1 << 30
			}
		}
		return min(least, maxTimes+1), max(most, -1)
	case syntax.OpAlternate:
		least = maxTimes + 1
		for _, s := range re.Sub {
			a, b := lengths(s)
			least = min(least, a)
			if most >= 0 {
				most = max(most, b)
			}
			if b < 0 {
				most = -1
			}
		}
	}
	return least, most
}

// expr is re, with characters written as in JSON.
func (q *regex) expr(re *syntax.Regexp, depth int) *expr {
	if depth > 4*maxNesting {
		q.fail("it is nested too deep")
		return text("")
	}
	sub := func(i int) *expr { return q.expr(re.Sub[i], depth+1) }
	switch re.Op {
	case syntax.OpEmptyMatch:
		return text("")
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			q.fail("flags such as (?i) are not supported")
		}
		var b strings.Builder
		for _, r := range re.Rune {
			b.WriteString(escaped(r))
		}
		return text(b.String())
	case syntax.OpAnyChar:
		return characters([]span{{0, lastRune}})
	case syntax.OpAnyCharNotNL:
		return characters(without([]span{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}))
	case syntax.OpCharClass:
		return q.class(re)
	case syntax.OpStar:
		return repeat(sub(0), 0, -1)
	case syntax.OpPlus:
		return repeat(sub(0), 1, -1)
	case syntax.OpQuest:
		return repeat(sub(0), 0, 1)
	case syntax.OpRepeat:
		return repeat(sub(0), re.Min, re.Max)
	case syntax.OpConcat, syntax.OpAlternate:
		args := make([]*expr, len(re.Sub))
		for i := range args {
			args[i] = sub(i)
		}
		if re.Op == syntax.OpConcat {
			return seq(args...)
		}
		return alt(args...)
	case syntax.OpBeginText, syntax.OpEndText:
		q.fail("^ and $ are supported only at the ends of the pattern or of its alternatives")
	default:
		q.fail("%v is not supported", re.Op)
	}
	return text("")
}

// class is a set of characters. In one that is made by exclusion, \S above
// all, spaces beyond ASCII are left out: Go keeps them there, ECMA-262 not.
func (q *regex) class(re *syntax.Regexp) *expr {
	var set []span
	for i := 0; i < len(re.Rune); i += 2 {
		set = append(set, span{re.Rune[i], re.Rune[i+1]})
	}
	if n := len(set); n > 0 && set[n-1].hi == unicode.MaxRune {
		set = minus(set, []span{{'\v', '\v'}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
			{0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}})
	}
	if len(set) == 0 {
		q.fail("a set of no characters")
		return text("")
	}
	return characters(set)
}

// characters is one character of a set, written as in JSON.
func characters(set []span) *expr {
	var ways []*expr
	if p := minus(set, without(plain)); len(p) > 0 {
		ways = append(ways, class(p))
	}
	for _, s := range minus(set, plain) {
		for r := s.lo; r <= s.hi; r++ {
			ways = append(ways, text(escaped(r)))
		}
	}
	return alt(ways...)
}

// escaped is a character in a JSON string.
func escaped(r rune) string {
	s := encode(string(r))
	return s[1 : len(s)-1]
}
