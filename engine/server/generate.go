package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/openai"
)

// errNoModel refuses what a server of embeddings alone cannot do.
func (s *Server) errNoModel() error {
	return openai.Invalid("model", openai.CodeUnsupported, "%s makes embeddings only; load a model that writes text.", s.o.Name)
}

// known says whether a request means the model that is served. One that names
// none does.
func (s *Server) known(model string) error {
	if model == "" || model == s.o.Name {
		return nil
	}
	for _, a := range s.o.Aliases {
		if model == a {
			return nil
		}
	}
	return &openai.Error{Status: 404, Type: openai.InvalidRequest, Param: "model", Code: openai.CodeModelNotFound,
		Message: fmt.Sprintf("The model '%.200s' does not exist here; this server has '%s'.", model, s.o.Name)}
}

// sampler is what a request asks for, and the server's own where it says
// nothing. Each choice has its own seed, so that they differ.
func (s *Server) sampler(q *openai.Sampling, seed uint64, choice int) (engine.Sampler, error) {
	p := *s.o.Sampler
	set := func(to *float32, from *float64) {
		if from != nil {
			*to = float32(*from)
		}
	}
	set(&p.Temperature, q.Temperature)
	set(&p.TopP, q.TopP)
	set(&p.MinP, q.MinP)
	set(&p.FrequencyPenalty, q.FrequencyPenalty)
	set(&p.PresencePenalty, q.PresencePenalty)
	set(&p.RepeatPenalty, q.RepeatPenalty)
	set(&p.RepeatPenalty, q.RepetitionPenalty)
	if q.TopK != nil {
		p.TopK = max(*q.TopK, 0)
	}
	if p.TopP == 0 { // the engine's 0 is off; the API's leaves the likeliest alone
		p.TopK = 1
	}
	p.Seed = seed + uint64(choice)
	var err error
	if p.Bias, err = q.Bias(); err != nil {
		return p, err
	}
	if err := p.Check(s.o.Model.Info().Vocab); err != nil {
		param := ""
		if len(p.Bias) > 0 {
			param = "logit_bias"
		}
		return p, openai.Invalid(param, "invalid_value", "%v", err)
	}
	return p, nil
}

func seedOf(q *openai.Sampling) uint64 {
	if q.Seed == nil {
		return engine.RandomSeed()
	}
	return uint64(*q.Seed)
}

// encode makes tokens of a text, whose control tokens count where special says
// so. It does not begin with what cannot fit.
func (s *Server) encode(param, text string, special bool) ([]int32, error) {
	if err := s.fits(param, len(text)); err != nil {
		return nil, err
	}
	t := s.o.Model.Tokenizer()
	ids := t.Encode(text, tokenizer.Options{Special: special, NoEOS: true})
	if bos, ok := t.BOS(); ok && len(ids) > 1 && ids[0] == bos && ids[1] == bos && t.AddsBOS() {
		ids = ids[1:] // the text had it already
	}
	return ids, nil
}

// fits refuses a text of so many bytes, whatever its tokens are.
func (s *Server) fits(param string, bytes int) error {
	if n := bytes / s.longest; n > s.o.Model.Info().Context {
		return s.tooLong(param, n, true)
	}
	return nil
}

// beginning is the prompt of a document that has nothing yet: what begins one,
// or else what ended the one before.
func (s *Server) beginning() []int32 {
	t := s.o.Model.Tokenizer()
	if bos, ok := t.BOS(); ok {
		return []int32{bos}
	}
	if eos, ok := t.EOS(); ok {
		return []int32{eos}
	}
	return nil
}

// stops are the texts that can end something: empty ones cannot.
func stops(texts []string) (some []string) {
	for _, t := range texts {
		if t != "" {
			some = append(some, t)
		}
	}
	return some
}

func (s *Server) tooLong(param string, tokens int, atLeast bool) error {
	about := ""
	if atLeast {
		about = "at least "
	}
	return openai.Invalid(param, openai.CodeContextLength,
		"This model's maximum context length is %d tokens. However, your %s resulted in %s%d tokens. Please reduce the length of the %s.",
		s.o.Model.Info().Context, param, about, tokens, param)
}

// room checks the tokens of a prompt, and returns how many new ones there are
// to be: limit, 0 being as many as the context holds.
func (s *Server) room(param string, ids []int32, limit int) (int, error) {
	info := s.o.Model.Info()
	if len(ids) == 0 {
		return 0, openai.Invalid(param, "invalid_value", "'%s' has no tokens.", param)
	}
	for _, id := range ids {
		if id < 0 || int(id) >= info.Vocab {
			return 0, openai.Invalid(param, "invalid_value", "Token %d: the vocabulary has 0 to %d.", id, info.Vocab-1)
		}
	}
	room := info.Context - len(ids)
	if room < 1 {
		return 0, s.tooLong(param, len(ids), false)
	}
	if limit <= 0 || limit > room {
		limit = room
	}
	return limit, nil
}

// A result is how a text ended.
type result struct {
	finish string
	stats  engine.Stats
	prompt int // tokens
}

// generate runs one text when its turn has come, and gives its tokens to push,
// which says whether more are wanted.
func (s *Server) generate(ctx context.Context, prompt []int32, o engine.GenerateOptions, push func(engine.Token) bool) (result, error) {
	res := result{prompt: len(prompt)}
	o.Stats = &res.stats
	came := time.Now()
	err := s.queue.run(ctx, func() error {
		waited := time.Since(came)
		defer func() { s.metrics.text(len(prompt), &res.stats, waited) }()
		for t, err := range s.o.Generator.Generate(ctx, prompt, o) {
			if err != nil {
				return err
			}
			if t.ID >= 0 {
				s.metrics.token()
			}
			if !push(t) {
				return nil
			}
		}
		return nil
	})
	full := errors.Is(err, engine.ErrContextFull) && res.stats.NewTokens > 0
	if err != nil && !full {
		return res, err
	}
	if res.finish = openai.FinishStop; full || res.stats.StopReason == "length" {
		res.finish = openai.FinishLength
	}
	return res, nil
}

// all runs f for 0 to n-1, as many side by side as a request may have in the
// queue. The first error cancels the others.
func (s *Server) all(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.halted, func() { cancel(s.halted.Err()) })()
	var wait sync.WaitGroup
	var next atomic.Int64
	for range s.queue.share(n) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := s.safely(func() error { return f(ctx, i) }); err != nil {
					cancel(err)
				}
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// safely takes a panic for an error: other requests go on.
func (s *Server) safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.o.Log.Error("panic", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("server: panic: %v", p)
		}
	}()
	return f()
}

// usage sums the texts of a request. Choices of one prompt count it once.
func usage(prompts []int, results []result) *openai.Usage {
	u := &openai.Usage{PromptDetails: &openai.PromptDetails{}, CompletionDetail: &openai.CompletionDetail{}}
	per := len(results) / len(prompts)
	for p, n := range prompts {
		u.PromptTokens += n
		cached := n
		for _, r := range results[p*per : (p+1)*per] {
			u.CompletionTokens += r.stats.NewTokens
			cached = min(cached, max(n-r.stats.PromptTokens, 0))
		}
		u.PromptDetails.CachedTokens += cached
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// spelling holds the tokens back whose text is held back, as it may be the
// beginning of a stop text, and drops those of the stop text.
type spelling struct {
	server  *Server
	top     int // alternatives to show
	pending []spelled
	read    int // bytes of all tokens
	out     int // bytes of the text
}

// A spelled token is one with the place where it begins.
type spelled struct {
	openai.TokenLogprob
	start int // in bytes
}

// push takes a token in and returns those whose text is out.
func (p *spelling) push(t engine.Token) (out []spelled) {
	if p == nil {
		return nil
	}
	p.out += len(t.Text)
	if t.ID >= 0 {
		e := spelled{TokenLogprob: openai.TokenLogprob{Logprob: p.logprob(t.ID, t.Logprob), Top: []openai.Logprob{}}, start: p.read}
		for _, c := range t.Top[:min(p.top, len(t.Top))] {
			e.Top = append(e.Top, p.logprob(c.ID, c.Logprob))
		}
		p.pending = append(p.pending, e)
		p.read += len(e.Bytes)
	}
	n := 0
	for n < len(p.pending) && p.pending[n].start < p.out {
		n++
	}
	out, p.pending = p.pending[:n:n], p.pending[n:]
	return out
}

// end returns the tokens without a text at the end, unless a stop text has cut
// them off.
func (p *spelling) end(r result) []spelled {
	if p == nil || r.stats.StopReason == "stop" {
		return nil
	}
	return p.pending
}

func (p *spelling) logprob(id int32, v float32) openai.Logprob {
	piece := p.server.o.Model.Tokenizer().Piece(id)
	l := openai.Logprob{Token: valid(piece), Logprob: float64(v), Bytes: make([]int, len(piece))}
	for i, b := range piece {
		l.Bytes[i] = int(b)
	}
	return l
}

// valid is text of bytes that may be a part of a character.
func valid(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]rune, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		out, b = append(out, r), b[n:]
	}
	return string(out)
}
