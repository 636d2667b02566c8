package engine

import (
	"github.com/llcuda/llcuda/tensor"
)

// A stage is one part of the model in a session: the working memory of its
// layers on their device, and the steps of one token that were recorded.
type stage struct {
	part
	s     *tensor.Stream
	mem   allocator
	b     *batch // of m.batch tokens
	one   *batch // of one token: what steps work on
	steps map[ending]tensor.Program
}

// An ending is what a session computes after a text's last layer: allLogits,
// the likeliest token, or so many of the likeliest with their logits. The host
// reads nothing else.
type ending int

const (
	allLogits ending = 0
	likeliest ending = -1
)

func newStage(m *Model, p part) *stage {
	st := &stage{part: p, s: tensor.NewStream(p.dev), mem: allocator{dev: p.dev}, steps: map[ending]tensor.Program{}}
	if st.b = newBatch(&st.mem, m.net, p.lo, p.hi, m.batch, m.net.context, 0, m.cacheType); st.b != nil {
		st.one = st.b.first(1)
	}
	return st
}

func (st *stage) free() {
	st.forget()
	st.b.adapt(nil)
	st.mem.free()
}

// forget drops the steps that were recorded.
func (st *stage) forget() {
	for _, p := range st.steps {
		p.Free()
	}
	clear(st.steps)
}

// adapt makes a what adapters change from now on, in the place of what was.
func (st *stage) adapt(a *adapting) {
	st.forget()
	st.b.adapt(a)
	st.one = st.b.first(1)
}

// last is the stage that computes logits.
func (s *Session) last() *stage { return s.stages[len(s.stages)-1] }

// program is the step of one token through a stage, recorded the first time.
func (s *Session) program(st *stage, end ending) (tensor.Program, error) {
	final := st == s.last()
	if !final {
		end = allLogits // no stage but the last makes a difference
	}
	if p := st.steps[end]; p != nil {
		return p, nil
	}
	p, err := st.s.Record(func() {
		s.net.forward(s.m.arch, st.s, st.one, st.lo, st.hi, st.s.Err)
		if final {
			s.head(st.one, end)
		}
		if s.feeds(end) {
			st.s.Convert(st.one.ids, s.best)
			st.s.Add(st.one.pos, st.one.pos, s.unit)
		}
	})
	if err == nil {
		st.steps[end] = p
	}
	return p, err
}

// feeds says whether a step leaves the next token and its position where the
// next step looks for them.
func (s *Session) feeds(end ending) bool { return end == likeliest && len(s.stages) == 1 }

// head issues what follows one token.
func (s *Session) head(b *batch, end ending) {
	st := s.last()
	s.net.head(st.s, st.b.adapting, s.out, b.x, b.h)
	switch {
	case end == likeliest:
		st.s.ArgMax(s.best, s.out)
	case end > 0:
		st.s.TopK(s.vals.Slice(0, int(end)), s.ids.Slice(0, int(end)), s.out)
	}
}

// cross brings the residual stream of n tokens over the border before stage i,
// by way of the host.
func (s *Session) cross(i, n int) error {
	from, to := s.stages[i-1], s.stages[i]
	x := s.border[:n*s.m.net.dim]
	if err := from.dev.Read(bytesOf(x), from.b.x.Slice(0, n)); err != nil {
		return err
	}
	return to.dev.Write(to.b.x.Slice(0, n), bytesOf(x))
}

// sync waits for all devices and forgets their streams' errors.
func (s *Session) sync() (err error) {
	for _, st := range s.stages {
		if e := st.s.Sync(); err == nil {
			err = e
		}
	}
	return err
}
