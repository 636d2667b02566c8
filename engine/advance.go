package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/llcuda/llcuda/tensor"
)

// advance computes the tokens that are not in the cache, in batches, and what
// follows the last one, as end says; fetch reads it. With each, every token's
// logits are handed over instead. A cancelled context ends it between two
// layers.
func (s *Session) advance(ctx context.Context, end ending, each func(int, []float32)) error {
	stop := stopper(ctx)
	rows, err := s.allRows(each)
	if err != nil {
		return err
	}
	if rows != nil {
		defer s.last().dev.Free(rows)
	}
	s.fetching = false
	for s.cached < len(s.tokens) {
		if err := stop(); err != nil {
			return err
		}
		n := min(len(s.tokens)-s.cached, s.m.batch)
		one := n == 1 && each == nil
		if one && s.flown(end) { // issued with the token before
			if err := s.flyOn(end); err != nil {
				return err
			}
			s.cached++
			continue
		}
		if err := s.load(n); err != nil {
			return err
		}
		s.reach = max(s.reach, s.cached+n)
		if one {
			err = s.single(end)
		} else {
			err = s.many(n, end, rows, each, stop)
		}
		if err != nil {
			return err
		}
		s.cached += n
	}
	return nil
}

// load writes the next n tokens to the first device and their positions to
// all, unless a step has left them there.
func (s *Session) load(n int) error {
	if n == 1 && s.fed == s.cached && s.chosen == s.tokens[s.cached] {
		return nil
	}
	s.fed, s.flying = -1, -1
	if err := s.put(s.stages[0].b.ids.Slice(0, n), n, func(i int) int32 { return s.tokens[s.cached+i] }); err != nil {
		return err
	}
	for _, st := range s.stages {
		if err := s.put(st.b.pos.Slice(0, n), n, func(i int) int32 { return int32(s.cached + i) }); err != nil {
			return err
		}
	}
	return nil
}

// single runs one token as recorded steps.
func (s *Session) single(end ending) error {
	s.fed = -1
	for i, st := range s.stages {
		if i > 0 {
			if err := s.cross(i, 1); err != nil {
				return err
			}
		}
		p, err := s.program(st, end)
		if err != nil {
			return err
		}
		st.s.Run(p)
		if err := st.s.Err(); err != nil {
			return err
		}
	}
	if s.feeds(end) {
		s.fed = s.cached + 1
		return s.send(end)
	}
	return nil
}

// many runs a batch of n tokens.
func (s *Session) many(n int, end ending, rows *tensor.Tensor, each func(int, []float32), stop func() error) error {
	if err := s.through(n, stop); err != nil {
		return err
	}
	st := s.last()
	switch {
	case each != nil:
		return s.handOver(st.b.first(n), n, rows, each)
	case s.cached+n == len(s.tokens):
		s.head(&batch{x: st.b.x.Slice(n-1, n), h: st.b.h.Slice(n-1, n)}, end)
	}
	return st.s.Err()
}

// stopper says between two layers whether to go on.
func stopper(ctx context.Context) func() error {
	return func() error {
		if ctx.Err() != nil {
			return fmt.Errorf("engine: eval: %w", context.Cause(ctx))
		}
		return nil
	}
}

// through takes a batch of n tokens, which were loaded, through all layers.
func (s *Session) through(n int, stop func() error) error {
	for i, st := range s.stages {
		if i > 0 {
			if err := s.cross(i, n); err != nil {
				return err
			}
		}
		if err := s.net.forward(s.m.arch, st.s, st.b.first(n), st.lo, st.hi, stop); err != nil {
			return err
		}
		if err := st.s.Err(); err != nil {
			return err
		}
	}
	return nil
}

// fetch waits for what advance computed, and reads it: s.logits, s.chosen, or
// s.values and s.which.
func (s *Session) fetch(end ending) (err error) {
	dev, start := s.last().dev, time.Now()
	switch {
	case end == allLogits:
		err = dev.Read(bytesOf(s.logits), s.out)
	case end == likeliest && s.fetching:
		if err = s.fetches[(s.cached-1)&1].Wait(s.word); err == nil {
			s.chosen = int32(binary.LittleEndian.Uint32(s.word))
		}
	case end == likeliest:
		if err = dev.Read(s.word, s.best); err == nil {
			s.chosen = int32(binary.LittleEndian.Uint32(s.word))
		}
	default:
		k := int(end)
		if err = dev.Read(bytesOf(s.values[:k]), s.vals.Slice(0, k)); err == nil {
			err = dev.Read(bytesOf(s.which[:k]), s.ids.Slice(0, k))
		}
	}
	s.waited += time.Since(start)
	return err
}

// allRows is memory for the logits of some tokens at a time.
func (s *Session) allRows(each func(int, []float32)) (*tensor.Tensor, error) {
	if each == nil {
		return nil, nil
	}
	const bytes = 32 << 20
	n := min(max(1, bytes/(4*s.m.net.vocab)), s.m.batch)
	return s.last().dev.New(tensor.F32, n, s.m.net.vocab)
}

// handOver computes the logits of the n tokens of b and gives them to each.
func (s *Session) handOver(b *batch, n int, rows *tensor.Tensor, each func(int, []float32)) error {
	st := s.last()
	for lo := 0; lo < n; lo += rows.Rows() {
		hi := min(n, lo+rows.Rows())
		part := rows.Slice(0, hi-lo)
		s.net.head(st.s, b.adapting, part, b.x.Slice(lo, hi), b.h.Slice(lo, hi))
		if err := st.s.Err(); err != nil {
			return err
		}
		for i := range hi - lo {
			if err := st.dev.Read(bytesOf(s.logits), part.Slice(i, i+1)); err != nil {
				return err
			}
			each(s.cached+lo+i, s.logits)
		}
	}
	return nil
}
