package grammar

import (
	"fmt"
	"slices"
	"strings"
)

// Literal is the grammar of one text.
func Literal(s string) *Grammar {
	g := &Grammar{rules: []rule{{"root", text(s)}}, kind: "text", source: s}
	if err := g.check(); err != nil {
		panic(err) // texts are no longer than what other grammars hold
	}
	return g
}

// Concat is the texts of all parts, one after the other.
func Concat(parts ...*Grammar) (*Grammar, error) {
	return compose("concat", parts, func(refs []*expr) *expr { return seq(refs...) })
}

// Either is the texts of any part.
func Either(parts ...*Grammar) (*Grammar, error) {
	return compose("either", parts, func(refs []*expr) *expr { return alt(refs...) })
}

// Repeat is g between min and max times; max < 0 is without end.
func Repeat(g *Grammar, min, max int) (*Grammar, error) {
	return compose(fmt.Sprintf("repeat %d %d", min, max), []*Grammar{g}, func(refs []*expr) *expr { return repeat(refs[0], min, max) })
}

// compose makes a grammar of the roots of parts.
func compose(kind string, parts []*Grammar, root func([]*expr) *expr) (*Grammar, error) {
	g := &Grammar{rules: []rule{{name: "root"}}, kind: kind}
	var refs []*expr
	var source strings.Builder
	for _, p := range parts {
		offset := len(g.rules)
		for _, r := range p.rules {
			g.rules = append(g.rules, rule{r.name, r.body.shifted(offset)})
		}
		refs = append(refs, ref(offset))
		fmt.Fprintf(&source, "%d %s", len(p.Key()), p.Key())
	}
	g.rules[0].body, g.source = root(refs), source.String()
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("grammar: %s: %w", kind, err)
	}
	return g, nil
}

// shifted is e where all rules have a number higher by n.
func (e *expr) shifted(n int) *expr {
	c := *e
	c.rule += n
	c.args = make([]*expr, len(e.args))
	for i, a := range e.args {
		c.args[i] = a.shifted(n)
	}
	return &c
}

// Until is all texts in which no marker occurs: free text up to what begins
// with one. Markers are not empty.
func Until(markers ...string) *Grammar {
	g := &Grammar{kind: "until", source: fmt.Sprintf("%q", markers)}
	states := prefixes(markers)
	var borders []span
	for _, m := range markers {
		for _, r := range m {
			borders = append(borders, span{r, r})
		}
	}
	borders = union(borders)
	index := map[string]int{}
	for i, s := range states {
		index[s] = i
	}
	for i, s := range states {
		name := "text"
		if i == 0 {
			name = "root"
		}
		ways := []*expr{text(""), seq(class(without(borders)), ref(0))}
		for _, b := range borders {
			for r := b.lo; r <= b.hi; r++ {
				if next := longestSuffix(s+string(r), index); !marked(s+string(r), markers) {
					ways = append(ways, seq(text(string(r)), ref(index[next])))
				}
			}
		}
		g.rules = append(g.rules, rule{name, alt(ways...)})
	}
	if err := g.check(); err != nil {
		panic(err) // a rule for each character of the markers
	}
	return g
}

// prefixes are the proper beginnings of all markers, "" first.
func prefixes(markers []string) []string {
	list := []string{""}
	for _, m := range markers {
		for i := range m {
			if p := m[:i]; !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return slices.DeleteFunc(list, func(p string) bool { return marked(p, markers) })
}

func marked(s string, markers []string) bool {
	return slices.ContainsFunc(markers, func(m string) bool { return strings.HasSuffix(s, m) })
}

// longestSuffix is the longest end of s that begins a marker (Aho and Corasick
// 1975).
func longestSuffix(s string, index map[string]int) string {
	for i := range s {
		if _, ok := index[s[i:]]; ok {
			return s[i:]
		}
	}
	return ""
}
