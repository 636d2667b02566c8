package engine

import "time"

// Stats count a generation and its time.
type Stats struct {
	PromptTokens int           // prompt tokens that were computed; others were in the cache
	NewTokens    int           // tokens that were generated
	PromptTime   time.Duration // for the prompt
	FirstToken   time.Duration // from the start to the first token
	DecodeTime   time.Duration // for the tokens after the first, without the caller's time
	WaitTime     time.Duration // part of DecodeTime in which the host waited for results; a CPU computes in the rest
	StopReason   string        // "stop", "eog", "length", "cancelled", "error"
}

// TokensPerSecond is the speed of decoding: of the tokens after the first.
func (s *Stats) TokensPerSecond() float64 { return rate(s.NewTokens-1, s.DecodeTime) }

// PromptTokensPerSecond is the speed of reading the prompt.
func (s *Stats) PromptTokensPerSecond() float64 { return rate(s.PromptTokens, s.PromptTime) }

func rate(n int, d time.Duration) float64 {
	if n <= 0 || d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
