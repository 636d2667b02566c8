package engine

import "time"

// GenerateOptions say how to continue a text. The zero value is greedy and
// goes on until the model ends the text or the context is full.
type GenerateOptions struct {
	MaxTokens int      // new tokens at most; 0 is as many as the context holds
	Sampler   Sampler  // how a token is chosen
	Stop      []string // texts that end the generation; they are not part of it
	Logprobs  int      // how many alternatives Token.Top lists; 0 is no probabilities at all
	IgnoreEOG bool     // go on after a token that ends a generation
	Stats     *Stats   // filled while generating, complete at the end
}

// A Token is one step of a generation.
type Token struct {
	ID      int32       // -1 for text that was pending when the generation ended
	Text    string      // valid UTF-8; "" while a character or a possible stop text is incomplete
	Logprob float32     // natural logarithm of the model's probability, when Logprobs > 0
	Top     []TokenProb // the likeliest tokens, best first, when Logprobs > 0
}

// TokenProb is a token and the natural logarithm of its probability.
type TokenProb struct {
	ID      int32
	Text    string
	Logprob float32
}

// Stats count a generation and its time.
type Stats struct {
	PromptTokens int           // prompt tokens that were computed
	NewTokens    int           // tokens that were generated
	PromptTime   time.Duration // for the prompt
	FirstToken   time.Duration // from the start to the first token
	DecodeTime   time.Duration // for the tokens after the first; without the caller's time
	StopReason   string        // "stop", "eog", "length", "cancelled", "error"
}

// TokensPerSecond is the speed of decoding: tokens after the first.
func (s *Stats) TokensPerSecond() float64 { return rate(s.NewTokens-1, s.DecodeTime) }

// PromptTokensPerSecond is the speed of reading the prompt.
func (s *Stats) PromptTokensPerSecond() float64 { return rate(s.PromptTokens, s.PromptTime) }

func rate(n int, d time.Duration) float64 {
	if n <= 0 || d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
