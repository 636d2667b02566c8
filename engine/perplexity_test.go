package engine

import (
	"math"
	"sync"
	"testing"
)

// TestPerplexity: the sum by hand, one token at a time.
func TestPerplexity(t *testing.T) {
	g := readGolden(t, "llama-window")
	m := g.load(t, Options{Batch: 5, ExactCache: true})
	const window = 12
	var nll []float64
	s := newSession(t, m)
	for w := 0; w+window <= len(g.ids); w += window {
		s.Reset()
		for i := range window - 1 {
			id := g.ids[w+i]
			if i == 0 {
				id = 1 // BOS, which the vocabulary wants
			}
			logits, err := s.Eval(t.Context(), []int32{id})
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, l := range logits {
				sum += math.Exp(float64(l))
			}
			if i >= window/2 {
				nll = append(nll, math.Log(sum)-float64(logits[g.ids[w+i+1]]))
			}
		}
	}
	mean := 0.0
	for _, v := range nll {
		mean += v / float64(len(nll))
	}
	calls := 0
	r, err := Perplexity(t.Context(), newSession(t, m), g.ids, window, func(done, total int, r PerplexityResult) {
		if calls++; done != calls || total != 3 || r.Windows != done || r.Tokens != done*5 {
			t.Errorf("progress %d of %d: %+v", done, total, r)
		}
	})
	if err != nil || calls != 3 || r.Tokens != len(nll) || math.Abs(r.Perplexity/math.Exp(mean)-1) > 1e-5 || !(r.Error > 0) {
		t.Errorf("%+v (%v) after %d calls, want perplexity %g of %d tokens", r, err, calls, math.Exp(mean), len(nll))
	}
	for _, window := range []int{0, 3, 257, 41} {
		if _, err := Perplexity(t.Context(), newSession(t, m), g.ids, window, nil); err == nil {
			t.Errorf("windows of %d: no error", window)
		}
	}
}

// TestConcurrentSessions: goroutines with a session each share a model.
func TestConcurrentSessions(t *testing.T) {
	g := readGolden(t, "gemma2")
	m := g.load(t, Options{Batch: 7, ExactCache: true})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := m.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for pos, id := range g.ids {
				logits, err := s.Eval(t.Context(), []int32{id})
				if err != nil {
					t.Error(err)
					return
				}
				if off := g.off(pos, logits); off > 1e-4 {
					t.Errorf("token %d: %.2g off", pos, off)
				}
			}
		})
	}
	wg.Wait()
}
