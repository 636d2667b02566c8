package grammar

import "slices"

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
