package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// textQueue is how many tokens wait for their reader before a text pauses.
const textQueue = 64

// A text is one Generate of a Batcher, on both sides: its caller takes events,
// the batcher's goroutine has the rest.
type text struct {
	ctx    context.Context
	events chan event // never full: see paused
	left   atomic.Bool
	gone   chan struct{} // closed when the batcher has done with it

	g       *generation
	tokens  []int32 // the prompt and what followed
	prompt  int     // tokens of the prompt
	reading bool    // some of the prompt is not in the cache
	slot    *slot
	results
	began time.Time // when it got its slot
	last  time.Time // when it got its last token, or went on after a pause
	held  bool      // it pauses
}

// An event is a token, or the end, with the stats up to then.
type event struct {
	token *Token
	stats Stats
	err   error
	last  bool
}

// take waits for the next event. A cancelled context ends the wait.
func (t *text) take(ctx context.Context, b *Batcher) event {
	select {
	case e := <-t.events:
		if len(t.events) == textQueue/2 {
			b.nudge() // it may have paused
		}
		return e
	case <-ctx.Done():
		e := event{err: t.cancelled(), last: true}
		e.stats.StopReason = "cancelled"
		return e
	}
}

// leave tells the batcher that nobody takes more. Where others have a part in
// what it uses it waits until that is over.
func (t *text) leave(b *Batcher) {
	t.left.Store(true)
	b.nudge()
	if t.g.o.Constraint != nil {
		<-t.gone
	}
}

func (t *text) dropped() bool { return t.left.Load() || t.ctx.Err() != nil }

func (t *text) cancelled() error {
	if t.ctx.Err() == nil {
		return nil // the caller broke off: nobody reads this
	}
	return fmt.Errorf("engine: generate: %w", context.Cause(t.ctx))
}

// paused says whether so many tokens wait for the caller that there is room
// for the end alone.
func (t *text) paused() bool {
	n, before := len(t.events), t.held
	t.held = n >= textQueue || before && n > textQueue/2
	if before && !t.held {
		t.last = time.Now()
	}
	return t.held
}

// missing is how many tokens are not in the cache.
func (t *text) missing() int { return len(t.tokens) - len(t.slot.tokens) }

// step takes the next token from the results that a step has left in t, and
// says whether the text goes on.
func (t *text) step() (more bool) {
	stats := t.g.o.Stats
	token, more, err := t.g.next(&t.results, t.tokens)
	now := time.Now()
	switch {
	case err != nil:
		t.end(err)
		return false
	case token.ID < 0:
		t.end(nil)
		return false
	}
	t.tokens = append(t.tokens, token.ID)
	if stats.NewTokens == 1 {
		stats.FirstToken = now.Sub(t.g.start)
	} else {
		stats.DecodeTime += now.Sub(t.last)
	}
	t.last = now
	t.events <- event{token: &token, stats: *stats}
	if !more {
		t.end(nil)
	}
	return more
}

// end hands out what was held back, and then the end or the error.
func (t *text) end(err error) {
	if rest := t.g.end(t.ctx, err); rest != "" {
		t.events <- event{token: &Token{ID: -1, Text: rest}, stats: *t.g.o.Stats}
	}
	t.events <- event{stats: *t.g.o.Stats, err: err, last: true}
	close(t.gone)
}
