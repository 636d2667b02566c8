package jinja

import (
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"
)

// isSpace is Python's str.isspace of a character.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}

// stringMethods are those of Python's str, without those of bytes.
var stringMethods = map[string]*native{}

func init() { // format looks methods up
	maps.Copy(stringMethods, map[string]*native{
		"capitalize": textMethod((*machine).capitalize),
		"casefold":   textMethod((*machine).folded),
		"center":     fn("width fill?", func(m *machine, s any, a []any) any { return m.pad(s, a[0], a[1], 0) }),
		"count":      fn("part start? end?", stringCount),
		"endswith":   fn("part start? end?", affix(strings.HasSuffix)),
		"expandtabs": fn("tabsize?", stringExpandTabs),
		"find":       fn("part start? end?", finder(strings.Index, false)),
		"format":     variadic(stringFormat),
		"format_map": fn("mapping", stringFormatMap),
		"index":      fn("part start? end?", finder(strings.Index, true)),
		"isalnum":    runeTest(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
		"isalpha":    runeTest(unicode.IsLetter),
		"isascii":    stringTest(isASCII),
		"isdecimal":  runeTest(unicode.IsDigit),
		"isdigit": runeTest(func(r rune) bool {
			return unicode.IsDigit(r) || strings.ContainsRune("²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", r)
		}),
		"isidentifier": stringTest(isIdentifier),
		"islower":      stringTest(isLower),
		"isnumeric":    runeTest(unicode.IsNumber),
		"isprintable":  stringTest(func(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 }),
		"isspace":      runeTest(isSpace),
		"istitle":      stringTest(isTitled),
		"isupper":      stringTest(isUpper),
		"join":         fn("iterable", stringJoin),
		"ljust":        fn("width fill?", func(m *machine, s any, a []any) any { return m.pad(s, a[0], a[1], -1) }),
		"lower":        textMethod((*machine).lower),
		"lstrip":       stripper(true, false),
		"partition":    fn("sep", partition(strings.Index, false)),
		"removeprefix": fn("prefix", func(m *machine, s any, a []any) any { return cutAffix(m, s, a[0], strings.TrimPrefix) }),
		"removesuffix": fn("suffix", func(m *machine, s any, a []any) any { return cutAffix(m, s, a[0], strings.TrimSuffix) }),
		"replace":      fn("old new count?", stringReplace),
		"rfind":        fn("part start? end?", finder(strings.LastIndex, false)),
		"rindex":       fn("part start? end?", finder(strings.LastIndex, true)),
		"rjust":        fn("width fill?", func(m *machine, s any, a []any) any { return m.pad(s, a[0], a[1], 1) }),
		"rpartition":   fn("sep", partition(strings.LastIndex, true)),
		"rsplit":       fn("sep? maxsplit?", stringRsplit),
		"rstrip":       stripper(false, true),
		"split":        fn("sep? maxsplit?", stringSplit),
		"splitlines":   fn("keepends?", stringSplitLines),
		"startswith":   fn("part start? end?", affix(strings.HasPrefix)),
		"strip":        stripper(true, true),
		"swapcase":     textMethod((*machine).swapped),
		"title":        textMethod((*machine).titled),
		"upper":        textMethod((*machine).upper),
		"zfill":        fn("width", stringZfill),
	})
}

// textMethod makes a method without arguments.
func textMethod(f func(m *machine, s string) string) *native {
	return fn("", func(m *machine, self any, _ []any) any { return like(self, f(m, m.str(self))) })
}

func stringTest(f func(s string) bool) *native {
	return fn("", func(m *machine, self any, _ []any) any {
		s := m.str(self)
		m.scan(4 * len(s))
		return f(s)
	})
}

// runeTest makes a method that is true if f holds for all characters, and
// there are some.
func runeTest(f func(r rune) bool) *native {
	return stringTest(func(s string) bool {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !f(r) }) < 0
	})
}

func stripper(left, right bool) *native {
	return fn("chars?", func(m *machine, self any, a []any) any {
		s := m.str(self)
		m.scan(len(s))
		return like(self, m.strip(s, given(a[0], nil), left, right))
	})
}

// strip drops characters from the ends of s: those of chars, or blanks if
// that is nil.
func (m *machine) strip(s string, chars any, left, right bool) string {
	drop := isSpace
	if chars != nil {
		set := m.wantString("chars", chars)
		m.work(len(set))
		drop = func(r rune) bool {
			m.work(1 + len(set)/64)
			return strings.ContainsRune(set, r)
		}
	}
	if left {
		s = strings.TrimLeftFunc(s, drop)
	}
	if right {
		s = strings.TrimRightFunc(s, drop)
	}
	return s
}

// window is s[start:end], and the characters before it; ok is false if
// start is beyond the end of s.
func (m *machine) window(s string, start, end any) (part string, before int, ok bool) {
	start, end = given(start, nil), given(end, nil)
	if start == nil && end == nil {
		m.scan(len(s))
		return s, 0, true
	}
	n := m.runes(s)
	before = m.bound(start, 0)
	if before < 0 {
		before = max(0, before+n)
	}
	return m.slice(s, start, end, nil).(string), before, before <= n
}

func stringCount(m *machine, self any, a []any) any {
	s, _, ok := m.window(m.str(self), a[1], a[2])
	if !ok {
		return int64(0)
	}
	return int64(strings.Count(s, m.wantString("part", a[0])))
}

func finder(find func(s, part string) int, must bool) func(m *machine, self any, a []any) any {
	return func(m *machine, self any, a []any) any {
		s, before, ok := m.window(m.str(self), a[1], a[2])
		i := find(s, m.wantString("part", a[0]))
		if i < 0 || !ok {
			if must {
				m.fail("%s is not in the string; test it with \"in\" before", m.short(a[0]))
			}
			return int64(-1)
		}
		return int64(before + utf8.RuneCountInString(s[:i]))
	}
}

// affix makes startswith and endswith, of one string or several.
func affix(has func(s, part string) bool) func(m *machine, self any, a []any) any {
	return func(m *machine, self any, a []any) any {
		s, _, ok := m.window(m.str(self), a[1], a[2])
		if l, is := a[0].(*list); is && l.tuple {
			for item := range m.iterate(l) {
				if ok && has(s, m.wantString("part", item)) {
					return true
				}
			}
			return false
		}
		return has(s, m.wantString("part", a[0])) && ok
	}
}

func cutAffix(m *machine, self, part any, cut func(s, part string) string) any {
	s := m.str(self)
	m.scan(len(s))
	return like(self, cut(s, m.wantString("part", part)))
}

func stringJoin(m *machine, self any, a []any) any {
	var b builder
	separator, i := m.str(self), 0
	_, safe := self.(markup)
	for item := range m.iterate(a[0]) {
		if i++; i > 1 {
			b.add(m, separator)
		}
		if _, ok := item.(markup); safe && !ok {
			item = m.escape(m.str(item))
		}
		b.add(m, m.wantString("an item to join", item))
	}
	return like(self, b.String())
}

func stringReplace(m *machine, self any, a []any) any {
	old, with := m.wantString("old", a[0]), m.wantString("new", a[1])
	if _, ok := self.(markup); ok {
		with = m.str(filterEscape(m, a[1], nil))
	}
	return like(self, m.replace(m.str(self), old, with, m.wantInt("count", given(a[2], int64(-1)))))
}

func partition(find func(s, part string) int, right bool) func(m *machine, self any, a []any) any {
	return func(m *machine, self any, a []any) any {
		s, separator := m.str(self), m.wantString("sep", a[0])
		m.scan(len(s))
		if separator == "" {
			m.fail("the separator is empty")
		}
		i := find(s, separator)
		parts := []string{s, "", ""}
		if i >= 0 {
			parts = []string{s[:i], separator, s[i+len(separator):]}
		} else if right {
			parts = []string{"", "", s}
		}
		return m.words(self, parts, true)
	}
}

// words is a list or tuple of strings, as markup if self is.
func (m *machine) words(self any, parts []string, tuple bool) any {
	m.alloc(32 * len(parts))
	l := &list{items: make([]any, len(parts)), tuple: tuple}
	for i, p := range parts {
		l.items[i] = like(self, p)
	}
	return l
}

// pad fills a string up to a width: side -1 adds to the right, 1 to the
// left, 0 to both.
func (m *machine) pad(self, width, fill any, side int) any {
	s, with := m.str(self), m.wantString("fill", given(fill, " "))
	if m.runes(with) != 1 {
		m.fail("fill is %s, want one character", m.short(fill))
	}
	n := m.wantInt("width", width) - m.runes(s)
	if n <= 0 {
		return self
	}
	left := 0
	switch side {
	case 0:
		left = n/2 + n&(m.wantInt("width", width)&1) // as CPython does
	case 1:
		left = n
	}
	m.alloc(min(n, m.limits.Memory+1)*len(with) + len(s))
	return like(self, strings.Repeat(with, left)+s+strings.Repeat(with, n-left))
}

func stringZfill(m *machine, self any, a []any) any {
	s := m.str(self)
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') {
		sign, s = s[:1], s[1:]
	}
	padded := m.pad(s, int64(m.wantInt("width", a[0])-len(sign)), "0", 1)
	return like(self, sign+m.str(padded))
}

func stringExpandTabs(m *machine, self any, a []any) any {
	size, column := m.wantInt("tabsize", given(a[0], int64(8))), 0
	var b builder
	for _, r := range m.read(m.str(self)) {
		switch r {
		case '\t':
			if size > 0 {
				n := size - column%size
				b.add(m, m.repeated(" ", n))
				column += n
			}
		case '\n', '\r':
			b.WriteRune(r)
			column = 0
		default:
			b.WriteRune(r)
			column++
		}
	}
	return like(self, b.String())
}

func isIdentifier(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && (r == '_' || unicode.IsLetter(r)) && strings.IndexFunc(s, func(r rune) bool { return !inName(r) }) < 0
}
