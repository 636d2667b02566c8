package grammar

import (
	"fmt"
	"strings"
	"testing"
)

// TestHostile: grammars that are made to take time or memory are refused, when
// they are read or with the first token.
func TestHostile(t *testing.T) {
	var chain, null strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&chain, "r%d ::= r%d | \"x\"\n", i, i+1)
		fmt.Fprintf(&null, "r%d ::= r%d? r%d?\n", i, i+1, i+1)
	}
	w := newWords("ab", "aa", strings.Repeat("a", 100))
	for name, c := range map[string]struct{ gbnf, want string }{
		"rules in rules":                {chain.String() + "r20000 ::= \"a\"\nroot ::= r0", "too ambiguous"},
		"empty rules in empty rules":    {null.String() + "r20000 ::= \"a\"\nroot ::= r0", "too ambiguous"},
		"empty parts":                   {"root ::= " + strings.Repeat(`("a"? "b"?) `, 60000), "too ambiguous"},
		"loops":                         {"root ::= " + strings.Repeat(`[a-b]* `, 60000), "too ambiguous"},
		"ways":                          {"root ::= " + strings.Repeat(`[a-z] "a" | `, 60000) + `"z"`, "too ambiguous"},
		"repetitions":                   {`root ::= ((((("a" | "aa")?){0,100}){0,100}){0,100}){0,100}`, "too ambiguous"},
		"sets":                          {"root ::= " + strings.Repeat(`[\x00-\U0010FFFF]`, 50000), "too large"},
		"a hundred thousand characters": {`root ::= [^b]{100000}`, ""},
		"a billion characters":          {`root ::= ([^b]{1000}){1000}{1000}`, ""},
	} {
		g, err := Parse(c.gbnf)
		var m *Machine
		if err == nil {
			m = NewMachine(g, NewVocabulary(w))
			x, logits := m.Matcher(), make([]float32, len(w))
			for range 40 {
				x.Mask(logits)
				if err = x.Accept('a' + 3); err != nil {
					break
				}
			}
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if m != nil && m.automaton.size > 3*maxBytes {
			t.Errorf("%s: %d bytes", name, m.automaton.size)
		}
	}
}
