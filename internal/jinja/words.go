package jinja

import (
	"html"
	"net/url"
	"regexp"
	"strings"
)

// wordFilters are the filters of strings. What is no string is printed first.
var wordFilters = map[string]*native{
	"capitalize": word("capitalize"),
	"center": fn("width?", func(m *machine, s any, a []any) any {
		return m.pad(filterString(m, s, nil), given(a[0], int64(80)), " ", 0)
	}),
	"escape":      fn("", filterEscape),
	"forceescape": fn("", func(m *machine, s any, _ []any) any { return markup(m.escape(m.str(s))) }),
	"format":      variadic(filterFormat),
	"indent":      fn("width? first? blank?", filterIndent),
	"lower":       word("lower"),
	"replace":     fn("old new count?", filterReplace),
	"safe":        fn("", func(m *machine, s any, _ []any) any { return markup(m.str(s)) }),
	"title":       fn("", filterTitle),
	"trim":        fn("chars?", filterTrim),
	"truncate":    fn("length? killwords? end? leeway?", filterTruncate),
	"upper":       word("upper"),
	"urlencode":   fn("", filterURLEncode),
	"wordcount":   fn("", filterWordcount),
}

// word makes a filter of a method without arguments.
func word(name string) *native {
	return fn("", func(m *machine, self any, _ []any) any {
		return stringMethods[name].call(m, filterString(m, self, nil), args{})
	})
}

// like is s as markup if self is.
func like(self any, s string) any {
	if _, ok := self.(markup); ok {
		return markup(s)
	}
	return s
}

// escape is s as HTML, as markupsafe writes it.
func (m *machine) escape(s string) string {
	m.alloc(len(s) + 4*(strings.Count(s, "&")+strings.Count(s, "<")+strings.Count(s, ">")+strings.Count(s, `"`)+strings.Count(s, "'")))
	return html.EscapeString(s)
}

func filterEscape(m *machine, self any, _ []any) any {
	if _, ok := self.(markup); ok {
		return self
	}
	return markup(m.escape(m.str(self)))
}

func filterFormat(m *machine, self any, a args) any {
	if len(a.named) == 0 {
		return m.percent(filterString(m, self, nil), &list{items: a.list, tuple: true})
	}
	if len(a.list) > 0 {
		m.fail("format takes arguments with names or without, not both")
	}
	return m.percent(filterString(m, self, nil), m.newDict(a))
}

func filterTrim(m *machine, self any, a []any) any {
	s := m.str(self)
	m.scan(len(s))
	return like(self, m.strip(s, given(a[0], nil), true, true))
}

func filterReplace(m *machine, self any, a []any) any {
	count := -1
	if c := given(a[2], nil); c != nil {
		count = m.wantInt("count", c)
	}
	return m.replace(m.str(self), m.str(a[0]), m.str(a[1]), count)
}

// replace replaces the first count occurrences, all if that is negative.
func (m *machine) replace(s, old, new string, count int) string {
	m.scan(len(s))
	n := strings.Count(s, old)
	if count >= 0 {
		n = min(n, count)
	}
	m.alloc(len(s))
	if grow := len(new) - len(old); grow > 0 && n > 0 {
		if n > m.limits.Memory/grow {
			n, grow = 1, m.limits.Memory
		}
		m.alloc(n * grow)
	}
	return strings.Replace(s, old, new, count)
}

func filterIndent(m *machine, self any, a []any) any {
	s := m.wantString("what indent filters", self)
	var by string
	switch width := given(a[0], int64(4)).(type) {
	case string:
		by = width
	default:
		by = m.repeated(" ", max(0, m.wantInt("width", width)))
	}
	first, blank := m.truth(given(a[1], false)), m.truth(given(a[2], false))
	var b builder
	for i, line := range m.splitLines(s+"\n", false) {
		if i > 0 {
			b.add(m, "\n")
		}
		if i == 0 && first || i > 0 && (blank || line != "") {
			b.add(m, by)
		}
		b.add(m, line)
	}
	return like(self, b.String())
}

var wordStart = regexp.MustCompile(`[-\s\v\x1c-\x1f\x{85}\p{Z}({\[<]+`)

// filterTitle begins every word in upper case; words begin after blanks,
// hyphens and opening brackets.
func filterTitle(m *machine, self any, _ []any) any {
	s := m.str(self)
	m.scan(32 * len(s))
	var b builder
	add := func(word string) {
		if word != "" {
			first := m.character(word, 0, m.runes(word))
			b.add(m, m.upper(first), m.lower(word[len(first):]))
		}
	}
	at := 0
	for _, gap := range wordStart.FindAllStringIndex(s, -1) {
		add(s[at:gap[0]])
		b.add(m, s[gap[0]:gap[1]])
		at = gap[1]
	}
	add(s[at:])
	return like(self, b.String())
}

func filterTruncate(m *machine, self any, a []any) any {
	size, ok := m.length(self)
	if !ok {
		m.fail("truncate wants a string, got a %s", typeName(self))
	}
	length, end := m.wantInt("length", given(a[0], int64(255))), m.wantString("end", given(a[2], "..."))
	leeway := 5
	if v := given(a[3], nil); v != nil {
		leeway = m.wantInt("leeway", v)
	}
	keep := length - m.runes(end)
	if keep < 0 || leeway < 0 {
		m.fail("length %d is less than that of %s, or leeway %d is negative", length, quote(end), leeway)
	}
	if size <= length+leeway {
		return self
	}
	head := m.slice(m.wantString("what truncate filters", self), nil, int64(keep), nil).(string)
	if !m.truth(given(a[1], false)) {
		if i := strings.LastIndexByte(head, ' '); i >= 0 {
			head = head[:i]
		}
	}
	m.alloc(len(head) + len(end))
	return like(self, head+end)
}

// quoteURL is urllib.parse.quote: letters, digits, "_.-~" and, in a path,
// "/" stay.
func (m *machine) quoteURL(s string, query bool) string {
	m.alloc(3 * len(s))
	s = url.QueryEscape(s)
	if query {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "+", "%20"), "%2F", "/")
}

func filterURLEncode(m *machine, self any, _ []any) any {
	if _, ok := asString(self); ok || !isIterable(m, self) {
		return m.quoteURL(m.str(self), false)
	}
	if d, ok := self.(*Map); ok {
		self = &view{d, "items"}
	}
	var b builder
	for pair := range m.iterate(self) {
		if b.Len() > 0 {
			b.add(m, "&")
		}
		kv := m.unpack(pair, 2)
		b.add(m, m.quoteURL(m.str(kv[0]), true), "=", m.quoteURL(m.str(kv[1]), true))
	}
	return b.String()
}

var wordRun = regexp.MustCompile(`[\p{L}\p{N}_]+`)

func filterWordcount(m *machine, self any, _ []any) any {
	s := m.str(self)
	m.scan(32 * len(s))
	return int64(len(wordRun.FindAllStringIndex(s, -1)))
}
