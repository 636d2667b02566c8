package jinja

import (
	"slices"
	"strings"
	"unicode/utf8"
)

func stringSplit(m *machine, self any, a []any) any {
	limit := m.wantInt("maxsplit", given(a[1], int64(-1)))
	return m.words(self, m.split(m.str(self), given(a[0], nil), limit), false)
}

func stringRsplit(m *machine, self any, a []any) any {
	limit := m.wantInt("maxsplit", given(a[1], int64(-1)))
	return m.words(self, m.rsplit(m.str(self), given(a[0], nil), limit), false)
}

// split cuts s at the first limit separators, at all if that is negative; a
// separator of nil is any run of blanks.
func (m *machine) split(s string, separator any, limit int) []string {
	m.scan(len(s))
	if separator != nil {
		by := m.separator(separator)
		m.alloc(16 * strings.Count(s, by))
		if limit >= 0 {
			limit++
		}
		return strings.SplitN(s, by, limit)
	}
	m.scan(4 * len(s))
	var parts []string
	s = strings.TrimLeftFunc(s, isSpace)
	for s != "" && limit != 0 {
		end := strings.IndexFunc(s, isSpace)
		if end < 0 {
			break
		}
		m.alloc(16)
		parts = append(parts, s[:end])
		s = strings.TrimLeftFunc(s[end:], isSpace)
		limit--
	}
	if limit < 0 {
		s = strings.TrimRightFunc(s, isSpace)
	}
	if s != "" {
		parts = append(parts, s)
	}
	return parts
}

// rsplit is split from the right.
func (m *machine) rsplit(s string, separator any, limit int) []string {
	if limit < 0 {
		return m.split(s, separator, limit)
	}
	m.scan(len(s))
	var parts []string
	if separator == nil {
		s = strings.TrimRightFunc(s, isSpace)
	}
	for ; limit > 0; limit-- {
		var start, end int
		if separator == nil {
			if end = strings.LastIndexFunc(s, isSpace); end >= 0 {
				_, size := utf8.DecodeRuneInString(s[end:])
				start, end = end+size, len(strings.TrimRightFunc(s[:end], isSpace))
			}
		} else {
			by := m.separator(separator)
			end = strings.LastIndex(s, by)
			start = end + len(by)
		}
		if end < 0 {
			break
		}
		m.alloc(16)
		parts = append(parts, s[start:])
		s = s[:end]
	}
	if separator != nil || s != "" {
		parts = append(parts, s)
	}
	slices.Reverse(parts)
	return parts
}

func (m *machine) separator(v any) string {
	s := m.wantString("sep", v)
	if s == "" {
		m.fail("the separator is empty; use |list to get the characters")
	}
	return s
}

func stringSplitLines(m *machine, self any, a []any) any {
	return m.words(self, m.splitLines(m.str(self), m.truth(given(a[0], false))), false)
}

// splitLines cuts s at the ends of lines, all of Unicode's.
func (m *machine) splitLines(s string, keep bool) []string {
	m.scan(len(s))
	var lines []string
	for s != "" {
		i := strings.IndexFunc(s, endsLine)
		if i < 0 {
			return append(lines, s)
		}
		m.alloc(16)
		_, size := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			size = 2
		}
		end := i + size
		line := s[:i]
		if keep {
			line = s[:end]
		}
		lines = append(lines, line)
		s = s[end:]
	}
	return lines
}

func endsLine(r rune) bool {
	return r >= '\n' && r <= '\r' || r >= 0x1c && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
}
