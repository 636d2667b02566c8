package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A swap is a set of adapters on its way to a batcher.
type swap struct {
	to   *blend
	done chan error // of one place
}

// SetAdapters changes what texts are continued with from now on: it waits until
// those that have begun have ended, while others wait for it. All texts have
// the same adapters; what slots hold of former ones is forgotten.
func (b *Batcher) SetAdapters(ctx context.Context, set ...Scaled) error {
	to, err := b.m.blend(set)
	if err != nil {
		return err
	}
	s := &swap{to, make(chan error, 1)}
	b.mu.Lock()
	switch {
	case b.closed:
		err = errBatcherClosed
	case b.swap != nil:
		err = errors.New("engine: set adapters: another change waits for texts to end")
	default:
		b.swap = s
	}
	b.mu.Unlock()
	if err == nil {
		b.nudge()
		err = b.await(ctx, s)
	}
	if err != nil {
		b.m.drop(to)
	}
	return err
}

// await waits for a swap, or withdraws it.
func (b *Batcher) await(ctx context.Context, s *swap) error {
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	if b.swap != s {
		b.mu.Unlock()
		return <-s.done
	}
	b.swap = nil
	b.mu.Unlock()
	b.nudge()
	return fmt.Errorf("engine: set adapters: %w", context.Cause(ctx))
}

// Adapters are what the batcher was told to use.
func (b *Batcher) Adapters() []Scaled {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.blend.parts())
}

// exchange carries out a swap, once no text has a slot.
func (b *Batcher) exchange() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.swap; s != nil && b.busy() == 0 && !b.closed {
		b.swap = nil
		s.done <- b.adopt(s.to)
	}
}

// adopt makes a blend the batcher's.
func (b *Batcher) adopt(to *blend) error {
	fresh, err := to.workings(b.m.parts, b.stages[0].b.x.Rows(), b.out.Rows())
	if err != nil {
		return fmt.Errorf("engine: set adapters: %w; take fewer texts or a smaller context", err)
	}
	b.sync()
	for i, st := range b.stages {
		st.forget()
		st.b.adapt(fresh[i])
	}
	for _, s := range b.slots {
		s.cut(0)
	}
	b.m.drop(b.blend)
	b.blend, b.net = to, b.m.network(to)
	return nil
}
