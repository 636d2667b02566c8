package server

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/openai"
)

// A completion is one POST /v1/completions.
type completion struct {
	server  *Server
	q       openai.CompletionRequest
	head    openai.CompletionResponse // of the answer, or of each event
	prompts [][]int32
	lengths []int // of prompts
	n       int   // choices of a prompt
	options []engine.GenerateOptions
}

func (s *Server) completions(w *response, r *http.Request) error {
	c := &completion{server: s, n: 1}
	if err := s.read(w, r, &c.q, c.prepare); err != nil {
		return err
	}
	texts := len(c.options)
	if err := s.queue.enter(texts); err != nil {
		return err
	}
	defer s.queue.leave(texts)
	if c.q.Stream {
		st, ctx := s.newStream(w, r)
		return st.run(ctx, func() error { return c.stream(ctx, st) })
	}
	return c.whole(w, r)
}

// prepare checks the request and encodes its prompts.
func (c *completion) prepare() error {
	s, q := c.server, &c.q
	if s.o.Model == nil {
		return s.errNoModel()
	}
	if err := q.Check(); err != nil {
		return err
	}
	if err := s.known(q.Model); err != nil {
		return err
	}
	if q.N != nil {
		c.n = *q.N
	}
	if q.Prompt.Null {
		q.Prompt.Texts = []string{""}
	}
	switch {
	case q.Suffix != "":
		return openai.Invalid("suffix", openai.CodeUnsupported, "'suffix' is not supported: the model only continues a text.")
	case q.BestOf != nil && *q.BestOf != c.n:
		return openai.Invalid("best_of", openai.CodeUnsupported, "'best_of' is not supported unless it equals 'n' (%d).", c.n)
	case q.Echo && q.Logprobs != nil:
		return openai.Invalid("echo", openai.CodeUnsupported, "'echo' is not supported together with 'logprobs': those of a prompt are not kept.")
	}
	if err := checkTexts("prompt", q.Prompt.Len(), c.n); err != nil {
		return err
	}
	c.prompts = q.Prompt.Tokens
	for _, text := range q.Prompt.Texts {
		ids, err := s.encode("prompt", text, true)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			ids = s.beginning()
		}
		c.prompts = append(c.prompts, ids)
	}
	c.head = openai.CompletionResponse{ID: newID("cmpl-"), Object: "text_completion", Created: time.Now().Unix(), Model: s.o.Name}
	return c.choose()
}

// choose makes the options of each text: n of the first prompt, n of the next.
func (c *completion) choose() error {
	s, q := c.server, &c.q
	limit := 16 // the API's
	if q.MaxTokens != nil {
		limit = *q.MaxTokens
	}
	g, err := s.grammar(q.ResponseFormat, q.Grammar, q.IgnoreEOS)
	if err != nil {
		return err
	}
	seed := seedOf(&q.Sampling)
	for _, ids := range c.prompts {
		c.lengths = append(c.lengths, len(ids))
		most, err := s.room("prompt", ids, limit)
		if err != nil {
			return err
		}
		for k := range c.n {
			o := engine.GenerateOptions{MaxTokens: most, Stop: stops(q.Stop), IgnoreEOG: q.IgnoreEOS}
			if q.Logprobs != nil {
				o.Logprobs = max(*q.Logprobs, 1)
			}
			if o.Sampler, err = s.sampler(&q.Sampling, seed, k); err != nil {
				return err
			}
			o.Constraint = s.bind(g, nil)
			c.options = append(c.options, o)
		}
	}
	return nil
}

// run generates text i and gives what is new to emit.
func (c *completion) run(ctx context.Context, i int, emit func(text string, tokens []spelled)) (result, error) {
	ids, o := c.prompts[i/c.n], c.options[i]
	if c.q.Echo {
		emit(c.server.o.Model.Tokenizer().Decode(ids), nil)
	}
	if c.q.MaxTokens != nil && *c.q.MaxTokens == 0 {
		return result{finish: openai.FinishLength, prompt: len(ids), stats: engine.Stats{PromptTokens: len(ids)}}, nil
	}
	var sp *spelling
	if c.q.Logprobs != nil {
		sp = &spelling{server: c.server, top: *c.q.Logprobs}
	}
	res, err := c.server.generate(ctx, ids, o, func(t engine.Token) bool {
		if tokens := sp.push(t); t.Text != "" || len(tokens) > 0 {
			emit(t.Text, tokens)
		}
		return true
	})
	if tokens := sp.end(res); err == nil && len(tokens) > 0 {
		emit("", tokens)
	}
	return res, err
}

// whole answers when all texts are there.
func (c *completion) whole(w *response, r *http.Request) error {
	n := len(c.options)
	c.head.Choices = make([]openai.CompletionChoice, n)
	results := make([]result, n)
	err := c.server.all(r.Context(), n, func(ctx context.Context, i int) error {
		var text strings.Builder
		choice := &c.head.Choices[i]
		choice.Index = i
		log := c.newLog()
		res, err := c.run(ctx, i, func(more string, tokens []spelled) {
			text.WriteString(more)
			log.add(tokens)
		})
		choice.Text, choice.FinishReason, choice.Logprobs, results[i] = text.String(), &res.finish, log.entries, res
		return err
	})
	if err != nil {
		return err
	}
	c.head.Usage = usage(c.lengths, results)
	return w.json(http.StatusOK, c.head)
}

// stream sends each piece as it comes.
func (c *completion) stream(ctx context.Context, st *stream) error {
	n := len(c.options)
	results := make([]result, n)
	send := func(choice openai.CompletionChoice) {
		e := c.head
		e.Choices = []openai.CompletionChoice{choice}
		st.send("", e)
	}
	err := c.server.all(ctx, n, func(ctx context.Context, i int) error {
		log := c.newLog()
		res, err := c.run(ctx, i, func(text string, tokens []spelled) {
			log.add(tokens)
			send(openai.CompletionChoice{Index: i, Text: text, Logprobs: log.take()})
		})
		if err != nil {
			return err
		}
		results[i] = res
		send(openai.CompletionChoice{Index: i, FinishReason: &res.finish})
		return nil
	})
	if err == nil && c.q.StreamOptions != nil && c.q.StreamOptions.IncludeUsage {
		e := c.head
		e.Choices, e.Usage = []openai.CompletionChoice{}, usage(c.lengths, results)
		st.send("", e)
	}
	return err
}

// A completionLog has tokens in the older form of this route.
type completionLog struct {
	entries *openai.CompletionLogprobs // nil: not asked for
	offset  int                        // characters of all tokens so far
}

func (c *completion) newLog() *completionLog {
	if c.q.Logprobs == nil {
		return &completionLog{}
	}
	return &completionLog{entries: noEntries()}
}

func noEntries() *openai.CompletionLogprobs {
	return &openai.CompletionLogprobs{Tokens: []string{}, TokenLogprobs: []float64{}, TopLogprobs: []map[string]float64{}, TextOffset: []int{}}
}

func (l *completionLog) add(tokens []spelled) {
	if l.entries == nil {
		return
	}
	for _, t := range tokens {
		top := map[string]float64{}
		for _, c := range t.Top {
			top[c.Token] = c.Logprob
		}
		e := l.entries
		e.Tokens = append(e.Tokens, t.Token)
		e.TokenLogprobs = append(e.TokenLogprobs, t.TokenLogprob.Logprob.Logprob)
		e.TopLogprobs = append(e.TopLogprobs, top)
		e.TextOffset = append(e.TextOffset, l.offset)
		for _, b := range t.Bytes {
			if utf8.RuneStart(byte(b)) {
				l.offset++
			}
		}
	}
}

// take returns the entries and begins anew.
func (l *completionLog) take() *openai.CompletionLogprobs {
	if l.entries == nil {
		return nil
	}
	e := l.entries
	l.entries = noEntries()
	return e
}
