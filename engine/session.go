package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// A Session is one text and the key-value cache of its tokens. One goroutine
// uses it; sessions of one model are independent.
//
// Tokens that Generate made are part of the text at once and go through the
// model with the next call. After an error the text is as it was before.
type Session struct {
	m      *Model
	s      *tensor.Stream
	mem    allocator
	b      *batch         // of m.batch tokens
	one    *batch         // of one token: what step and greedy work on
	out    *tensor.Tensor // (1, vocab): logits of the last token
	best   *tensor.Tensor // (1) i32: the likeliest token
	step   tensor.Program // one token to out; nil until the first
	greedy tensor.Program // one token to best
	tokens []int32        // the text
	cached int            // how many tokens are in the cache
	reach  int            // tokens that the cache has seen: rings forget what lies further back
	slack  int            // how far back rings remember
	host   []byte         // token ids and positions on their way to the device
	logits []float32
	closed bool
}

// NewSession allocates the cache and the working memory of a text.
func (m *Model) NewSession() (*Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("engine: new session: the model is closed")
	}
	s := &Session{m: m, s: tensor.NewStream(m.dev), mem: allocator{dev: m.dev}, slack: math.MaxInt,
		host: make([]byte, 4*m.batch), logits: make([]float32, m.net.vocab)}
	s.b = newBatch(&s.mem, m.net, m.batch, m.cacheType)
	s.out = s.mem.new(tensor.F32, 1, m.net.vocab)
	s.best = s.mem.new(tensor.I32, 1)
	if err := s.mem.err; err != nil {
		s.mem.free()
		return nil, fmt.Errorf("engine: new session of %s: %w; take a smaller context", m.info.Name, err)
	}
	s.one = s.b.first(1)
	for i := range m.net.layers {
		w, rows := m.net.layers[i].attend.Window, s.b.cache[i].k.Rows()
		if rows < m.net.context {
			s.slack = min(s.slack, rows-w+1)
		}
	}
	m.uses++
	return s, nil
}

// Close gives back the session's memory.
func (s *Session) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	for _, p := range []tensor.Program{s.step, s.greedy} {
		if p != nil {
			p.Free()
		}
	}
	s.mem.free()
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.release()
}

// Model is what the session runs.
func (s *Session) Model() *Model { return s.m }

// Position is the number of tokens of the text.
func (s *Session) Position() int { return len(s.tokens) }

// Tokens is the text. It is a view, valid until the next call.
func (s *Session) Tokens() []int32 { return s.tokens }

// Reset makes the text empty.
func (s *Session) Reset() { s.Truncate(0) }

// Truncate cuts the text to n tokens; a larger n changes nothing. To continue
// a text that has its first n tokens in common with the last one, truncate to
// n and evaluate the rest.
func (s *Session) Truncate(n int) {
	n = min(max(n, 0), len(s.tokens))
	s.tokens = s.tokens[:n]
	s.cached = min(s.cached, n)
	if s.cached == 0 || s.reach-s.cached > s.slack {
		s.cached, s.reach = 0, 0 // a ring has overwritten what the next token needs: read the text again
	}
}

// Eval appends ids to the text and returns the logits of what follows, a view
// that is valid until the next call. With no ids it returns those of the text
// as it is.
func (s *Session) Eval(ctx context.Context, ids []int32) ([]float32, error) {
	if err := s.extend(ids, func() error { return s.advance(ctx, false, nil) }); err != nil {
		return nil, err
	}
	if err := s.m.dev.Read(bytesOf(s.logits), s.out); err != nil {
		return nil, err
	}
	return s.logits, nil
}

// EvalAll appends ids to the text and calls each with the logits after every
// one of them, in order; pos is the token's position in the text. The logits
// are valid during the call.
func (s *Session) EvalAll(ctx context.Context, ids []int32, each func(pos int, logits []float32)) error {
	before := len(s.tokens)
	return s.extend(ids, func() error {
		return s.advance(ctx, false, func(pos int, logits []float32) {
			if pos >= before { // not what was pending, or read again after Truncate
				each(pos, logits)
			}
		})
	})
}

// extend appends ids, lets eval compute them, and takes them back when it
// fails.
func (s *Session) extend(ids []int32, eval func() error) error {
	before := len(s.tokens)
	if err := s.accept(ids); err != nil {
		return err
	}
	if before+len(ids) == 0 {
		return errors.New("engine: eval: no tokens; give at least one")
	}
	s.tokens = append(s.tokens, ids...)
	s.cached = min(s.cached, len(s.tokens)-1) // with nothing new the last token comes again
	err := eval()
	if err != nil {
		s.s.Sync() // forget the stream's error: err has it
		s.Truncate(before)
	}
	return err
}

// accept says whether ids may follow the text.
func (s *Session) accept(ids []int32) error {
	if s.closed {
		return errors.New("engine: eval: the session is closed")
	}
	if len(ids) > s.m.net.context-len(s.tokens) {
		return &ContextError{Position: len(s.tokens), New: len(ids), Context: s.m.net.context}
	}
	for _, id := range ids {
		if id < 0 || int(id) >= s.m.net.vocab {
			return fmt.Errorf("engine: eval: token %d: the vocabulary has 0 to %d", id, s.m.net.vocab-1)
		}
	}
	return nil
}

// bytesOf views f as bytes: the same memory, which f keeps alive.
func bytesOf(f []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// put writes 32-bit integers to the device.
func (s *Session) put(t *tensor.Tensor, n int, value func(i int) int32) error {
	for i := range n {
		binary.LittleEndian.PutUint32(s.host[4*i:], uint32(value(i)))
	}
	return s.m.dev.Write(t, s.host[:4*n])
}
