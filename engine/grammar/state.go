package grammar

import (
	"encoding/binary"
	"errors"
	"slices"
)

// A config is a place in the grammar: a node of the program, and what follows
// when its rule has ended.
type config struct{ node, link int32 }

// A link is the set of places where a rule that was called goes on, each with
// a link of its own: all calls that one text makes of a rule share it, so that
// an ambiguous grammar does not take more and more stacks (the graph of
// stacks of Tomita's parser; a set of Earley's is a state here). Links with
// the same places are the same.
type link []config

const (
	rootLink    int32 = iota // the text ends
	unknownLink              // what follows is not of interest: see reach
	firstLink
)

// leave is the node of a config that stands for the end of its link, one of
// the two above.
const leave int32 = -1

// A state is all places where a text may be in the grammar.
type state struct {
	settled []config // nodes with edges or calls, sorted, but not those inside rules that are yet to be called
	ends    bool     // the text may end here
	escapes bool     // unknownLink may be left here

	reading []config // all nodes with edges, once they are needed
	mask    mask     // of what may follow, likewise
	reach   *reach   // likewise, where what is settled has unknownLink
}

const (
	dead      int32 = 0  // nothing may follow, not even the end
	undefined int32 = -1 // not computed yet
)

// An automaton is the states of a grammar that texts have come to. States are
// numbers; next has their table.
type automaton struct {
	p      *program
	states []state
	next   []int32 // states × classes
	links  []link
	byText map[string]int32 // states and links, by what they hold
	size   int              // bytes, about
	work   int              // steps left until the grammar is found too ambiguous

	// Scratch memory.
	kernel  []config
	queue   []config
	settled []config
	seen    map[config]struct{}
	key     []byte
	pending map[int32][]config // calls of each rule
	order   []int32            // rules of pending
}

// What one call may cost. A grammar that needs more is too ambiguous to be
// worked with: more than so many places at once, or steps.
const (
	maxPlaces = 2000
	maxWork   = 20_000_000
)

var errAmbiguous = errors.New("the grammar is too ambiguous: the text can be read in too many ways")

func newAutomaton(p *program) *automaton {
	a := &automaton{p: p, seen: map[config]struct{}{}, pending: map[int32][]config{}}
	a.forget()
	return a
}

// forget drops all states but the first ones.
func (a *automaton) forget() {
	a.states, a.next, a.size = a.states[:0], a.next[:0], 0
	a.byText = map[string]int32{}
	a.links = append(a.links[:0], link{{leave, rootLink}}, link{{leave, unknownLink}})
	a.add(state{}) // dead
}

// start is the state of an empty text.
func (a *automaton) start() int32 {
	return a.settle([]config{{a.p.rules[0].start, rootLink}})
}

func (a *automaton) add(s state) int32 {
	a.states = append(a.states, s)
	for range a.p.sample {
		a.next = append(a.next, undefined)
	}
	a.size += 120 + 8*len(s.settled) + 4*len(a.p.sample)
	return int32(len(a.states) - 1)
}

// step is the state after one more byte.
func (a *automaton) step(s int32, b byte) int32 {
	at := int(s)*len(a.p.sample) + int(a.p.class[b])
	if n := a.next[at]; n != undefined {
		return n
	}
	if a.work < 0 {
		return dead
	}
	n := a.compute(s, b)
	if a.work >= 0 {
		a.next[at] = n
	}
	return n
}

func (a *automaton) compute(s int32, b byte) int32 {
	if s == dead {
		return dead
	}
	reading := a.reading(s)
	a.work -= len(reading)
	kernel := a.kernel[:0]
	for _, c := range reading {
		for _, e := range a.p.nodes[c.node].edges {
			if b >= e.lo && b <= e.hi {
				kernel = append(kernel, config{e.to, c.link})
			}
		}
	}
	a.kernel = kernel
	return a.settle(kernel)
}

// settle is the state of some places: it follows the ways that read nothing,
// and the ends of rules to where these were called.
func (a *automaton) settle(kernel []config) int32 {
	clear(a.seen)
	const few = 16 // to be looked through one by one
	work := a.queue[:0]
	visit := func(c config) {
		if len(work) < few {
			if slices.Contains(work, c) {
				return
			}
		} else {
			if len(work) == few {
				for _, w := range work {
					a.seen[w] = struct{}{}
				}
			}
			if _, ok := a.seen[c]; ok {
				return
			}
			a.seen[c] = struct{}{}
		}
		work = append(work, c)
	}
	for _, c := range kernel {
		visit(c)
	}
	var s state
	settled := a.settled[:0]
	for i := 0; i < len(work); i++ {
		c := work[i]
		node := &a.p.nodes[c.node]
		if len(node.edges)+len(node.calls) > 0 {
			settled = append(settled, c)
		}
		for _, to := range node.empty {
			visit(config{to, c.link})
		}
		for _, call := range node.calls {
			if a.p.skips(call) {
				visit(config{call.to, c.link})
			}
		}
		if c.node != a.p.rules[node.rule].end {
			continue
		}
		for _, to := range a.links[c.link] {
			switch {
			case to.node != leave:
				visit(to)
			case to.link == rootLink:
				s.ends = true
			default:
				s.escapes = true
			}
		}
		if len(work) > maxPlaces {
			a.work = -1
			return dead
		}
	}
	a.work -= len(work)
	a.queue, a.settled = work[:0], settled[:0]
	slices.SortFunc(settled, compareConfigs)
	return a.intern(s, settled)
}

func compareConfigs(a, b config) int {
	if a.node != b.node {
		return int(a.node) - int(b.node)
	}
	return int(a.link) - int(b.link)
}

func (a *automaton) intern(s state, settled []config) int32 {
	if len(settled) == 0 && !s.ends && !s.escapes {
		return dead
	}
	kind := byte(1) // 0 is of links
	if s.ends {
		kind |= 2
	}
	if s.escapes {
		kind |= 4
	}
	key := a.textOf(kind, settled)
	if n, ok := a.byText[string(key)]; ok {
		return n
	}
	s.settled = slices.Clone(settled)
	n := a.add(s)
	a.byText[string(key)] = n
	a.size += 2 * len(key)
	return n
}

func (a *automaton) textOf(kind byte, configs []config) []byte {
	a.key = append(a.key[:0], kind)
	for _, c := range configs {
		a.key = binary.LittleEndian.AppendUint32(a.key, uint32(c.node))
		a.key = binary.LittleEndian.AppendUint32(a.key, uint32(c.link))
	}
	return a.key
}

// reading lists the nodes of s with edges: settled ones, and those in the
// rules that are called. Rules come in the order of their rank, when all calls
// of them are known.
func (a *automaton) reading(s int32) []config {
	if r := a.states[s].reading; r != nil {
		return r
	}
	r := []config{}
	for _, c := range a.states[s].settled {
		r = a.enter(r, c)
	}
	for len(a.order) > 0 && a.work >= 0 {
		least := 0
		for i, rule := range a.order {
			if a.p.rules[rule].rank < a.p.rules[a.order[least]].rank {
				least = i
			}
		}
		rule := a.order[least]
		a.order[least] = a.order[len(a.order)-1]
		a.order = a.order[:len(a.order)-1]
		calls := a.pending[rule]
		l := a.linkTo(calls)
		a.pending[rule] = calls[:0]
		for _, n := range a.p.rules[rule].first {
			r = a.enter(r, config{n, l})
		}
		a.work -= len(a.order) + len(calls) + len(a.p.rules[rule].first)
		if len(r) > maxPlaces {
			a.work = -1
		}
	}
	if a.work < 0 {
		a.order = a.order[:0]
		clear(a.pending)
		return r
	}
	a.size += 8 * len(r)
	a.states[s].reading = r
	return r
}

// enter notes what c reads and calls.
func (a *automaton) enter(r []config, c config) []config {
	node := &a.p.nodes[c.node]
	if len(node.edges) > 0 {
		r = append(r, c)
	}
	for _, call := range node.calls {
		to := a.pending[call.rule]
		if len(to) == 0 {
			a.order = append(a.order, call.rule)
		}
		if a.p.nodes[call.to].tail {
			to = append(to, a.links[c.link]...) // no need to come back
		} else {
			to = append(to, config{call.to, c.link})
		}
		a.pending[call.rule] = to
	}
	return r
}

// linkTo is the link with these places.
func (a *automaton) linkTo(places []config) int32 {
	slices.SortFunc(places, compareConfigs)
	places = slices.Compact(places)
	if len(places) > maxPlaces {
		a.work = -1
		return rootLink
	}
	if len(places) == 1 && places[0].node == leave {
		return places[0].link
	}
	key := a.textOf(0, places)
	if n, ok := a.byText[string(key)]; ok {
		return n
	}
	a.links = append(a.links, slices.Clone(places))
	n := int32(len(a.links) - 1)
	a.byText[string(key)] = n
	a.size += 64 + 3*len(key)
	return n
}
