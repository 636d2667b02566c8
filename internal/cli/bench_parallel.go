package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/llcuda/llcuda/engine"
)

// benchPrompts are the tokens before those that texts generate together.
const benchPrompts = 16

// checkParallel refuses numbers of texts that no batcher has, and leaves each
// number once.
func (b *bench) checkParallel() error {
	all := b.parallel
	b.parallel = nil
	for _, n := range all {
		if n < 1 || n > engine.MaxTexts {
			return usageError{fmt.Errorf("bench: --parallel %d: want 1 to %d texts", n, engine.MaxTexts)}
		}
		if !slices.Contains(b.parallel, n) {
			b.parallel = append(b.parallel, n)
		}
	}
	if len(b.parallel) > 0 && (b.gen == 0 || b.depth > 0) {
		return usageError{errors.New("bench: --parallel wants tokens to generate (-n), and no --depth")}
	}
	return nil
}

// together measures texts that a batcher continues at once: the tokens of all,
// from the moment when all are asked for, short prompts included.
func (b *bench) together(ctx context.Context, m *engine.Model, results []benchResult) ([]benchResult, error) {
	if len(b.parallel) == 0 {
		return results, nil
	}
	for _, n := range b.parallel {
		rates, err := b.rates(ctx, m, n)
		if err != nil {
			return nil, err
		}
		r := b.result(m, "together", rates, nil)
		r.Test, r.Texts = fmt.Sprintf("tg%d × %d", b.gen, n), n
		r.GBPerSecond = r.TokensPerSecond / float64(n) * float64(m.Info().TokenBytes) / 1e9
		results = append(results, r)
	}
	return results, nil
}

// rates are tokens a second of n texts, by a batcher made for so many. Before that
// come crowds of all sizes: while texts begin and end, a batcher takes steps of fewer
// texts, each of which it records when it is wanted first.
func (b *bench) rates(ctx context.Context, m *engine.Model, n int) (rates []float64, err error) {
	batcher, err := m.NewBatcher(engine.BatcherOptions{Texts: n})
	if err != nil {
		return nil, err
	}
	defer batcher.Close()
	for size := 1; size < 2*n; size *= 2 {
		if err := b.crowd(ctx, batcher, min(size, n), -size); err != nil {
			return nil, err
		}
	}
	for i := range b.repeat {
		start := time.Now()
		if err := b.crowd(ctx, batcher, n, i); err != nil {
			return nil, err
		}
		rates = append(rates, float64(n*b.gen)/time.Since(start).Seconds())
	}
	b.used = max(b.used, b.before-freeBytes(b.cards))
	return rates, nil
}

// crowd continues n texts, whose prompts no slot has yet.
func (b *bench) crowd(ctx context.Context, batcher *engine.Batcher, n, round int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for i := range n {
		rng := rand.New(rand.NewPCG(uint64(round), uint64(i)))
		prompt := make([]int32, benchPrompts)
		for j := range prompt {
			prompt[j] = int32(rng.IntN(batcher.Model().Info().Vocab))
		}
		wg.Go(func() {
			for _, err := range batcher.Generate(ctx, prompt, engine.GenerateOptions{MaxTokens: b.gen, IgnoreEOG: true}) {
				if err != nil {
					stop(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
