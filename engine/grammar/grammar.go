// Package grammar makes a model say only what a grammar allows.
//
// A Grammar comes from GBNF, the language of llama.cpp's grammars (Parse), or
// from a JSON schema (FromSchema). A Vocabulary is the tokens of a model by
// their bytes. A Machine is a grammar at work on a vocabulary: a pushdown
// automaton over bytes, whose states, and the tokens that each allows, are
// computed when they are first needed and kept. All three are made once and
// may be shared. A Matcher is the state of one text, which says what may
// follow; it is an engine.Constraint.
//
// Tokens are bytes here: one may end inside a character, and the next one go
// on with it. What a text consists of in the end is valid UTF-8.
package grammar

import "slices"

// A Grammar is a set of texts. It does not change.
type Grammar struct {
	rules   []rule // the first is the root
	program *program
	source  string
	kind    string // what source is: "GBNF", …
}

// Source is what the grammar was made from: GBNF or a JSON schema.
func (g *Grammar) Source() string { return g.source }

// Key is the same for two grammars only if they have the same texts.
func (g *Grammar) Key() string { return g.kind + " " + g.source }

// Size is that of the grammar, as a part of the most that there may be.
func (g *Grammar) Size() float64 { return float64(len(g.program.nodes)) / maxNodes }

// A rule is a name for a part of the grammar.
type rule struct {
	name string
	body *expr
}

// An expr is a set of texts: one of the operations below.
type expr struct {
	op       op
	text     string  // of opText
	set      []span  // of opClass: sorted, not touching
	args     []*expr // of opSeq, opAlt (at least one), opRepeat (one)
	min, max int     // of opRepeat; max < 0: without end
	rule     int     // of opRule
}

type op uint8

const (
	opText   op = iota // exactly text
	opClass            // one character of set
	opSeq              // args one after the other; none: the empty text
	opAlt              // one of args
	opRepeat           // min to max times args[0]
	opRule             // a rule
)

// A span is the characters from lo to hi.
type span struct{ lo, hi rune }

func text(s string) *expr { return &expr{op: opText, text: s} }
func ref(rule int) *expr  { return &expr{op: opRule, rule: rule} }
func repeat(e *expr, min, max int) *expr {
	return &expr{op: opRepeat, args: []*expr{e}, min: min, max: max}
}
func optional(e *expr) *expr  { return repeat(e, 0, 1) }
func class(set []span) *expr  { return &expr{op: opClass, set: set} }
func chars(lo, hi rune) *expr { return class([]span{{lo, hi}}) }

// seq puts expressions in a row. One stands for itself.
func seq(args ...*expr) *expr {
	if len(args) == 1 {
		return args[0]
	}
	return &expr{op: opSeq, args: args}
}

// alt is one of several expressions.
func alt(args ...*expr) *expr {
	if len(args) == 1 {
		return args[0]
	}
	return &expr{op: opAlt, args: args}
}

// union sorts spans and joins those that touch.
func union(set []span) []span {
	set = slices.Clone(set)
	slices.SortFunc(set, func(a, b span) int { return int(a.lo - b.lo) })
	out := set[:0]
	for _, s := range set {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

const lastRune = 0x10FFFF

// without is all characters but those of a sorted set.
func without(set []span) (out []span) {
	next := rune(0)
	for _, s := range set {
		if s.lo > next {
			out = append(out, span{next, s.lo - 1})
		}
		next = s.hi + 1
	}
	if next <= lastRune {
		out = append(out, span{next, lastRune})
	}
	return out
}
