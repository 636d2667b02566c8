package chat

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

// mark keeps what users wrote from being read as a control token. It is a
// noncharacter: Unicode keeps it for use inside programs (23.7).
const mark = "\ufdd0"

// A guard knows which texts are control tokens to a model. It puts a mark into
// what users wrote behind every character that could begin one, the template
// is rendered with the marks in place, and Encode finds no token across them.
// Nothing a template does to a text (cutting, joining, trimming) can bring a
// control token about, as that would need a beginning without a mark.
type guard struct {
	first   map[rune]bool   // what control tokens begin with
	keep    map[string]bool // texts that begin so and may stay: templates look for them
	lengths []int           // of keep
}

// A tag like <think>, which a template may look for in contents.
var tag = regexp.MustCompile(`</?[\pL_][\pL\pN_.-]*>`)

func newGuard(t *tokenizer.Tokenizer, source string) *guard {
	g := &guard{first: map[rune]bool{}, keep: map[string]bool{}}
	if t == nil {
		return g
	}
	var control, keep []string
	for id := range int32(t.Len()) {
		text := t.Text(id)
		switch {
		case text == "":
		case t.IsControl(id), t.IsUserDefined(id) && strings.HasPrefix(text, "<|") && strings.HasSuffix(text, "|>"):
			// gpt-oss' tokens between the parts of an answer are user-defined here, so that they are seen.
			control = append(control, text)
			r, _ := utf8.DecodeRuneInString(text)
			g.first[r] = true
		case t.IsUserDefined(id):
			keep = append(keep, text)
		}
	}
	for _, k := range append(keep, tag.FindAllString(source, -1)...) {
		if r, _ := utf8.DecodeRuneInString(k); g.first[r] && !slices.ContainsFunc(control, func(c string) bool { return meets(k, c) }) {
			g.keep[k] = true
			g.lengths = append(g.lengths, len(k))
		}
	}
	slices.Sort(g.lengths)
	g.lengths = slices.Compact(g.lengths)
	slices.Reverse(g.lengths)
	return g
}

// meets says whether c can begin somewhere in k.
func meets(k, c string) bool {
	if strings.Contains(k, c) {
		return true
	}
	for i := range k {
		if strings.HasPrefix(c, k[i:]) {
			return true
		}
	}
	return false
}

// text is s with marks.
func (g *guard) text(s string) string {
	s = strings.ReplaceAll(s, mark, "\ufffd")
	if !strings.ContainsFunc(s, func(r rune) bool { return g.first[r] }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if !g.first[r] {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		if k := g.kept(s[i:]); k > 0 {
			b.WriteString(s[i : i+k])
			i += k
			continue
		}
		b.WriteString(s[i:i+n] + mark)
		i += n
	}
	return b.String()
}

// kept is the length of the text at the start of s that stays as it is.
func (g *guard) kept(s string) int {
	for _, n := range g.lengths {
		if n <= len(s) && g.keep[s[:n]] {
			return n
		}
	}
	return 0
}

// json is JSON text with marks in its strings.
func (g *guard) json(raw json.RawMessage) (json.RawMessage, error) {
	if !json.Valid(raw) {
		var v any
		return nil, json.Unmarshal(raw, &v)
	}
	out := make([]byte, 0, len(raw)+len(raw)/16)
	for i := 0; i < len(raw); {
		if raw[i] != '"' {
			out = append(out, raw[i])
			i++
			continue
		}
		end := i + 1
		for raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		var s string
		if err := json.Unmarshal(raw[i:end+1], &s); err != nil {
			return nil, err
		}
		quoted, err := encode(g.text(s))
		if err != nil {
			return nil, err
		}
		out = append(out, quoted...)
		i = end + 1
	}
	return out, nil
}

// plain is a rendered text without marks.
func plain(s string) string { return strings.ReplaceAll(s, mark, "") }
