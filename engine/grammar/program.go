package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A program is a grammar as an automaton over bytes: a graph for each rule,
// from its start to its end, with edges that read a byte, edges that read
// nothing, and calls of other rules.
type program struct {
	nodes  []node
	rules  []procedure
	class  [256]uint8 // bytes of one class are on the same edges everywhere
	sample []byte     // a byte of each class
	chains map[int32]chain
}

// A chain is what a node between two copies of a repetition is like, as long
// as fewer bytes are read than there are copies to come, each of which reads
// one at least: a node before endless copies.
type chain struct {
	like   int32
	copies int32
	rule   int32 // that is copied; -1: it is no rule
}

type node struct {
	rule  int32 // whose graph it is in
	edges []edge
	empty []int32 // nodes that are reached without reading
	calls []call
	tail  bool // nothing but the end of the rule is reached from here
}

type edge struct {
	byteRange
	to int32
}

// A call reads what rule stands for, and goes on at to. Unless skip is false
// it may read nothing, where the rule can.
type call struct {
	rule, to int32
	skip     bool
}

type procedure struct {
	name       string
	start, end int32
	nullable   bool    // it can read nothing
	rank       int32   // a rule that another one begins with has a higher rank than that one
	first      []int32 // nodes with edges or calls that are reached from start without reading
}

// maxNodes bounds the size of a program.
const maxNodes = 1 << 18

// A ruleError is about one rule.
type ruleError struct {
	rule int
	msg  string
}

func (e *ruleError) Error() string { return e.msg }

var errTooLarge = errors.New("the grammar is too large")

// check compiles the grammar to see whether it can be.
func (g *Grammar) check() error {
	p, err := compile(g.rules)
	g.program = p
	return err
}

// findNullable finds the rules that can read nothing.
func (p *program) findNullable() {
	for i, nullable := range p.ending(false) {
		p.rules[i].nullable = nullable
	}
}

// ending says of each rule whether its end is reached from its start, by empty
// edges and calls of such rules, and with reading by edges that read, too.
func (p *program) ending(reading bool) []bool {
	waiting := make([][]int32, len(p.rules)) // where calls of each rule would go on
	ends := make([]bool, len(p.rules))
	reached := make([]bool, len(p.nodes))
	var work []int32
	visit := func(n int32) {
		if !reached[n] {
			reached[n] = true
			work = append(work, n)
		}
	}
	for i := range p.rules {
		visit(p.rules[i].start)
	}
	for len(work) > 0 {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		node := &p.nodes[n]
		if reading {
			for _, e := range node.edges {
				visit(e.to)
			}
		}
		for _, to := range node.empty {
			visit(to)
		}
		for _, c := range node.calls {
			if ends[c.rule] {
				visit(c.to)
			} else {
				waiting[c.rule] = append(waiting[c.rule], c.to)
			}
		}
		if n == p.rules[node.rule].end {
			ends[node.rule] = true
			for _, to := range waiting[node.rule] {
				visit(to)
			}
		}
	}
	return ends
}

// skips says whether a call may read nothing.
func (p *program) skips(c call) bool { return c.skip && p.rules[c.rule].nullable }

// findFirst lists what each rule can begin with.
func (p *program) findFirst() {
	seen := make([]int32, len(p.nodes))
	for i := range p.rules {
		r := &p.rules[i]
		work := []int32{r.start}
		seen[r.start] = int32(i) + 1
		visit := func(n int32) {
			if seen[n] != int32(i)+1 {
				seen[n] = int32(i) + 1
				work = append(work, n)
			}
		}
		for len(work) > 0 {
			n := work[len(work)-1]
			work = work[:len(work)-1]
			node := &p.nodes[n]
			if len(node.edges)+len(node.calls) > 0 {
				r.first = append(r.first, n)
			}
			for _, to := range node.empty {
				visit(to)
			}
			for _, c := range node.calls {
				if p.skips(c) {
					visit(c.to)
				}
			}
		}
		slices.Sort(r.first)
	}
}

// rankRules puts rules behind those that begin with them. A rule that begins
// with itself has no place. named rules have a name of the source.
func (p *program) rankRules(named int) error {
	begins := p.begins()
	const open, done = 1, 2
	state := make([]uint8, len(p.rules))
	rank := int32(len(p.rules))
	type frame struct {
		rule int32
		next int
	}
	var stack []frame
	for i := range p.rules {
		if state[i] != 0 {
			continue
		}
		state[i] = open
		stack = append(stack[:0], frame{rule: int32(i)})
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if f.next == len(begins[f.rule]) {
				state[f.rule] = done
				rank--
				p.rules[f.rule].rank = rank
				stack = stack[:len(stack)-1]
				continue
			}
			to := begins[f.rule][f.next]
			f.next++
			switch state[to] {
			case 0:
				state[to] = open
				stack = append(stack, frame{rule: to})
			case open:
				var way []int32
				for _, f := range stack {
					if len(way) > 0 || f.rule == to {
						way = append(way, f.rule)
					}
				}
				return p.leftRecursion(way, named)
			}
		}
	}
	return nil
}

func (p *program) leftRecursion(way []int32, named int) error {
	var names []string
	rule := 0
	for _, r := range way {
		if int(r) < named {
			rule = int(r)
		}
		if name := p.rules[r].name; len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	if len(names) == 1 || names[0] != names[len(names)-1] {
		names = append(names, names[0])
	}
	if len(names) > 8 {
		names = append(append(names[:4:4], "…"), names[len(names)-3:]...)
	}
	return &ruleError{rule, fmt.Sprintf("a rule must not begin with itself (left recursion: %s); write the repetition with * or at the end",
		strings.Join(names, " → "))}
}

// begins lists for each rule those that are called before it has read a byte.
func (p *program) begins() [][]int32 {
	begins := make([][]int32, len(p.rules))
	p.findFirst()
	for i := range p.rules {
		for _, n := range p.rules[i].first {
			for _, c := range p.nodes[n].calls {
				begins[i] = append(begins[i], c.rule)
			}
		}
		p.rules[i].first = nil
	}
	return begins
}

// checkEnds refuses rules that no text of finite length belongs to.
func (p *program) checkEnds(named int) error {
	ends := p.ending(true)
	for i := range named {
		if !ends[i] {
			return &ruleError{i, fmt.Sprintf("rule %q has no end: every way through it needs the rule again", p.rules[i].name)}
		}
	}
	return nil
}

// findTails marks the nodes from which only the end is reached: a call that
// goes on there need not be returned to.
func (p *program) findTails() {
	for i := range p.nodes {
		n := int32(i)
		for hops := 0; hops < 8; hops++ {
			node := &p.nodes[n]
			if n == p.rules[node.rule].end {
				p.nodes[i].tail = len(node.edges)+len(node.empty)+len(node.calls) == 0
				break
			}
			if len(node.edges)+len(node.calls) > 0 || len(node.empty) != 1 {
				break
			}
			n = node.empty[0]
		}
	}
}

// classify finds the bytes that no edge distinguishes.
func (p *program) classify() {
	var border [257]bool
	for i := range p.nodes {
		for _, e := range p.nodes[i].edges {
			border[e.lo], border[int(e.hi)+1] = true, true
		}
	}
	for b := range 256 {
		if b == 0 || border[b] {
			p.sample = append(p.sample, byte(b))
		}
		p.class[b] = uint8(len(p.sample) - 1)
	}
}
