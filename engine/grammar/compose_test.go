package grammar

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestCompose(t *testing.T) {
	number, err := FromSchema([]byte(`{"type":"integer","minimum":7,"maximum":12}`))
	if err != nil {
		t.Fatal(err)
	}
	must := func(g *Grammar, err error) *Grammar {
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	pair := must(Concat(Literal("<"), number, Literal(">")))
	for name, c := range map[string]struct {
		g       *Grammar
		yes, no []string
	}{
		"concat": {pair, []string{"<7>", "<12>"}, []string{"<>", "<13>", "7"}},
		"either": {must(Either(pair, number, Literal(""))), []string{"<8>", "8", ""}, []string{"<8", "<"}},
		"repeat": {must(Repeat(pair, 1, 2)), []string{"<8>", "<8><9>"}, []string{"", "<8><9><10>"}},
		"free text and a call": {must(Concat(Until("<tool>"), must(Repeat(must(Concat(Literal("<tool>"), number)), 0, -1)))),
			[]string{"", "a <b> <tool", "<<tool>7", "é<tool>7<tool>12"}, []string{"<tool>", "x<tool>6"}},
	} {
		for _, s := range c.yes {
			if err := c.g.Matches(s); err != nil {
				t.Errorf("%s: %q: %v", name, s, err)
			}
		}
		for _, s := range c.no {
			if c.g.Matches(s) == nil {
				t.Errorf("%s: %q is accepted", name, s)
			}
		}
	}
	if a, b := must(Concat(Literal("ab"), Literal("c"))), must(Concat(Literal("a"), Literal("bc"))); a.Key() == b.Key() {
		t.Error("different parts have the same key")
	}
}

// TestUntil holds Until against a search for the markers.
func TestUntil(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, markers := range [][]string{{"abab"}, {"aab", "ba"}, {"é"}, {"b", "aba"}, {"</a>", "</b>"}} {
		g := Until(markers...)
		for range 2000 {
			var b strings.Builder
			for range r.IntN(12) {
				b.WriteString([]string{"a", "b", "é", "<", "</", ">"}[r.IntN(6)])
			}
			s := b.String()
			want := true
			for _, m := range markers {
				want = want && !strings.Contains(s, m)
			}
			if got := g.Matches(s) == nil; got != want {
				t.Fatalf("until %q: %q is %v, want %v", markers, s, got, want)
			}
		}
	}
}
