package engine

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPieces(t *testing.T) {
	for _, c := range []struct {
		name   string
		stops  string // separated by |
		tokens string // separated by |
		want   string // texts of the tokens, separated by |; after # what flush gives; ! marks the stop
	}{
		{"plain", "", "Hello| world", "Hello| world#"},
		{"a rune over three tokens", "", "a\xe2|\x82|\xacb", "a||€b#"},
		{"a rune over four tokens", "", "\xf0|\x9f|\x98|\x80", "|||😀#"},
		{"a rune that never ends", "", "x\xe2\x82", "x#\uFFFD"},
		{"a rune that is cut by another", "", "x\xe2|y", "x|\uFFFDy#"},
		{"bytes that are no UTF-8", "", "\xff|\x80a", "\uFFFD|\uFFFDa#"},
		{"stop inside a token", "END", "fooENDbar", "foo!"},
		{"stop over two tokens", "END", "fooE|NDbar", "foo|!"},
		{"stop over four tokens", "\n\nUser", "ok\n|\n|Us|er: hi", "ok|||!"},
		{"no stop after all", "\n\nUser", "ok\n|\n|Ur", "ok||\n\nUr#"},
		{"start of a stop at the end", "END", "fooEN", "foo#EN"},
		{"start of a stop within another", "aab", "aa|ab", "|a!"},
		{"the earliest of two", "cd|bc", "abcd", "a!"},
		{"the longer is pending, the shorter comes", "abcd|bcx", "ab|cx", "|a!"},
		{"a stop that is a rune in halves", "€", "1\xe2\x82|\xac2", "1|!"},
		{"a stop of one character", "\n", "a|b\nc", "a|b!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pieces{}
			if c.stops != "" {
				p.stops = strings.Split(c.stops, "|")
			}
			var got []string
			stop := false
			for _, b := range strings.Split(c.tokens, "|") {
				var text string
				if text, stop = p.push([]byte(b)); stop {
					got = append(got, text+"!")
					break
				}
				got = append(got, text)
			}
			all := strings.Join(got, "|")
			if !stop {
				all += "#" + p.flush()
			}
			if all != c.want {
				t.Errorf("%q, want %q", all, c.want)
			}
		})
	}
}

// FuzzPieces: whatever the tokens, texts are UTF-8 and together are the input
// up to the first stop text.
func FuzzPieces(f *testing.F) {
	f.Add("some text END and more", "END", uint(3))
	f.Add("ääö€😀", "€", uint(1))
	f.Add("aaaaab", "aab", uint(2))
	f.Fuzz(func(t *testing.T, text, stop string, step uint) {
		if stop == "" || step == 0 || !utf8.ValidString(text) || !utf8.ValidString(stop) {
			t.Skip()
		}
		want, _, found := strings.Cut(text, stop)
		p := pieces{stops: []string{stop}}
		got, stopped := "", false
		for rest := []byte(text); len(rest) > 0 && !stopped; {
			n := min(step, uint(len(rest)))
			var s string
			s, stopped = p.push(rest[:n])
			if !utf8.ValidString(s) {
				t.Fatalf("%q is no UTF-8", s)
			}
			got, rest = got+s, rest[n:]
		}
		got += p.flush()
		if got != want || stopped != found {
			t.Errorf("%q, stopped %v; want %q, %v", got, stopped, want, found)
		}
	})
}
