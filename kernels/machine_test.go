package kernels

import (
	"errors"
	"fmt"
	"slices"
)

// A machine is the blocks of a launch on their way through a list, and their
// memory.
type machine struct {
	*list
	events        []event // of all blocks
	loose         [][]int // for each block: its events since its threads met,
	met           []int   // and when they did; -1: not yet
	places        map[uint64]int
	start, memory []cell         // when the launch begins, and now
	results       map[int]*value // that have to be there in the end
	launch        uint32
	err           error
}

// An event is one thing that threads of a block do, after others.
type event struct {
	after []int
	do    func() bool // false: it cannot be done yet; nil: there is nothing to do
}

// A cell is a number: a zero one is from before the launch, or the first one.
type cell struct {
	of     *value
	launch uint32
	bit    uint32
}

// try lets each event in turn be late, in three launches: it is done when all
// others are that do not need it. Whatever can go wrong in any order goes wrong in
// one of these. Where a number may be written over before it is read, it is
// when its reader is late. Where somebody may take an older number with the same
// tag for it, they do when what lies between the two is late.
func (l *list) try() error {
	m := l.machine()
	for m.launch = 1; m.launch <= 3; m.launch++ {
		for late := range m.events {
			if m.events[late].do == nil {
				continue
			}
			if err := m.run(late); err != nil {
				return fmt.Errorf("%d blocks, launch %d: %w", l.d.sms(), m.launch, err)
			}
		}
		copy(m.start, m.memory)
		for addr, i := range m.places {
			if addr < 1<<16 { // others write tensors between two launches
				m.start[i] = cell{}
			}
		}
	}
	return nil
}

// run does all events, the late one when nothing else can be done.
func (m *machine) run(late int) error {
	m.memory = append(m.memory[:0], m.start...)
	m.err = nil
	done := make([]bool, len(m.events))
	for left := len(m.events); left > 0; {
		before := left
		for i, e := range m.events {
			if !done[i] && i != late && !slices.ContainsFunc(e.after, func(j int) bool { return !done[j] }) && (e.do == nil || e.do()) {
				done[i] = true
				left--
			}
		}
		switch {
		case m.err != nil:
			return m.err
		case left == before && late < 0:
			return errors.New("all wait")
		case left == before:
			late = -1
		}
	}
	for at, v := range m.results {
		m.expect(v, m.memory[at])
	}
	return m.err
}

// number is a number of v in this launch.
func (m *machine) number(v *value) cell {
	if v.writer < 0 {
		return cell{}
	}
	return cell{v, m.launch, m.bit(v)}
}

// bit is that of tagged.cuh's tag_of.
func (m *machine) bit(v *value) uint32 {
	if v.tag&tagFlips != 0 && m.launch%2 == 1 {
		return uint32(v.tag^tagOne) & 1
	}
	return uint32(v.tag) & 1
}

func (m *machine) expect(v *value, c cell) {
	if c != m.number(v) && m.err == nil {
		m.err = fmt.Errorf("who reads %v gets %v of launch %d", v, c.of, c.launch)
	}
}

// at is the place of number i at an address.
func (m *machine) at(addr uint64, i int) int {
	addr += 4 * uint64(i)
	if _, ok := m.places[addr]; !ok {
		m.places[addr] = len(m.start)
		m.start = append(m.start, cell{})
	}
	return m.places[addr]
}

// read waits for number i of v.
func (m *machine) read(v *value, i int) func() bool {
	at := m.at(v.addr, i)
	return func() bool {
		c := m.memory[at]
		if v.tag&tagSet != 0 && c.bit != m.bit(v) {
			return false
		}
		m.expect(v, c)
		return true
	}
}

// again reads number i of v without a wait.
func (m *machine) again(v *value, i int) func() bool {
	at := m.at(v.addr, i)
	return func() bool {
		m.expect(v, m.memory[at])
		return true
	}
}

func (m *machine) write(v *value, i int) func() bool {
	at := m.at(v.addr, i)
	return func() bool {
		m.memory[at] = m.number(v)
		return true
	}
}

// add adds an event of a block, which comes after those before its threads met last.
func (m *machine) add(block int, do func() bool, after ...int) int {
	if m.met[block] >= 0 {
		after = append(slices.Clip(after), m.met[block])
	}
	m.events = append(m.events, event{after, do})
	i := len(m.events) - 1
	m.loose[block] = append(m.loose[block], i)
	return i
}

// meet has the threads of a block wait for each other.
func (m *machine) meet(block int) {
	m.met[block] = m.add(block, nil, m.loose[block]...)
	m.loose[block] = nil
}

func (l *list) machine() *machine {
	blocks := l.d.sms()
	m := &machine{list: l, loose: make([][]int, blocks), met: slices.Repeat([]int{-1}, blocks), places: map[uint64]int{}, results: map[int]*value{}}
	for _, s := range l.stages {
		if s.kind == stageProduct {
			m.product(&l.inputs[s.index], int(l.adaptations[s.index].ranks))
		} else {
			m.attend(&l.attends[s.index], l.heads[s.index])
		}
	}
	for _, v := range l.values {
		for i := range v.t.Len() {
			if v.writer >= 0 && len(v.readers) == 0 {
				m.results[m.at(v.addr, i)] = v
			}
		}
	}
	return m
}

// product is prepare, leave_low and product of product.cuh and adapted.cuh.
func (m *machine) product(io *inputs, ranks int) {
	var low []int // all are in one place, a word each, with the number of the launch
	blocks := m.rng.Perm(m.d.sms())
	for _, block := range blocks {
		ranked := len(blocks)-1-block < ranks
		if io.lots[block].units == 0 && !ranked {
			m.meet(block)
			continue
		}
		if io.post != nil {
			for i := range io.post.t.Len() {
				m.add(block, m.read(io.post, i))
			}
			m.meet(block)
		}
		for i := range io.x.t.Len() {
			n := m.add(block, m.read(io.x, i))
			if io.post != nil {
				n = m.add(block, m.again(io.post, i), n)
				if block == 0 {
					m.add(block, m.write(io.sum, i), n)
				}
			}
		}
		m.meet(block)
		if ranked {
			low = append(low, m.add(block, func() bool { return true }))
		}
	}
	for _, block := range blocks {
		for _, v := range io.dst {
			if v == nil {
				continue
			}
			for i, owner := range m.owners[v] {
				if owner != block {
					continue
				}
				after := low
				if io.residual != nil {
					after = append(slices.Clip(low), m.add(block, m.read(io.residual, i)))
				}
				m.add(block, m.write(v, i), after...)
			}
		}
		if io.lots[block].units == 0 {
			m.meet(block)
		}
	}
}

// attend is the units of decode.cuh's decode_attention that step.cuh gives to blocks.
func (m *machine) attend(a *attend, h heads) {
	units := 0
	for _, h := range m.heads {
		units = max(units, h.kv*h.splits)
	}
	blocks := m.rng.Perm(m.d.sms())
	for _, block := range blocks {
		for unit := len(blocks) - 1 - block; unit < units; unit += len(blocks) {
			if split := unit / h.kv; split < h.live {
				m.unit(block, a, h, unit%h.kv, split)
			}
			m.meet(block)
		}
	}
}

func (m *machine) unit(block int, a *attend, h heads, kv, split int) {
	for i := range h.group {
		m.add(block, m.read(a.q, kv*h.group+i))
	}
	if split == h.live-1 {
		m.add(block, m.read(a.k, kv))
		m.add(block, m.read(a.v, kv))
	}
	m.meet(block)
	var leave []func() bool
	for i := range h.group {
		leave = append(leave, m.write(a.dst, kv*h.group+i))
	}
	if h.live == 1 {
		for _, write := range leave {
			m.add(block, write)
		}
		return
	}
	partial := func(split int) int { return m.at(1, kv*h.splits+split) }
	mine := partial(split)
	m.add(block, func() bool {
		m.memory[mine] = m.number(a.dst)
		return true
	})
	m.meet(block)
	for i, write := range leave { // each joins a share, when all is there
		if i*h.live/h.group != split {
			continue
		}
		m.add(block, func() bool {
			for split := range h.live {
				if m.memory[partial(split)] != m.number(a.dst) { // its stamp
					return false
				}
			}
			return write()
		})
	}
}
