package kernels

import (
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// What the stages of a fused step hand each other lies in memory of its own,
// where every number carries a tag (tagged.cuh). Here it gets its places and its
// tags.

// Codes of tags (tagged.cuh).
const (
	tagOne uint8 = 1 << iota
	tagSet
	tagFlips
)

// A value is what a tensor holds from one stage to the next that writes it.
type value struct {
	t       *tensor.Tensor
	writer  int   // stage; -1: it is there before the first
	readers []int // stages
	addr    uint64
	tag     uint8
}

// A home is memory for values, one after the other.
type home struct {
	addr   uint64
	bytes  int
	values []*value // in the order of their writers, of which it has one
}

// value is what t holds behind the stages so far. It is nil where that is a part
// of what a stage writes, or is never written.
func (f *fusion) value(t *tensor.Tensor) *value {
	if f.lacks(t) {
		return nil
	}
	for i := len(f.values) - 1; i >= 0; i-- {
		v := f.values[i]
		switch {
		case same(v.t, t):
			return v
		case v.writer >= 0 && overlap(v.t, t):
			return nil
		}
	}
	return f.write(t, -1)
}

// write makes the value that a stage writes to t.
func (f *fusion) write(t *tensor.Tensor, stage int) *value {
	v := &value{t: t, writer: stage}
	f.values = append(f.values, v)
	return v
}

// given says whether vectors hold what they did before the first stage: stages
// read weights where they are. nil is none.
func (f *fusion) given(weights ...*tensor.Tensor) bool {
	for _, t := range weights {
		if t == nil {
			continue
		}
		v := f.value(t)
		if v == nil || v.writer >= 0 {
			return false
		}
		v.readers = append(v.readers, len(f.stages))
	}
	return true
}

// place says where all values lie, and which tags they have: those that a stage
// reads and another has written. The others lie where their tensors are.
//
// Memory is written again when nobody can still read what was there: what a stage
// writes, it writes when it has seen its input, so the stages that this came from
// are done. And when nobody can take what was there for what comes: two values of
// one tag have another between them, which has to be there before a block comes to
// wait for the second; blocks that have nothing of a stage do not wait for it.
// place reports whether all that could be seen to. (It cannot for a single layer
// with post norms, which reads its input again where its result is to be.)
func (f *fusion) place() bool {
	var plain []*value
	var homes []*home
	begins := f.begins()
	sure := f.sure(begins)
	for i, last := 0, -1; i < len(f.stages); i++ {
		if f.stages[i].kind != stageAttend {
			continue
		}
		if begins[i] < last { // they share memory for the joining of splits
			return false
		}
		last = i
	}
	for _, v := range f.values {
		v.addr = ptr(v.t)
		if v.writer < 0 || len(v.readers) == 0 {
			for _, before := range plain {
				if v.writer >= 0 && overlap(before.t, v.t) && before.last() > begins[v.writer] {
					return false
				}
			}
			plain = append(plain, v)
			continue
		}
		least := v.writer
		for _, r := range v.readers {
			least = min(least, sure[r])
		}
		i := slices.IndexFunc(homes, func(h *home) bool {
			before := h.values[len(h.values)-1]
			return h.bytes == v.t.Bytes() && before.last() <= min(begins[v.writer], least)
		})
		if i < 0 {
			i, homes = len(homes), append(homes, &home{addr: f.own(v.t.Bytes()), bytes: v.t.Bytes()})
		}
		homes[i].values = append(homes[i].values, v)
		v.addr = homes[i].addr
	}
	for _, h := range homes {
		h.tag()
	}
	return f.err == nil
}

// last is the last stage that has to do with v.
func (v *value) last() int {
	if len(v.readers) == 0 {
		return v.writer
	}
	return v.readers[len(v.readers)-1]
}

// tag has the tags of a home take turns, also from launch to launch, of which the
// first is number 1. The memory is zero before.
func (h *home) tag() {
	for i, v := range h.values {
		if odd := len(h.values)%2 == 1; odd {
			v.tag = tagSet | tagFlips | uint8(i%2)
		} else {
			v.tag = tagSet | uint8((i+1)%2)
		}
	}
}

// begins is, for every stage, the last of those that are done with all before
// them when a block begins to write. done is the same for who has seen all of a
// stage's results.
func (f *fusion) begins() []int {
	begins, done := make([]int, len(f.stages)), make([]int, len(f.stages))
	ended := func(v *value) int { // when all of v was seen
		switch {
		case v == nil || v.writer < 0:
			return -1
		case f.alone(v):
			return done[v.writer]
		}
		return begins[v.writer] // who writes the stage's other results may still be at it
	}
	for i, s := range f.stages {
		seen := -1
		switch s.kind {
		case stageProduct: // a block takes all of x; but sum is written when all of post was seen
			p := &f.inputs[s.index]
			seen = max(ended(p.x), ended(p.post))
			if begins[i] = seen; p.sum != nil {
				begins[i] = ended(p.post)
			}
		case stageAttend: // one head; together they are all that the product leaves (attend)
			a := &f.attends[s.index]
			seen, begins[i] = done[a.q.writer], begins[a.q.writer]
		}
		if done[i] = seen; seen == i-1 {
			done[i] = i
		}
	}
	return begins
}

// alone says whether v is all that the rows of its stage become. (Block 0 writes
// sum before its rows.)
func (f *fusion) alone(v *value) bool {
	s := f.stages[v.writer]
	if s.kind == stageAttend {
		return true
	}
	io := &f.inputs[s.index]
	return v == io.dst[0] && io.dst[1] == nil && io.dst[2] == nil
}

// sure is, for every stage, the last of those that are done with all before them
// when any block comes to wait for the stage's input.
func (f *fusion) sure(begins []int) []int {
	sure, blocks := make([]int, len(f.stages)), f.d.sms()
	done := slices.Repeat([]int{-1}, blocks) // for each block, by the last product that it had something of
	for i, s := range f.stages {
		sure[i] = i - 1
		for block := range blocks {
			switch s.kind {
			case stageProduct:
				ranks := int(f.adaptations[s.index].ranks) // their rows go to the last blocks first
				if f.inputs[s.index].lots[block].units > 0 || blocks-1-block < ranks {
					sure[i] = min(sure[i], done[block])
					done[block] = begins[i]
				}
			case stageAttend: // it may find nothing to do there
				sure[i] = min(sure[i], done[block])
			}
		}
	}
	return sure
}
