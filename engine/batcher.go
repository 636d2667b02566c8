package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/llcuda/llcuda/tensor"
)

// A Batcher continues several texts at once with one model: each step takes
// the next token of all of them through the weights together, which costs
// little more than that of one (continuous batching, Yu et al. 2022, Orca).
// Prompts are read in pieces between such steps.
//
// A text has a slot, which keeps its keys and values when it ends: a later
// text that begins with the same tokens goes on from there, or from a copy
// while another text has the slot. Who finds no slot waits, in the order of
// arrival.
//
// What is generated does not depend, in one bit, on what runs beside it, on
// what slots hold and on how a prompt is cut: the Batcher asks its devices for
// rows that are alike (tensor.Alike). Tokens of prompts are summed in another
// order than generated ones, which a later prompt therefore reads again, unless
// BatcherOptions.ReuseGenerated says otherwise.
type Batcher struct {
	m       *Model
	net     *network // the model's, with what adapters replace
	blend   *blend   // the adapters; nil: none
	context int      // tokens of a text
	rows    int      // prompt tokens at a time
	reuse   bool     // generated tokens, too
	lone    bool     // one text goes a session's way

	mu      sync.Mutex
	waiting []*text // for a slot, in order
	swap    *swap   // of adapters, that waits for texts to end
	closed  bool

	wake chan struct{} // there may be something to do
	done chan struct{} // closed when loop has ended

	// Fields of loop's goroutine.
	batcherStages
	slots []*slot
	clock uint64  // of slots' use
	pace  float64 // seconds that a row of a prompt takes, of late
}

// BatcherOptions say how many texts go together. The zero value is 8 of the
// model's context.
type BatcherOptions struct {
	Texts   int // at most; 0 is what the model was loaded for (Options.Texts), or 8
	Context int // tokens that each holds; 0 is the model's
	Batch   int // prompt tokens that are read at a time; 0 is the model's

	// ReuseGenerated lets a prompt go on from tokens that were generated, as
	// the next turn of a chat does: it starts sooner, and the last bits of its
	// answer depend on whether a slot still has them.
	ReuseGenerated bool

	// Lone lets a text that is decoded alone go a session's way, which is
	// faster, above all on a card: the last bits of its answer then depend on
	// when it had company. A cache of q8_0 stays with the way of many.
	Lone bool
}

const defaultTexts = 8

// NewBatcher allocates the caches and the working memory of so many texts.
// What does not fit is refused before that with a *TooBigError.
func (m *Model) NewBatcher(o BatcherOptions) (*Batcher, error) {
	if err := m.generates(); err != nil {
		return nil, err
	}
	if err := m.fillIn(&o); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("engine: new batcher: the model is closed")
	}
	if err := m.roomFor(&o); err != nil {
		return nil, err
	}
	b := &Batcher{m: m, net: m.network(m.initial), blend: m.initial, context: o.Context, rows: o.Batch, reuse: o.ReuseGenerated, lone: o.Lone && m.cacheType != tensor.Q8_0,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	err := b.allocate(&o)
	if err == nil {
		err = b.reserve(o.Texts)
	}
	if err != nil {
		b.free()
		return nil, fmt.Errorf("engine: new batcher of %s: %w; take fewer texts or a smaller context", m.info.Name, err)
	}
	for i := range o.Texts {
		b.slots = append(b.slots, &slot{index: i})
	}
	m.uses++
	m.take(b.blend)
	go b.loop()
	return b, nil
}

func (m *Model) fillIn(o *BatcherOptions) error {
	switch {
	case o.Texts < 0 || o.Texts > MaxTexts:
		return fmt.Errorf("engine: new batcher: %d texts: want 1 to %d, or 0 for the default", o.Texts, MaxTexts)
	case o.Context < 0 || o.Context > m.net.context:
		return fmt.Errorf("engine: new batcher: context %d: want 1 to %d tokens, which the model was loaded for, or 0 for that", o.Context, m.net.context)
	case o.Batch < 0:
		return fmt.Errorf("engine: new batcher: batch %d: want 1 or more tokens, or 0 for the model's", o.Batch)
	}
	if o.Texts == 0 {
		if o.Texts = m.texts; o.Texts == 0 {
			o.Texts = defaultTexts
		}
	}
	if o.Context == 0 {
		o.Context = m.net.context
	}
	if o.Batch == 0 {
		o.Batch = m.batch
	}
	o.Batch = min(o.Batch, o.Context)
	return nil
}

// Close ends all generations with an error, waits for the step that is at
// work, and gives back the memory.
func (b *Batcher) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		<-b.done
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	b.nudge()
	<-b.done
	b.free()
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	b.m.leave(b.blend)
	return b.m.release()
}

// Model is what the batcher runs.
func (b *Batcher) Model() *Model { return b.m }

// Texts is how many texts go together at most, Context how many tokens each
// holds.
func (b *Batcher) Texts() int   { return len(b.slots) }
func (b *Batcher) Context() int { return b.context }

// Generate continues the text of prompt, which is the whole of it. Tokens and
// errors are those of Session.Generate; an error ends this text alone, unless
// it is the device's. Many goroutines may call it at once. Who takes tokens
// slowly holds up nobody else: its text pauses when some tokens wait.
//
// o.Constraint is called from another goroutine, and not after the sequence
// has ended.
func (b *Batcher) Generate(ctx context.Context, prompt []int32, o GenerateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		stats := o.Stats
		if stats == nil {
			stats = new(Stats)
		}
		*stats = Stats{StopReason: "stop"} // also when the caller breaks off
		t, err := b.submit(ctx, prompt, o)
		if err != nil {
			stats.StopReason = "error"
			yield(Token{}, err)
			return
		}
		defer t.leave(b)
		for {
			e := t.take(ctx, b)
			*stats = e.stats
			if e.err != nil {
				yield(Token{}, e.err)
				return
			}
			if e.token != nil && !yield(*e.token, nil) || e.last {
				return
			}
		}
	}
}

// submit puts a text into the queue.
func (b *Batcher) submit(ctx context.Context, prompt []int32, o GenerateOptions) (*text, error) {
	o.Stats = nil // its own: the caller's are written by the caller's goroutine
	t := &text{ctx: ctx, g: newGeneration(b.m, b.context, o), tokens: append([]int32(nil), prompt...), prompt: len(prompt),
		events: make(chan event, textQueue+3), gone: make(chan struct{})}
	t.g.o.Stats.StopReason = "stop"
	if err := t.g.prepare(); err != nil {
		return nil, err
	}
	if len(prompt) == 0 {
		return nil, errors.New("engine: generate: no tokens; give at least one")
	}
	if err := b.m.accept(prompt, 0, b.context); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBatcherClosed
	}
	b.waiting = append(b.waiting, t)
	b.nudge()
	return t, nil
}

var errBatcherClosed = errors.New("engine: generate: the batcher is closed")

// nudge wakes loop, now or when it next sleeps.
func (b *Batcher) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// loop owns the devices: it gives out slots and takes steps until Close.
func (b *Batcher) loop() {
	defer close(b.done)
	for {
		b.drop()
		b.exchange()
		if b.admit() {
			b.endAll(errBatcherClosed)
			return
		}
		decoded, err1 := b.decode()
		read, err2 := b.read()
		if err := errors.Join(err1, err2); err != nil {
			b.fail(err)
		} else if !decoded && !read {
			<-b.wake
		}
	}
}

// drop ends the texts whose caller is gone or whose context is cancelled.
func (b *Batcher) drop() {
	b.mu.Lock()
	keep := b.waiting[:0]
	for _, t := range b.waiting {
		if t.dropped() {
			t.end(t.cancelled())
		} else {
			keep = append(keep, t)
		}
	}
	clear(b.waiting[len(keep):])
	b.waiting = keep
	b.mu.Unlock()
	for _, s := range b.slots {
		if s.text != nil && s.text.dropped() {
			b.finish(s.text, s.text.cancelled())
		}
	}
}

// admit gives free slots to those who wait, in their order.
func (b *Batcher) admit() (closed bool) {
	for {
		b.mu.Lock()
		if b.closed || b.swap != nil || len(b.waiting) == 0 || b.busy() == len(b.slots) {
			defer b.mu.Unlock()
			return b.closed
		}
		t := b.waiting[0]
		b.waiting[0] = nil
		b.waiting = b.waiting[1:]
		b.mu.Unlock()
		t.began = time.Now()
		if err := b.seat(t); err != nil {
			t.end(err)
			b.fail(err)
		}
	}
}

// finish ends a text and frees its slot.
func (b *Batcher) finish(t *text, err error) {
	t.end(err)
	b.leave(t.slot)
}

// leave makes a slot free.
func (b *Batcher) leave(s *slot) {
	b.clock++
	s.text, s.used = nil, b.clock
}

// fail ends all texts that have a slot: a device has failed, and nobody knows
// what the caches hold.
func (b *Batcher) fail(err error) {
	b.sync()
	for _, s := range b.slots {
		if s.text != nil {
			b.finish(s.text, err)
		}
		s.cut(0)
	}
}

// endAll ends all texts, also those that wait.
func (b *Batcher) endAll(err error) {
	for _, s := range b.slots {
		if s.text != nil {
			b.finish(s.text, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.waiting {
		t.end(err)
	}
	b.waiting = nil
	if b.swap != nil {
		b.swap.done <- err
		b.swap = nil
	}
}
