package engine

import (
	"context"
	"fmt"
	"math"
)

// PerplexityResult is how well a model predicts a text.
type PerplexityResult struct {
	Perplexity float64 // exp of the mean negative log likelihood
	Error      float64 // its standard error
	Tokens     int     // that were predicted
	Windows    int
}

// Perplexity cuts ids into windows of so many tokens and scores the second
// half of each, as llama-perplexity does: the first token of a window becomes
// BOS if the model wants one, every scored token has at least half a window
// before it, and a rest shorter than a window is left out. The session is
// reset. progress, if not nil, is called after each window.
func Perplexity(ctx context.Context, s *Session, ids []int32, window int, progress func(done, total int, r PerplexityResult)) (PerplexityResult, error) {
	total := 0
	if window > 0 {
		total = len(ids) / window
	}
	switch {
	case window < 4:
		return PerplexityResult{}, fmt.Errorf("engine: perplexity: windows of %d tokens: want at least 4", window)
	case window > s.m.net.context:
		return PerplexityResult{}, fmt.Errorf("engine: perplexity: windows of %d tokens: the context has %d", window, s.m.net.context)
	case total == 0:
		return PerplexityResult{}, fmt.Errorf("engine: perplexity: %d tokens are less than one window of %d; take a longer text or a smaller window", len(ids), window)
	}
	defer s.Reset()
	var score likelihood
	for w := range total {
		if err := score.window(ctx, s, ids[w*window:(w+1)*window]); err != nil {
			return PerplexityResult{}, err
		}
		if progress != nil {
			progress(w+1, total, score.result(w+1))
		}
	}
	return score.result(total), nil
}

// likelihood sums the negative log likelihoods of tokens, and their squares.
type likelihood struct {
	n            int
	sum, squares float64
}

func (l *likelihood) window(ctx context.Context, s *Session, ids []int32) error {
	s.Reset()
	text := append([]int32(nil), ids...)
	if bos, ok := s.m.tokenizer.BOS(); ok && s.m.tokenizer.AddsBOS() {
		text[0] = bos
	}
	half := len(ids) / 2
	if err := s.extend(text[:half], func() error { return s.advance(ctx, allLogits, nil) }); err != nil {
		return err
	}
	return s.EvalAll(ctx, text[half:len(text)-1], func(pos int, logits []float32) {
		nll := logSumExp(logits) - float64(logits[text[pos+1]])
		l.n, l.sum, l.squares = l.n+1, l.sum+nll, l.squares+nll*nll
	})
}

func (l *likelihood) result(windows int) PerplexityResult {
	n := float64(l.n)
	mean := l.sum / n
	r := PerplexityResult{Perplexity: math.Exp(mean), Tokens: l.n, Windows: windows}
	if l.n > 1 {
		r.Error = r.Perplexity * math.Sqrt(max(0, l.squares/n-mean*mean)/(n-1))
	}
	return r
}
