package engine

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/llcuda/llcuda/tensor"
)

// advance computes the tokens that are not in the cache, in batches. Then best
// or out hold what follows the last one; with each, every token's logits are
// handed over. A cancelled context ends it between two layers.
func (s *Session) advance(ctx context.Context, greedy bool, each func(int, []float32)) error {
	stop := func() error {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("engine: eval: %w", context.Cause(ctx))
		}
		return s.s.Err()
	}
	rows, err := s.allLogits(each)
	if err != nil {
		return err
	}
	if rows != nil {
		defer s.m.dev.Free(rows)
	}
	for s.cached < len(s.tokens) {
		if err := stop(); err != nil {
			return err
		}
		n := min(len(s.tokens)-s.cached, s.m.batch)
		last := s.cached+n == len(s.tokens)
		b := s.one
		if n > 1 {
			b = s.b.first(n)
		}
		if err := s.load(b, n); err != nil {
			return err
		}
		s.reach = max(s.reach, s.cached+n)
		switch {
		case n == 1 && each == nil:
			err = s.single(greedy)
		default:
			err = s.many(b, n, last, greedy, rows, each, stop)
		}
		if err != nil {
			return err
		}
		s.cached += n
	}
	return s.s.Sync()
}

// load writes the next n tokens and their positions to the device.
func (s *Session) load(b *batch, n int) error {
	if err := s.put(b.ids, n, func(i int) int32 { return s.tokens[s.cached+i] }); err != nil {
		return err
	}
	return s.put(b.pos, n, func(i int) int32 { return int32(s.cached + i) })
}

// single runs one token as a program, recorded the first time.
func (s *Session) single(greedy bool) (err error) {
	p := &s.step
	if greedy {
		p = &s.greedy
	}
	if *p == nil {
		*p, err = s.s.Record(func() {
			s.m.net.forward(s.m.arch, s.s, s.one, s.s.Err)
			s.head(s.one, greedy)
		})
		if err != nil {
			return err
		}
	}
	s.s.Run(*p)
	return s.s.Err()
}

// many runs a batch of n tokens.
func (s *Session) many(b *batch, n int, last, greedy bool, rows *tensor.Tensor, each func(int, []float32), stop func() error) error {
	if err := s.m.net.forward(s.m.arch, s.s, b, stop); err != nil {
		return err
	}
	if each != nil {
		return s.handOver(b, n, rows, each)
	}
	if last {
		s.head(&batch{x: b.x.Slice(n-1, n), h: b.h.Slice(n-1, n)}, greedy)
	}
	return s.s.Err()
}

// head issues what follows one token, and which is likeliest.
func (s *Session) head(b *batch, greedy bool) {
	s.m.net.head(s.s, s.out, b.x, b.h)
	if greedy {
		s.s.ArgMax(s.best, s.out)
	}
}

// allLogits is memory for the logits of some tokens at a time.
func (s *Session) allLogits(each func(int, []float32)) (*tensor.Tensor, error) {
	if each == nil {
		return nil, nil
	}
	const bytes = 32 << 20
	n := min(max(1, bytes/(4*s.m.net.vocab)), s.m.batch)
	return s.m.dev.New(tensor.F32, n, s.m.net.vocab)
}

// handOver computes the logits of the n tokens of b and gives them to each.
func (s *Session) handOver(b *batch, n int, rows *tensor.Tensor, each func(int, []float32)) error {
	for lo := 0; lo < n; lo += rows.Rows() {
		hi := min(n, lo+rows.Rows())
		part := rows.Slice(0, hi-lo)
		s.m.net.head(s.s, part, b.x.Slice(lo, hi), b.h.Slice(lo, hi))
		if err := s.s.Sync(); err != nil {
			return err
		}
		for i := range hi - lo {
			if err := s.m.dev.Read(bytesOf(s.logits), part.Slice(i, i+1)); err != nil {
				return err
			}
			each(s.cached+lo+i, s.logits)
		}
	}
	return nil
}

// chosen reads the token that a greedy step took.
func (s *Session) chosen() (int32, error) {
	err := s.m.dev.Read(s.host[:4], s.best)
	return int32(binary.LittleEndian.Uint32(s.host)), err
}
