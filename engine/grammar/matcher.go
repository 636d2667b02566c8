package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Machine is a grammar at work on a vocabulary. It is safe for concurrent
// use, and its matchers share what it has computed.
type Machine struct {
	g *Grammar
	v *Vocabulary

	mu        sync.Mutex
	automaton *automaton
	path      []int32 // scratch memory of walk
	age       int     // how often the states were forgotten
}

// maxBytes is what a machine remembers at most, about.
const maxBytes = 64 << 20

// NewMachine takes little time: what a machine needs is computed later.
func NewMachine(g *Grammar, v *Vocabulary) *Machine {
	return &Machine{g: g, v: v, automaton: newAutomaton(g.program), path: make([]int32, v.deep+1)}
}

// A Matcher is the state of one text: which tokens may follow. It is an
// engine.Constraint, and used by one goroutine.
type Matcher struct {
	m     *Machine
	state int32
	age   int    // of the machine, when state was valid
	text  []byte // what was accepted
	ended bool   // by a token that ends a generation
	err   error
}

// Matcher is a matcher of the empty text.
func (m *Machine) Matcher() *Matcher {
	x := &Matcher{m: m, age: -1}
	x.open()
	m.mu.Unlock()
	return x
}

// Clone is a matcher of the same text, which goes on by itself.
func (x *Matcher) Clone() *Matcher {
	y := *x
	y.text = slices.Clone(x.text)
	return &y
}

// open locks the machine, with a new budget, and makes the state valid.
func (x *Matcher) open() {
	m := x.m
	m.mu.Lock()
	a := m.automaton
	a.work = maxWork
	if a.size > maxBytes {
		a.forget()
		m.age++
	}
	if x.age == m.age {
		return
	}
	x.state, x.age = a.start(), m.age
	for _, b := range x.text {
		x.state = a.step(x.state, b)
	}
	x.sober()
}

// sober notes an error of the automaton.
func (x *Matcher) sober() {
	if x.m.automaton.work < 0 && x.err == nil {
		x.err = errAmbiguous
	}
}

// close ends what open began.
func (x *Matcher) close() {
	x.sober()
	x.m.mu.Unlock()
}

// Allows says whether a token may follow. Tokens that end a generation may
// where the text may end; other tokens without text never may.
func (x *Matcher) Allows(id int32) bool {
	x.open()
	defer x.close()
	return x.after(id) != dead
}

// after is the state after a token; the text ends in the same one.
func (x *Matcher) after(id int32) int32 {
	if x.ended || x.err != nil || id < 0 || int(id) >= x.m.v.pieces.Len() {
		return dead
	}
	a, s := x.m.automaton, x.state
	if x.m.v.pieces.IsEOG(id) {
		if a.states[s].ends {
			return s
		}
		return dead
	}
	piece := x.m.v.pieces.Piece(id)
	if len(piece) == 0 {
		return dead
	}
	for _, b := range piece {
		if s = a.step(s, b); s == dead {
			break
		}
	}
	return s
}

// Mask sets the logits of the tokens that may not follow to -Inf. There is one
// for each token; of more, those behind are set too.
func (x *Matcher) Mask(logits []float32) {
	x.open()
	defer x.close()
	if x.ended || x.err != nil {
		mask(nil).apply(logits)
		return
	}
	s := &x.m.automaton.states[x.state]
	ends := s.ends
	k := x.m.mask(x.state)
	if x.m.automaton.work < 0 {
		mask(nil).apply(logits)
		return
	}
	keep := make([]float32, 0, 8)
	if ends {
		for _, id := range x.m.v.eog {
			if int(id) < len(logits) {
				keep = append(keep, logits[id])
			}
		}
	}
	k.apply(logits)
	for i, v := range keep {
		logits[x.m.v.eog[i]] = v
	}
}

// Accept goes on with a token, which Allows has to allow.
func (x *Matcher) Accept(id int32) error {
	x.open()
	defer x.close()
	s := x.after(id)
	x.sober()
	if x.err != nil {
		return fmt.Errorf("grammar: %w %s", x.err, x.where())
	}
	if s == dead {
		return fmt.Errorf("grammar: token %d (%s) cannot follow %s", id, x.show(id), x.where())
	}
	if x.m.v.pieces.IsEOG(id) {
		x.ended = true
		return nil
	}
	x.state = s
	x.text = append(x.text, x.m.v.pieces.Piece(id)...)
	return nil
}

func (x *Matcher) show(id int32) string {
	switch p := x.m.v.pieces; {
	case id < 0 || int(id) >= p.Len():
		return "outside the vocabulary"
	case p.IsEOG(id):
		return "the end"
	case len(p.Piece(id)) == 0:
		return "no text"
	default:
		return strconv.Quote(string(p.Piece(id)))
	}
}

// Done says whether the text is complete and nothing but the end may follow.
func (x *Matcher) Done() bool {
	x.open()
	defer x.close()
	s := &x.m.automaton.states[x.state]
	return x.ended || s.ends && len(s.settled) == 0
}

// MayEnd says whether the text is complete.
func (x *Matcher) MayEnd() bool {
	x.open()
	defer x.close()
	return x.ended || x.m.automaton.states[x.state].ends
}

// Text is what was accepted so far: a view, valid until the next Accept.
func (x *Matcher) Text() []byte { return x.text }

// String says in words where the text is: after what, in which rules, and what
// may follow.
func (x *Matcher) String() string {
	x.open()
	defer x.close()
	if x.err != nil {
		return fmt.Sprintf("%s: %v", x.where(), x.err)
	}
	return x.where()
}

func (x *Matcher) where() string {
	a := x.m.automaton
	var b strings.Builder
	switch n := len(x.text); {
	case n == 0:
		b.WriteString("at the start of the text")
	case n > 40:
		fmt.Fprintf(&b, "after …%q", strings.ToValidUTF8(string(x.text[n-40:]), ""))
	default:
		fmt.Fprintf(&b, "after %q", x.text)
	}
	if x.ended {
		return b.String() + ", where the text has ended"
	}
	var rules, next []string
	var bytes [256]bool
	for _, c := range a.reading(x.state) {
		node := &a.p.nodes[c.node]
		if name := a.p.rules[node.rule].name; !slices.Contains(rules, name) {
			rules = append(rules, name)
		}
		for _, e := range node.edges {
			for c := int(e.lo); c <= int(e.hi); c++ {
				bytes[c] = true
			}
		}
	}
	if a.states[x.state].ends {
		next = append(next, "the end")
	}
	next = append(next, showBytes(&bytes)...)
	if len(rules) > 4 {
		rules = append(rules[:4], "…")
	}
	if len(rules) > 0 {
		fmt.Fprintf(&b, " (rule %s)", strings.Join(rules, ", "))
	}
	if len(next) > 8 {
		next = append(next[:8], "…")
	}
	fmt.Fprintf(&b, ", where %s may follow", strings.Join(next, " or "))
	return b.String()
}

// showBytes lists ranges of bytes, as characters where they are ASCII.
func showBytes(set *[256]bool) (list []string) {
	show := func(b int) string {
		if b < 0x80 {
			return strconv.Quote(string(rune(b)))
		}
		return fmt.Sprintf("byte %#x", b)
	}
	for lo := 0; lo < 256; lo++ {
		if !set[lo] {
			continue
		}
		hi := lo
		for hi < 255 && set[hi+1] {
			hi++
		}
		switch {
		case lo >= 0x80:
			list = append(list, "a character beyond ASCII")
			return list
		case hi >= 0x80:
			list = append(list, show(lo)+" to beyond ASCII")
			return list
		case hi-lo < 2:
			for c := lo; c <= hi; c++ {
				list = append(list, show(c))
			}
		default:
			list = append(list, show(lo)+" to "+show(hi))
		}
		lo = hi
	}
	return list
}

// Matches says whether text is one of the grammar, and if not, why.
func (g *Grammar) Matches(text string) error {
	a := newAutomaton(g.program)
	a.work = maxWork
	s := a.start()
	for i := range len(text) {
		if s = a.step(s, text[i]); a.work < 0 {
			return errAmbiguous
		}
		if s == dead {
			return fmt.Errorf("grammar: nothing of the grammar begins with %q", text[:i+1])
		}
	}
	if !a.states[s].ends {
		return errors.New("grammar: the text has no end")
	}
	return nil
}
