package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Case as Python has it: the full mappings of Unicode, where Go's tables
// have those from one character to one. The rest is from SpecialCasing.txt
// (https://www.unicode.org/Public/UCD/latest/ucd/SpecialCasing.txt).

// wideUpper has the characters whose upper case is several. Greek letters
// with a iota below, whose upper case has it beside, come in rows of eight.
var wideUpper = map[rune]string{
	0xdf: "SS", 0x149: "\u02bcN", 0x1f0: "J\u030c", 0x390: "\u0399\u0308\u0301", 0x3b0: "\u03a5\u0308\u0301",
	0x587: "\u0535\u0552", 0x1e96: "H\u0331", 0x1e97: "T\u0308", 0x1e98: "W\u030a", 0x1e99: "Y\u030a",
	0x1e9a: "A\u02be", 0x1f50: "\u03a5\u0313", 0x1f52: "\u03a5\u0313\u0300", 0x1f54: "\u03a5\u0313\u0301",
	0x1f56: "\u03a5\u0313\u0342", 0x1fb2: "\u1fba\u0399", 0x1fb3: "\u0391\u0399", 0x1fb4: "\u0386\u0399",
	0x1fb6: "\u0391\u0342", 0x1fb7: "\u0391\u0342\u0399", 0x1fbc: "\u0391\u0399", 0x1fc2: "\u1fca\u0399",
	0x1fc3: "\u0397\u0399", 0x1fc4: "\u0389\u0399", 0x1fc6: "\u0397\u0342", 0x1fc7: "\u0397\u0342\u0399",
	0x1fcc: "\u0397\u0399", 0x1fd2: "\u0399\u0308\u0300", 0x1fd3: "\u0399\u0308\u0301", 0x1fd6: "\u0399\u0342",
	0x1fd7: "\u0399\u0308\u0342", 0x1fe2: "\u03a5\u0308\u0300", 0x1fe3: "\u03a5\u0308\u0301", 0x1fe4: "\u03a1\u0313",
	0x1fe6: "\u03a5\u0342", 0x1fe7: "\u03a5\u0308\u0342", 0x1ff2: "\u1ffa\u0399", 0x1ff3: "\u03a9\u0399",
	0x1ff4: "\u038f\u0399", 0x1ff6: "\u03a9\u0342", 0x1ff7: "\u03a9\u0342\u0399", 0x1ffc: "\u03a9\u0399",
	0xfb00: "FF", 0xfb01: "FI", 0xfb02: "FL", 0xfb03: "FFI", 0xfb04: "FFL", 0xfb05: "ST", 0xfb06: "ST",
	0xfb13: "\u0544\u0546", 0xfb14: "\u0544\u0535", 0xfb15: "\u0544\u053b", 0xfb16: "\u054e\u0546",
	0xfb17: "\u0544\u053d",
}

func init() {
	for lower, upper := range map[rune]rune{0x1f80: 0x1f08, 0x1f88: 0x1f08, 0x1f90: 0x1f28, 0x1f98: 0x1f28, 0x1fa0: 0x1f68, 0x1fa8: 0x1f68} {
		for i := range rune(8) {
			wideUpper[lower+i] = string(upper+i) + "\u0399"
		}
	}
}

func (m *machine) upper(s string) string {
	if s = m.read(s); isASCII(s) {
		return strings.ToUpper(s)
	}
	var b builder
	for _, r := range s {
		if wide, ok := wideUpper[r]; ok {
			b.WriteString(wide)
		} else {
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	m.alloc(b.Len())
	return b.String()
}

func (m *machine) lower(s string) string {
	if s = m.read(s); isASCII(s) {
		return strings.ToLower(s)
	}
	var b builder
	for i, r := range s {
		switch {
		case r == 'İ':
			b.WriteString("i̇")
		case r == 'Σ' && finalSigma(s, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	m.alloc(b.Len())
	return b.String()
}

// read counts the reading of a string that is made anew.
func (m *machine) read(s string) string {
	m.work(1 + len(s)/4)
	m.alloc(len(s))
	return s
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// finalSigma says whether the Σ at i ends a word: a letter stands before and
// none after, signs that belong to letters aside. It looks at nearby text
// only, and so at enough for any word.
func finalSigma(s string, i int) bool {
	const near = 256
	before := strings.TrimRightFunc(s[max(0, i-near):i], caseIgnorable)
	after := strings.TrimLeftFunc(s[i+len("Σ"):min(len(s), i+near)], caseIgnorable)
	last, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	return before != "" && cased(last) && !(after != "" && cased(next))
}

func cased(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r) ||
		unicode.Is(unicode.Other_Lowercase, r) || unicode.Is(unicode.Other_Uppercase, r)
}

func caseIgnorable(r rune) bool {
	return strings.ContainsRune("'.:·’‘․‧^`¨", r) || unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}

// title is the title case of the first character of a word.
func (m *machine) title(r rune) string {
	if r >= 0x1f80 && r <= 0x1ffc {
		return string(unicode.ToTitle(r))
	}
	if wide, ok := wideUpper[r]; ok {
		first, n := utf8.DecodeRuneInString(wide)
		return string(first) + m.lower(wide[n:])
	}
	return string(unicode.ToTitle(r))
}

// capitalize has the first character in title case, the rest in lower case.
func (m *machine) capitalize(s string) string {
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	return m.title(r) + m.lower(s)[len(m.lower(s[:n])):]
}

// titled has each run of letters capitalized, as the method title does.
func (m *machine) titled(s string) string {
	var b builder
	inside := false
	for i, r := range m.read(s) {
		switch {
		case !inside:
			b.WriteString(m.title(r))
		case r == 'Σ' && finalSigma(s, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
		inside = cased(r)
	}
	return b.String()
}

// swapped has upper case for lower and the reverse.
func (m *machine) swapped(s string) string {
	var b builder
	for i, r := range m.read(s) {
		switch {
		case r == 'Σ' && finalSigma(s, i):
			b.WriteRune('ς')
		case unicode.IsUpper(r):
			b.WriteString(m.lower(string(r)))
		case cased(r):
			b.WriteString(m.upper(string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// folded is s without case, for comparing: the lower case of the upper case.
func (m *machine) folded(s string) string {
	var b builder
	for _, r := range m.upper(s) {
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// isLower and isUpper: there is a letter with case, and none of the other.
func isLower(s string) bool { return oneCase(s, unicode.IsUpper) }
func isUpper(s string) bool { return oneCase(s, unicode.IsLower) }

func oneCase(s string, other func(rune) bool) bool {
	found := false
	for _, r := range s {
		if other(r) || unicode.IsTitle(r) {
			return false
		}
		found = found || cased(r)
	}
	return found
}

// isTitled says whether words, and nothing else, begin in upper case.
func isTitled(s string) bool {
	inside, found := false, false
	for _, r := range s {
		switch {
		case unicode.IsUpper(r) || unicode.IsTitle(r):
			if inside {
				return false
			}
			inside, found = true, true
		case cased(r):
			if !inside {
				return false
			}
			inside, found = true, true
		default:
			inside = false
		}
	}
	return found
}
