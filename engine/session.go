package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// A Session is one text and the key-value cache of its tokens. One goroutine
// uses it; sessions of one model are independent.
//
// Tokens that Generate made are part of the text at once and go through the
// model with the next call. After an error the text is as it was before.
type Session struct {
	m         *Model
	net       *network       // the model's, with what adapters replace
	blend     *blend         // the adapters; nil: none
	stages    []*stage       // one a part of the model
	mem       allocator      // of what follows, on the last stage's device
	out       *tensor.Tensor // (1, vocab): logits of the last token
	best      *tensor.Tensor // (1) i32: the likeliest token
	vals, ids *tensor.Tensor // (tensor.MaxTopK) f32, i32: the likeliest and their logits
	unit      *tensor.Tensor // (1) i32: 1

	tokens []int32 // the text
	cached int     // how many tokens are in the cache
	reach  int     // tokens that the cache has seen: rings forget what lies further back
	slack  int     // how far back rings remember
	fed    int     // the position for which a step has left s.chosen on the device; -1: none
	waited time.Duration

	// A greedy step on one device is issued before the one before it has been
	// read, so that the device never waits for the host (ahead.go).
	fetches  [2]tensor.Fetch // by the parity of the position; nil: the device has none
	fetching bool            // the last token's result comes through one of them
	ahead    bool            // another greedy step is likely to follow the next one
	flying   int             // the position of the step that was issued ahead; -1: none

	results // what fetch reads

	// What is on the way to a device.
	word   []byte    // of chosen
	host   []byte    // token ids and positions
	border []float32 // the residual stream of a batch
	closed bool
}

// NewSession allocates the cache and the working memory of a text. An encoder,
// which continues no text, is an ErrEncoder.
func (m *Model) NewSession() (*Session, error) {
	if err := m.generates(); err != nil {
		return nil, err
	}
	return m.newSession()
}

// generates says why a model continues no texts.
func (m *Model) generates() error {
	if m.net.encoder {
		return fmt.Errorf("engine: %s: %w; use %%embed (llcuda embed), or load another model to continue a text", m.info.Name, ErrEncoder)
	}
	return nil
}

func (m *Model) newSession() (*Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("engine: new session: the model is closed")
	}
	s := &Session{m: m, net: m.network(m.initial), blend: m.initial, slack: math.MaxInt, fed: -1, flying: -1, host: make([]byte, 4*m.batch), word: make([]byte, 4)}
	s.logits = make([]float32, m.net.vocab)
	s.readLogits = func() error { return s.fetch(allLogits) }
	if err := s.allocate(); err != nil {
		s.free()
		err = fmt.Errorf("engine: new session of %s: %w", m.info.Name, err)
		if errors.Is(err, tensor.ErrNoMemory) {
			err = fmt.Errorf("%w; take a smaller context", err)
		}
		return nil, err
	}
	for _, st := range s.stages {
		for i := st.lo; i < st.hi; i++ {
			w, rows := m.net.layers[i].attend.Window, st.b.cache[i].k.Rows()
			if rows < m.net.context {
				s.slack = min(s.slack, rows-w+1)
			}
		}
	}
	m.uses++
	m.take(s.blend)
	return s, nil
}

func (s *Session) allocate() error {
	n := s.m.net
	for _, p := range s.m.parts {
		st := newStage(s.m, p)
		s.stages = append(s.stages, st)
		if st.mem.err != nil {
			return st.mem.err
		}
		a, err := s.blend.working(p, s.m.batch, 1)
		if err != nil {
			return err
		}
		st.adapt(a)
	}
	if len(s.stages) > 1 {
		s.border = make([]float32, s.m.batch*n.dim)
	}
	k := min(tensor.MaxTopK, n.vocab)
	s.values, s.which = make([]float32, k), make([]int32, k)
	s.mem.dev = s.last().dev
	s.out = s.mem.new(tensor.F32, 1, n.vocab)
	s.best = s.mem.new(tensor.I32, 1)
	s.vals, s.ids = s.mem.new(tensor.F32, k), s.mem.new(tensor.I32, k)
	s.unit = s.mem.new(tensor.I32, 1)
	if s.mem.err != nil {
		return s.mem.err
	}
	if err := s.mem.dev.Write(s.unit, []byte{1, 0, 0, 0}); err != nil {
		return err
	}
	return s.newFetches()
}

func (s *Session) free() {
	for _, f := range s.fetches {
		if f != nil {
			f.Free()
		}
	}
	for _, st := range s.stages {
		st.free()
	}
	s.mem.free()
}

// Close gives back the session's memory.
func (s *Session) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.free()
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.leave(s.blend)
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
	err := s.step(ctx, ids, allLogits)
	if err != nil {
		return nil, err
	}
	return s.logits, nil
}

// step appends ids to the text, computes it, and reads what end says.
func (s *Session) step(ctx context.Context, ids []int32, end ending) error {
	return s.extend(ids, func() error {
		if err := s.advance(ctx, end, nil); err != nil {
			return err
		}
		return s.fetch(end)
	})
}

// EvalAll appends ids to the text and calls each with the logits after every
// one of them, in order; pos is the token's position in the text. The logits
// are valid during the call.
func (s *Session) EvalAll(ctx context.Context, ids []int32, each func(pos int, logits []float32)) error {
	before := len(s.tokens)
	return s.extend(ids, func() error {
		return s.advance(ctx, allLogits, func(pos int, logits []float32) {
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
		s.sync() // forget the streams' errors: err has the first
		s.fed, s.flying = -1, -1
		s.Truncate(before)
	}
	return err
}

// accept says whether ids may follow the text.
func (s *Session) accept(ids []int32) error {
	if s.closed {
		return errors.New("engine: eval: the session is closed")
	}
	return s.m.accept(ids, len(s.tokens), s.m.net.context)
}

// accept says whether ids may follow a text of so many tokens.
func (m *Model) accept(ids []int32, position, context int) error {
	if len(ids) > context-position {
		return &ContextError{Position: position, New: len(ids), Context: context}
	}
	for _, id := range ids {
		if id < 0 || int(id) >= m.net.vocab {
			return fmt.Errorf("engine: eval: token %d: the vocabulary has 0 to %d", id, m.net.vocab-1)
		}
	}
	return nil
}

// bytesOf views 32-bit numbers as bytes: the same memory, which x keeps alive.
func bytesOf[T float32 | int32](x []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

// put writes 32-bit integers to a device.
func (s *Session) put(t *tensor.Tensor, n int, value func(i int) int32) error {
	for i := range n {
		binary.LittleEndian.PutUint32(s.host[4*i:], uint32(value(i)))
	}
	return t.Device.Write(t, s.host[:4*n])
}
