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

// compile returns a *ruleError for a rule that begins with itself or cannot
// end, or errTooLarge.
func compile(rules []rule) (*program, error) {
	c := &compiler{p: &program{chains: map[int32]chain{}}, shared: map[*expr]int32{}}
	for _, r := range rules {
		c.declare(r.name)
	}
	for i, r := range rules {
		c.define(int32(i), r.body)
	}
	for len(c.queue) > 0 { // define may queue more
		q := c.queue[0]
		c.queue = c.queue[1:]
		c.define(q.rule, q.body)
	}
	if c.full {
		return nil, errTooLarge
	}
	p := c.p
	p.findNullable()
	if err := p.rankRules(len(rules)); err != nil {
		return nil, err
	}
	if err := p.checkEnds(len(rules)); err != nil {
		return nil, err
	}
	p.findFirst()
	p.findTails()
	p.classify()
	return p, nil
}

type compiler struct {
	p      *program
	rule   int32 // that is being defined
	shared map[*expr]int32
	queue  []job
	open   *chain // see chain
	full   bool
}

// A job is a rule that is still to be defined.
type job struct {
	rule int32
	body *expr
}

func (c *compiler) declare(name string) int32 {
	c.p.rules = append(c.p.rules, procedure{name: name})
	i := int32(len(c.p.rules) - 1)
	c.rule = i
	c.p.rules[i].start, c.p.rules[i].end = c.node(), c.node()
	return i
}

func (c *compiler) define(rule int32, body *expr) {
	c.rule = rule
	c.between(c.p.rules[rule].start, c.p.rules[rule].end, body)
}

func (c *compiler) node() int32 {
	if len(c.p.nodes) >= maxNodes {
		c.full = true
		return 0
	}
	c.p.nodes = append(c.p.nodes, node{rule: c.rule})
	return int32(len(c.p.nodes) - 1)
}

// between makes e the way from one node to another. No edge of it leads back
// to from.
func (c *compiler) between(from, to int32, e *expr) {
	if c.full {
		return
	}
	switch e.op {
	case opText:
		c.texts(from, to, []string{e.text})
	case opClass:
		c.set(from, to, e.set)
	case opSeq:
		for i, a := range e.args {
			next := to
			if i < len(e.args)-1 {
				next = c.node()
			}
			c.between(from, next, a)
			from = next
		}
		if len(e.args) == 0 {
			c.pass(from, to)
		}
	case opAlt:
		var texts []string
		for _, a := range e.args {
			if a.op == opText {
				texts = append(texts, a.text)
				continue
			}
			c.between(from, to, a)
		}
		slices.Sort(texts)
		c.texts(from, to, slices.Compact(texts))
	case opRepeat:
		c.times(from, to, e)
	case opRule:
		c.call(from, to, int32(e.rule), true)
	}
}

// texts makes each of a sorted list a way. Beginnings that are alike are one:
// the values of an enum do not have to be tried one by one.
func (c *compiler) texts(from, to int32, list []string) {
	for len(list) == 1 && len(list[0]) > 1 {
		next := c.node()
		c.read(from, next, byteRange{list[0][0], list[0][0]})
		from, list = next, []string{list[0][1:]}
	}
	for len(list) > 0 && !c.full {
		if list[0] == "" {
			c.pass(from, to)
			list = list[1:]
			continue
		}
		n := 1
		for n < len(list) && list[n][0] == list[0][0] {
			n++
		}
		b := list[0][0]
		rest := make([]string, n)
		for i := range rest {
			rest[i] = list[i][1:]
		}
		list = list[n:]
		if n == 1 && rest[0] == "" {
			c.read(from, to, byteRange{b, b})
			continue
		}
		next := c.node()
		c.read(from, next, byteRange{b, b})
		c.texts(next, to, rest)
	}
}

func (c *compiler) read(from, to int32, b byteRange) {
	n := &c.p.nodes[from]
	n.edges = append(n.edges, edge{b, to})
}

func (c *compiler) pass(from, to int32) {
	n := &c.p.nodes[from]
	n.empty = append(n.empty, to)
}

func (c *compiler) call(from, to, rule int32, skip bool) {
	n := &c.p.nodes[from]
	n.calls = append(n.calls, call{rule, to, skip})
}

// set reads one character. Ends of encodings that are alike share nodes.
func (c *compiler) set(from, to int32, set []span) {
	type suffix struct {
		byteRange
		to int32
	}
	known := map[suffix]int32{}
	for _, s := range set {
		encodings(s.lo, s.hi, func(seq []byteRange) {
			next := to
			for i := len(seq) - 1; i > 0; i-- {
				key := suffix{seq[i], next}
				n, ok := known[key]
				if !ok {
					n = c.node()
					known[key] = n
					c.read(n, next, seq[i])
				}
				next = n
			}
			c.read(from, next, seq[0])
		})
	}
}

// times compiles a repetition: copies one after the other, the first min of
// them needed, and a loop where there is no end. What is copied is a rule of
// its own, if it is large.
func (c *compiler) times(from, to int32, e *expr) {
	x := e.args[0]
	if copies := max(e.min, e.max); copies > 1 && !small(x) {
		x = &expr{op: opRule, rule: int(c.share(x))}
	}
	from = c.chain(from, nil, e.min, x)
	for i := range e.min {
		next := c.node()
		c.between(from, next, x)
		from = next
		c.link(from, e.min-1-i)
	}
	if e.max < 0 {
		loop := c.node()
		c.pass(from, loop)
		c.more(loop, loop, x)
		c.pass(loop, to)
		return
	}
	from = c.chain(from, &to, e.max-e.min, x)
	for i := range e.max - e.min {
		next := c.node()
		c.pass(from, to)
		c.more(from, next, x)
		from = next
		c.link(from, e.max-e.min-1-i)
	}
	c.pass(from, to)
}

// chain makes a node before endless copies of x, from where nothing else or
// exit is reached, for the nodes that link is called with. It returns the
// first of these, which is reached from from.
func (c *compiler) chain(from int32, exit *int32, copies int, x *expr) int32 {
	c.open = nil
	if copies < 8 || x.op == opText && x.text == "" {
		return from // not worth it
	}
	like := c.node()
	c.more(like, like, x)
	if exit != nil {
		c.pass(like, *exit)
	}
	c.open = &chain{like: like, rule: -1}
	if x.op == opRule {
		c.open.rule = int32(x.rule)
	}
	first := c.node()
	c.pass(from, first)
	c.link(first, copies)
	return first
}

func (c *compiler) link(n int32, copies int) {
	if c.open != nil && copies > 0 && !c.full {
		c.p.chains[n] = chain{c.open.like, int32(copies), c.open.rule}
	}
}

// more is between, where x need not be empty: without it the way goes on too.
func (c *compiler) more(from, to int32, x *expr) {
	if x.op == opRule {
		c.call(from, to, int32(x.rule), false)
		return
	}
	c.between(from, to, x)
}

// small says whether copies of x are no larger than calls.
func small(x *expr) bool {
	return x.op == opRule || x.op == opClass && x.set[len(x.set)-1].hi < 0x80 || x.op == opText && len(x.text) <= 2
}

// share makes x a rule.
func (c *compiler) share(x *expr) int32 {
	if i, ok := c.shared[x]; ok {
		return i
	}
	here := c.rule
	i := c.declare(c.p.rules[here].name)
	c.rule = here
	c.shared[x] = i
	c.queue = append(c.queue, job{i, x})
	return i
}

// findNullable finds the rules that can read nothing: those whose end is
// reached from their start by empty edges and calls of such rules.
func (p *program) findNullable() {
	waiting := make([][]int32, len(p.rules)) // where calls of each rule would go on
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
		for _, to := range node.empty {
			visit(to)
		}
		for _, c := range node.calls {
			if p.rules[c.rule].nullable {
				visit(c.to)
			} else {
				waiting[c.rule] = append(waiting[c.rule], c.to)
			}
		}
		if r := &p.rules[node.rule]; n == r.end && !r.nullable {
			r.nullable = true
			for _, to := range waiting[node.rule] {
				visit(to)
			}
		}
	}
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
	waiting := make([][]int32, len(p.rules))
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
		for _, e := range node.edges {
			visit(e.to)
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
		if n == p.rules[node.rule].end && !ends[node.rule] {
			ends[node.rule] = true
			for _, to := range waiting[node.rule] {
				visit(to)
			}
		}
	}
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
