package engine

import (
	"math"
	"strings"
)

// TokenProb is a token and the natural logarithm of its probability.
type TokenProb struct {
	ID      int32
	Text    string // valid UTF-8, whatever the token's bytes are
	Logprob float32
}

// logSumExp is ln Σ exp(x), which turns logits into logarithms of
// probabilities.
func logSumExp(x []float32) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// Top returns the k likeliest tokens, best first, the lower id first among
// equals. Their Text is left empty: logits know no vocabulary.
func Top(logits []float32, k int) []TokenProb {
	return new(chooser).top(logits, k, logSumExp(logits))
}

// top is Top where the sum is known already.
func (c *chooser) top(logits []float32, k int, sum float64) []TokenProb {
	if k < 1 {
		return nil
	}
	best := c.best(logits, k)
	top := make([]TokenProb, len(best))
	for i, b := range best {
		top[i] = TokenProb{ID: b.id, Logprob: float32(float64(b.logit) - sum)}
	}
	return top
}

// text shows a token by itself.
func (m *Model) text(id int32) string {
	return strings.ToValidUTF8(string(m.tokenizer.Piece(id)), "\uFFFD")
}
