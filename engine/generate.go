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

	// Visible are control tokens that are written as their text instead of
	// nothing: those that open a tool call, say. One that ends the generation
	// still ends it.
	Visible []int32

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
		g := newGeneration(s.m, s.m.net.context, o)
		err := g.run(ctx, s, prompt, yield)
		if g.left {
			return
		}
		if rest := g.end(ctx, err); rest != "" && !yield(Token{ID: -1, Text: rest}, nil) {
			return
		}
		if err != nil {
			yield(Token{}, err)
		}
	}
}

// A generation is one call of Generate: what is done with the results of a
// text's steps, wherever they come from.
type generation struct {
	m       *Model
	context int // tokens that the text may have
	o       GenerateOptions
	chooser *chooser // nil: the device takes the likeliest
	text    pieces
	start   time.Time
	left    bool // the caller broke off
}

// results are what a step has left for the choice of a token. Which of them
// are there is what ending says.
type results struct {
	logits []float32 // of all tokens; choosing changes them
	chosen int32     // the likeliest token
	values []float32 // logits of the likeliest tokens, best first
	which  []int32   // these tokens

	readLogits func() error // fills logits, where ending did not ask for them
}

func newGeneration(m *Model, context int, o GenerateOptions) *generation {
	if o.Stats == nil {
		o.Stats = new(Stats)
	}
	*o.Stats = Stats{StopReason: "stop"} // also when the caller breaks off
	return &generation{m: m, context: context, o: o, text: pieces{stops: o.Stop}, start: time.Now()}
}

func (g *generation) run(ctx context.Context, s *Session, prompt []int32, yield func(Token, error) bool) error {
	stats := g.o.Stats
	if err := g.prepare(); err != nil {
		return err
	}
	missing := len(s.tokens) - s.cached
	if err := g.advance(ctx, s, prompt); err != nil {
		return err
	}
	stats.PromptTokens, stats.PromptTime, stats.WaitTime = missing+len(prompt), time.Since(g.start), 0
	for {
		begin := time.Now()
		t, more, err := g.next(&s.results, s.tokens)
		if err != nil || t.ID < 0 {
			return err
		}
		s.tokens = append(s.tokens, t.ID)
		stats.DecodeTime += time.Since(begin)
		if stats.NewTokens == 1 {
			stats.FirstToken, stats.DecodeTime = time.Since(g.start), 0
		}
		if g.left = !yield(t, nil); g.left || !more {
			return nil
		}
		if len(s.tokens) == g.context {
			continue
		}
		begin = time.Now()
		if err := g.advance(ctx, s, nil); err != nil {
			return err
		}
		stats.DecodeTime += time.Since(begin)
	}
}

// prepare checks the options.
func (g *generation) prepare() (err error) {
	o, vocab := &g.o, g.m.net.vocab
	if slices.Contains(o.Stop, "") {
		return fmt.Errorf("engine: generate: a stop text is empty")
	}
	if o.Constraint != nil && o.IgnoreEOG {
		return fmt.Errorf("engine: generate: a constraint says where the text ends; leave IgnoreEOG out")
	}
	if o.Logprobs < 0 || o.Logprobs > vocab {
		return fmt.Errorf("engine: generate: %d alternatives: want 0 to %d", o.Logprobs, vocab)
	}
	if err := o.Sampler.Check(vocab); err != nil {
		return err
	}
	if o.Logprobs > 0 || o.Constraint != nil || !o.Sampler.plain() {
		g.chooser = newChooser(o.Sampler)
	}
	return nil
}

func (g *generation) advance(ctx context.Context, s *Session, ids []int32) error {
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
		return ending(g.o.Sampler.reach(g.m.net.vocab))
	case g.chooser != nil || g.o.Stats.NewTokens == 0:
		return allLogits
	}
	return likeliest
}

// next takes the token that follows text, and counts it. Without more it is
// the last one; a token -1 is none: the text has ended before it.
func (g *generation) next(r *results, text []int32) (t Token, more bool, err error) {
	if len(text) == g.context {
		return t, false, &ContextError{Position: len(text), New: 1, Context: g.context}
	}
	if t, err = g.choose(r, text); err != nil {
		return Token{}, false, err
	}
	if !g.o.IgnoreEOG && g.m.tokenizer.IsEOG(t.ID) {
		g.o.Stats.StopReason = "eog"
		return Token{ID: -1}, false, nil
	}
	if c := g.o.Constraint; c != nil {
		if err := c.Accept(t.ID); err != nil {
			return Token{}, false, fmt.Errorf("engine: generate: %w", err)
		}
	}
	done := g.deliver(&t, len(text)+1)
	return t, !done, nil
}

// choose takes the next token from what the ending has left.
func (g *generation) choose(r *results, text []int32) (t Token, err error) {
	end := g.ending()
	switch {
	case end == likeliest:
		t.ID = r.chosen
		return t, nil
	case end > 0 && g.o.Constraint != nil:
		t.ID, err = g.chooser.chooseAllowed(g.o.Constraint, r.values[:end], r.which[:end], text, func() ([]float32, error) {
			return r.logits, r.readLogits()
		})
		return t, err
	case end > 0:
		t.ID, err = g.chooser.chooseFrom(r.values[:end], r.which[:end], text)
		return t, err
	case g.chooser == nil:
		t.ID, err = likeliestOf(r.logits)
		return t, err
	case g.o.Logprobs == 0:
		t.ID, err = g.take(r.logits, text)
		return t, err
	}
	sum := logSumExp(r.logits)
	t.Top = g.chooser.top(r.logits, g.o.Logprobs, sum)
	for i := range t.Top {
		t.Top[i].Text = g.m.text(t.Top[i].ID)
	}
	raw := slices.Clone(r.logits) // choose changes them
	t.ID, err = g.take(r.logits, text)
	t.Logprob = float32(float64(raw[t.ID]) - sum)
	return t, err
}

// take chooses from all logits, which change.
func (g *generation) take(logits []float32, text []int32) (int32, error) {
	if g.o.Constraint == nil {
		return g.chooser.choose(logits, text)
	}
	return g.chooser.chooseAllowed(g.o.Constraint, nil, nil, text, func() ([]float32, error) { return logits, nil })
}

// deliver counts t, which makes the text so long, sets its text and says
// whether it is the last one.
func (g *generation) deliver(t *Token, length int) (done bool) {
	o, stats := &g.o, g.o.Stats
	stats.NewTokens++
	piece := g.m.tokenizer.Piece(t.ID)
	if slices.Contains(o.Visible, t.ID) {
		piece = []byte(g.m.tokenizer.Text(t.ID))
	}
	t.Text, done = g.text.push(piece)
	if done {
		return true
	}
	if o.Constraint != nil && o.Constraint.Done() {
		stats.StopReason = "eog"
		t.Text += g.text.flush()
		return true
	}
	full := o.MaxTokens <= 0 && length == g.context
	if full || stats.NewTokens == o.MaxTokens {
		stats.StopReason = "length"
		t.Text += g.text.flush()
		return true
	}
	return false
}

// end completes the stats of a generation that ended with err, and returns the
// text that was held back.
func (g *generation) end(ctx context.Context, err error) (rest string) {
	if err != nil {
		g.o.Stats.StopReason = "error"
		if ctx.Err() != nil {
			g.o.Stats.StopReason = "cancelled"
		}
	}
	return g.text.flush()
}
