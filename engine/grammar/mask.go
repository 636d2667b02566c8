package grammar

import (
	"math"
	"math/bits"
	"slices"
)

// A mask has a bit for each token.
type mask []uint64

func (m mask) set(id int32) { m[id>>6] |= 1 << (id & 63) }

// A reach is what tokens do from some nodes of the grammar, whatever follows
// when the rule of those has ended. Most states of one text differ only in
// that: in all strings of a JSON object the same tokens stay inside the
// string, and only those that leave it have to be tried again.
type reach struct {
	inside mask    // tokens that may follow
	leaves []int32 // nodes of the vocabulary, with others below them, at which the rule has ended
}

// mask is the tokens that may follow in a state, but for those that end a
// generation.
func (m *Machine) mask(s int32) mask {
	a := m.automaton
	if k := a.states[s].mask; k != nil {
		return k
	}
	k := make(mask, (m.v.pieces.Len()+63)/64)
	settled := a.states[s].settled
	for _, group := range byLink(settled) {
		nodes := make([]config, len(group))
		for i, c := range group {
			nodes[i] = config{c.node, unknownLink}
		}
		r := m.reach(a.settle(nodes))
		for i, w := range r.inside {
			k[i] |= w
		}
		kernel := a.kernel[:0]
		for _, to := range a.links[group[0].link] {
			if to.node != leave {
				kernel = append(kernel, to)
			}
		}
		a.kernel = kernel
		below := a.settle(kernel)
		if below == dead {
			continue
		}
		for _, n := range r.leaves {
			m.walk(n+1, m.v.after[n], below, func(n, _ int32) { m.allow(k, n) })
		}
	}
	if a.work < 0 {
		return k
	}
	a.size += 8 * len(k)
	a.states[s].mask = k
	return k
}

// byLink sorts configs into groups of the same link.
func byLink(configs []config) [][]config {
	all := slices.Clone(configs)
	slices.SortStableFunc(all, func(a, b config) int { return int(a.link) - int(b.link) })
	var groups [][]config
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].link == all[0].link {
			n++
		}
		groups = append(groups, all[:n])
		all = all[n:]
	}
	return groups
}

// reach tries all tokens from a state with unknownLink.
func (m *Machine) reach(s int32) *reach {
	a := m.automaton
	if r := a.states[s].reach; r != nil {
		return r
	}
	r := m.alike(s)
	if r == nil {
		r = &reach{inside: make(mask, (m.v.pieces.Len()+63)/64)}
		m.walk(0, int32(len(m.v.bytes)), s, r.visit(m))
	}
	if a.work >= 0 {
		a.size += 8*len(r.inside) + 4*len(r.leaves)
		a.states[s].reach = r
	}
	return r
}

// visit notes a node that walk comes to.
func (r *reach) visit(m *Machine) func(n, s int32) {
	return func(n, s int32) {
		m.allow(r.inside, n)
		if m.automaton.states[s].escapes && m.v.after[n] > n+1 {
			r.leaves = append(r.leaves, n)
		}
	}
}

// alike is the reach of a state in a chain: that of endless copies, but for
// the tokens of as many bytes as there are copies to come, or more. nil: it is
// in none.
func (m *Machine) alike(s int32) *reach {
	a, v := m.automaton, m.v
	var in chain
	kernel := slices.Clone(a.states[s].settled)
	for i, c := range kernel {
		next, ok := a.p.chains[c.node]
		switch {
		case !ok:
		case in.copies > 0 || next.rule >= 0 && a.p.rules[next.rule].nullable:
			return nil
		default:
			in, kernel[i].node = next, next.like
		}
	}
	if in.copies == 0 {
		return nil
	}
	base := m.reach(a.settle(kernel))
	if int(in.copies) > v.deep || a.work < 0 {
		return base
	}
	r := &reach{inside: slices.Clone(base.inside)}
	for _, n := range base.leaves {
		if v.depth[n] < in.copies {
			r.leaves = append(r.leaves, n)
		}
	}
	long := v.nodesAt(int(in.copies))
	for _, n := range long {
		for _, id := range v.ids[v.first[n]:v.first[v.after[n]]] {
			r.inside[id>>6] &^= 1 << (id & 63)
		}
	}
	path, last := []int32{s}, []byte(nil)
	for _, n := range long {
		b := v.prefix(n)
		b = b[:len(b)-1]
		k := 0
		for k < len(last) && last[k] == b[k] {
			k++
		}
		path = path[:k+1]
		for _, c := range b[k:] {
			path = append(path, a.step(path[len(path)-1], c))
		}
		if last = b; path[len(path)-1] != dead {
			m.walk(n, v.after[n], path[len(path)-1], r.visit(m))
		}
	}
	return r
}

// allow sets the bits of the tokens that end at a node of the vocabulary.
func (m *Machine) allow(k mask, n int32) {
	for _, id := range m.v.ids[m.v.first[n]:m.v.first[n+1]] {
		k.set(id)
	}
}

// walk calls visit with the nodes from first to end, which are whole subtrees
// of the vocabulary, that can be read from state s, and the states they lead
// to.
func (m *Machine) walk(first, end, s int32, visit func(n, s int32)) {
	if first >= end {
		return
	}
	v, a := m.v, m.automaton
	top := v.depth[first] - 1
	m.path[0] = s
	for n := first; n < end && a.work >= 0; {
		d := v.depth[n] - top
		to := a.step(m.path[d-1], v.bytes[n])
		if to == dead {
			n = v.after[n]
			continue
		}
		m.path[d] = to
		visit(n, to)
		n++
	}
}

// apply sets the logits of tokens that are not in k to -Inf.
func (k mask) apply(logits []float32) {
	none := float32(math.Inf(-1))
	for i := 0; i < len(logits); i += 64 {
		var word uint64
		if i>>6 < len(k) {
			word = k[i>>6]
		}
		some := logits[i:min(i+64, len(logits))]
		if word == 0 {
			for j := range some {
				some[j] = none
			}
			continue
		}
		for off := ^word; off != 0; off &= off - 1 {
			j := bits.TrailingZeros64(off)
			if j >= len(some) {
				break
			}
			some[j] = none
		}
	}
}
