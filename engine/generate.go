package engine

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
)

// GenerateOptions say how to continue a text. The zero value is greedy and
// goes on until the model ends the text or the context is full.
type GenerateOptions struct {
	MaxTokens int      // new tokens at most; 0 is as many as the context holds
	Sampler   Sampler  // how a token is chosen
	Stop      []string // texts that end the generation; they are not part of it
	Logprobs  int      // how many alternatives Token.Top lists; 0 is no probabilities at all
	IgnoreEOG bool     // go on after a token that ends a generation
	Stats     *Stats   // filled while generating, complete at the end

	// Constraint allows tokens, of this generation alone; nil allows all. It
	// excludes IgnoreEOG.
	Constraint Constraint
}

// A Token is one step of a generation.
type Token struct {
	ID      int32       // -1 for text that was pending when the generation ended
	Text    string      // valid UTF-8; "" while a character or a possible stop text is incomplete
	Logprob float32     // natural logarithm of the model's probability, when Logprobs > 0
	Top     []TokenProb // the likeliest tokens, best first, when Logprobs > 0
}

// Generate appends prompt to the text and continues it. The sequence ends
// after MaxTokens, before a token that ends a generation, with a stop text, or
// with one error: of the options, of the prompt, of the device, or that the
// context is full (*ContextError) or ctx cancelled, within one token of which
// it stops. Probabilities are the model's, before constraint and sampler.
//
// All tokens but one that ends the generation become part of the session's
// text, also those of a stop text.
func (s *Session) Generate(ctx context.Context, prompt []int32, o GenerateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if o.Stats == nil {
			o.Stats = new(Stats)
		}
		*o.Stats = Stats{StopReason: "stop"} // also when the caller breaks off
		g := &generation{s: s, o: o, text: pieces{stops: o.Stop}, start: time.Now()}
		err := g.run(ctx, prompt, yield)
		if g.left {
			return
		}
		if rest := g.text.flush(); rest != "" && !yield(Token{ID: -1, Text: rest}, nil) {
			return
		}
		if err != nil {
			o.Stats.StopReason = "error"
			if ctx.Err() != nil {
				o.Stats.StopReason = "cancelled"
			}
			yield(Token{}, err)
		}
	}
}

// A generation is one call of Generate.
type generation struct {
	s       *Session
	o       GenerateOptions
	chooser *chooser // nil: the device takes the likeliest
	text    pieces
	start   time.Time
	left    bool // the caller broke off
}

func (g *generation) run(ctx context.Context, prompt []int32, yield func(Token, error) bool) error {
	s, stats := g.s, g.o.Stats
	if err := g.prepare(); err != nil {
		return err
	}
	missing := len(s.tokens) - s.cached
	if err := g.advance(ctx, prompt); err != nil {
		return err
	}
	stats.PromptTokens, stats.PromptTime, stats.WaitTime = missing+len(prompt), time.Since(g.start), 0
	for {
		if len(s.tokens) == s.m.net.context {
			return &ContextError{Position: len(s.tokens), New: 1, Context: s.m.net.context}
		}
		begin := time.Now()
		t, err := g.choose()
		if err != nil {
			return err
		}
		if !g.o.IgnoreEOG && s.m.tokenizer.IsEOG(t.ID) {
			stats.StopReason = "eog"
			return nil
		}
		if c := g.o.Constraint; c != nil {
			if err := c.Accept(t.ID); err != nil {
				return fmt.Errorf("engine: generate: %w", err)
			}
		}
		s.tokens = append(s.tokens, t.ID)
		done := g.deliver(&t)
		stats.DecodeTime += time.Since(begin)
		if stats.NewTokens == 1 {
			stats.FirstToken, stats.DecodeTime = time.Since(g.start), 0
		}
		if g.left = !yield(t, nil); g.left || done {
			return nil
		}
		if len(s.tokens) == s.m.net.context {
			continue
		}
		begin = time.Now()
		if err := g.advance(ctx, nil); err != nil {
			return err
		}
		stats.DecodeTime += time.Since(begin)
	}
}

// prepare checks the options.
func (g *generation) prepare() (err error) {
	o := &g.o
	if slices.Contains(o.Stop, "") {
		return fmt.Errorf("engine: generate: a stop text is empty")
	}
	if o.Constraint != nil && o.IgnoreEOG {
		return fmt.Errorf("engine: generate: a constraint says where the text ends; leave IgnoreEOG out")
	}
	if o.Logprobs < 0 || o.Logprobs > g.s.m.net.vocab {
		return fmt.Errorf("engine: generate: %d alternatives: want 0 to %d", o.Logprobs, g.s.m.net.vocab)
	}
	if err := o.Sampler.Check(g.s.m.net.vocab); err != nil {
		return err
	}
	if o.Logprobs > 0 || o.Constraint != nil || !o.Sampler.plain() {
		g.chooser = newChooser(o.Sampler)
	}
	return nil
}

func (g *generation) advance(ctx context.Context, ids []int32) error {
	s := g.s
	defer func(before time.Duration) { g.o.Stats.WaitTime += s.waited - before }(s.waited)
	n := g.o.Stats.NewTokens + 2 // tokens with that of this step and the next
	s.ahead = g.o.MaxTokens <= 0 || n <= g.o.MaxTokens
	defer func() { s.ahead = false }()
	return s.step(ctx, ids, g.ending())
}

// ending is what the next token is chosen from. The first of all greedy ones
// comes from all logits, to see whether they are sound.
func (g *generation) ending() ending {
	switch {
	case g.chooser != nil && g.o.Logprobs == 0:
		return ending(g.o.Sampler.reach(g.s.m.net.vocab))
	case g.chooser != nil || g.o.Stats.NewTokens == 0:
		return allLogits
	}
	return likeliest
}

// choose takes the next token from what advance has read.
func (g *generation) choose() (t Token, err error) {
	s, end := g.s, g.ending()
	switch {
	case end == likeliest:
		t.ID = s.chosen
		return t, nil
	case end > 0 && g.o.Constraint != nil:
		t.ID, err = g.chooser.chooseAllowed(g.o.Constraint, s.values[:end], s.which[:end], s.tokens, func() ([]float32, error) {
			return s.logits, s.fetch(allLogits)
		})
		return t, err
	case end > 0:
		t.ID, err = g.chooser.chooseFrom(s.values[:end], s.which[:end], s.tokens)
		return t, err
	case g.chooser == nil:
		t.ID, err = likeliestOf(s.logits)
		return t, err
	case g.o.Logprobs == 0:
		t.ID, err = g.take(s.logits)
		return t, err
	}
	sum := logSumExp(s.logits)
	t.Top = g.chooser.top(s.logits, g.o.Logprobs, sum)
	for i := range t.Top {
		t.Top[i].Text = s.text(t.Top[i].ID)
	}
	raw := slices.Clone(s.logits) // choose changes them
	t.ID, err = g.take(s.logits)
	t.Logprob = float32(float64(raw[t.ID]) - sum)
	return t, err
}

// take chooses from all logits, which change.
func (g *generation) take(logits []float32) (int32, error) {
	if g.o.Constraint == nil {
		return g.chooser.choose(logits, g.s.tokens)
	}
	return g.chooser.chooseAllowed(g.o.Constraint, nil, nil, g.s.tokens, func() ([]float32, error) { return logits, nil })
}

// deliver counts t, sets its text and says whether it is the last one.
func (g *generation) deliver(t *Token) (done bool) {
	o, stats := &g.o, g.o.Stats
	stats.NewTokens++
	t.Text, done = g.text.push(g.s.m.tokenizer.Piece(t.ID))
	if done {
		return true
	}
	if o.Constraint != nil && o.Constraint.Done() {
		stats.StopReason = "eog"
		t.Text += g.text.flush()
		return true
	}
	full := o.MaxTokens <= 0 && len(g.s.tokens) == g.s.m.net.context
	if full || stats.NewTokens == o.MaxTokens {
		stats.StopReason = "length"
		t.Text += g.text.flush()
		return true
	}
	return false
}
