package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/internal/openai"
)

// A conversation is one POST /v1/chat/completions, or /v1/responses as such.
type conversation struct {
	server  *Server
	q       *openai.ChatRequest
	head    openai.ChatChunk // of each event
	prompt  *chat.Prompt
	tools   []chat.Tool              // that may be called
	options []engine.GenerateOptions // one a choice
	strict  bool                     // one of tools is
	format  *grammar.Grammar         // of the content; nil: any
	grammar *grammar.Grammar         // of the whole answer; nil: any
}

func (s *Server) chatCompletions(w *response, r *http.Request) error {
	q := &openai.ChatRequest{}
	var c *conversation
	err := s.read(w, r, q, func() (err error) {
		if s.o.Model == nil {
			return s.errNoModel()
		}
		if err = q.Check(); err == nil {
			c, err = s.converse(q)
		}
		return err
	})
	if err != nil {
		return err
	}
	texts := len(c.options)
	if err := s.queue.enter(texts); err != nil {
		return err
	}
	defer s.queue.leave(texts)
	if q.Stream {
		st, ctx := s.newStream(w, r)
		return st.run(ctx, func() error { return c.stream(ctx, st) })
	}
	return c.whole(w, r)
}

// converse makes the prompt and the options of a request that has passed its
// Check.
func (s *Server) converse(q *openai.ChatRequest) (*conversation, error) {
	if err := s.known(q.Model); err != nil {
		return nil, err
	}
	c := &conversation{server: s, q: q}
	c.head = openai.ChatChunk{ID: newID("chatcmpl-"), Object: "chat.completion.chunk", Created: time.Now().Unix(), Model: s.o.Name}
	if err := c.bound(); err != nil {
		return nil, err
	}
	if err := c.render(); err != nil {
		return nil, err
	}
	if err := c.constrain(); err != nil {
		return nil, err
	}
	most, err := s.room("messages", c.prompt.IDs, q.Limit())
	if err != nil {
		return nil, err
	}
	n := 1
	if q.N != nil {
		n = *q.N
	}
	seed := seedOf(&q.Sampling)
	for i := range n {
		o := engine.GenerateOptions{MaxTokens: most, Stop: stops(q.Stop), IgnoreEOG: q.IgnoreEOS, Visible: s.template.Visible()}
		if q.Logprobs {
			o.Logprobs = 1
			if q.TopLogprobs != nil {
				o.Logprobs = max(*q.TopLogprobs, 1)
			}
		}
		if o.Sampler, err = s.sampler(&q.Sampling, seed, i); err != nil {
			return nil, err
		}
		o.Constraint = s.bind(c.grammar, o.Visible)
		c.options = append(c.options, o)
	}
	return c, nil
}

// render makes the prompt.
func (c *conversation) render() error {
	s, q := c.server, c.q
	size := 0
	messages := make([]chat.Message, len(q.Messages))
	for i := range q.Messages {
		messages[i] = message(&q.Messages[i])
		size += len(messages[i].Content)
	}
	window := s.o.Model.Info().Context
	if len(messages) > window { // each has a token at least, with any template
		return s.tooLong("messages", len(messages), true)
	}
	if err := s.fits("messages", size); err != nil {
		return err
	}
	o := chat.Options{AddGenerationPrompt: true, Variables: q.ChatTemplateKwargs, MaxBytes: (window + 1) * s.longest}
	switch q.ReasoningEffort {
	case "":
	case "none":
		o.EnableThinking = new(bool)
	default:
		effort, err := json.Marshal(q.ReasoningEffort)
		if err != nil {
			return err
		}
		vars := map[string]json.RawMessage{"reasoning_effort": effort}
		for name, v := range q.ChatTemplateKwargs {
			vars[name] = v
		}
		o.Variables = vars
	}
	var err error
	c.prompt, err = s.template.Prompt(messages, c.tools, o)
	if long := (*chat.TooLongError)(nil); errors.As(err, &long) {
		return s.tooLong("messages", long.Bytes/s.longest, true)
	}
	if err != nil {
		return templateError(err)
	}
	return nil
}

func message(m *openai.Message) chat.Message {
	out := chat.Message{Role: m.Role, Content: m.Text(), ToolCallID: m.ToolCallID, Name: m.Name, Reasoning: m.ReasoningContent}
	if out.Reasoning == "" {
		out.Reasoning = m.Reasoning
	}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, chat.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	return out
}

// A turn is one answer on its way.
type turn struct {
	result
	calls     int
	reasoning int // tokens, as far as events tell
}

// run generates choice i and gives what is new to emit.
func (c *conversation) run(ctx context.Context, i int, emit func(events []chat.Event, tokens []spelled)) (turn, error) {
	var t turn
	var sp *spelling
	if c.q.Logprobs {
		sp = &spelling{server: c.server}
		if c.q.TopLogprobs != nil {
			sp.top = *c.q.TopLogprobs
		}
	}
	parser := c.server.template.NewParser(c.prompt.Text, c.tools)
	one := c.q.ParallelToolCalls != nil && !*c.q.ParallelToolCalls
	called := false // the one call that was asked for is whole
	take := func(events []chat.Event, tokens []spelled) {
		kept := events[:0:0]
		for _, e := range events {
			if called {
				break
			}
			if e.Kind == chat.CallStart {
				t.calls++
			}
			called = one && e.Kind == chat.CallEnd
			kept = append(kept, e)
		}
		if len(kept) > 0 || len(tokens) > 0 {
			emit(kept, tokens)
		}
	}
	var err error
	t.result, err = c.server.generate(ctx, c.prompt.IDs, c.options[i], func(tok engine.Token) bool {
		events := parser.Push(tok.Text)
		for _, e := range events {
			if e.Kind == chat.ReasoningDelta {
				t.reasoning++
				break
			}
		}
		take(events, sp.push(tok))
		return !called
	})
	if err != nil {
		return t, err
	}
	take(parser.Close(), sp.end(t.result))
	if t.calls > 0 && t.finish == openai.FinishStop {
		t.finish = openai.FinishToolCalls
	}
	return t, nil
}

func (c *conversation) usage(turns []turn) *openai.Usage {
	results := make([]result, len(turns))
	reasoning := 0
	for i, t := range turns {
		results[i] = t.result
		reasoning += t.reasoning
	}
	u := usage([]int{len(c.prompt.IDs)}, results)
	u.CompletionDetail.ReasoningTokens = reasoning
	return u
}

// whole answers when all choices are there.
func (c *conversation) whole(w *response, r *http.Request) error {
	n := len(c.options)
	turns := make([]turn, n)
	choices := make([]openai.ChatChoice, n)
	err := c.server.all(r.Context(), n, func(ctx context.Context, i int) error {
		var all chat.Collector
		var log *openai.ChatLogprobs
		if c.q.Logprobs {
			log = &openai.ChatLogprobs{Content: []openai.TokenLogprob{}}
		}
		t, err := c.run(ctx, i, func(events []chat.Event, tokens []spelled) {
			for _, e := range events {
				all.Add(e)
			}
			for _, tok := range tokens {
				log.Content = append(log.Content, tok.TokenLogprob)
			}
		})
		turns[i] = t
		choices[i] = openai.ChatChoice{Index: i, Message: answer(&all.Message), Logprobs: log, FinishReason: t.finish}
		return err
	})
	if err != nil {
		return err
	}
	return w.json(http.StatusOK, openai.ChatResponse{ID: c.head.ID, Object: "chat.completion", Created: c.head.Created, Model: c.head.Model,
		Choices: choices, Usage: c.usage(turns)})
}

// answer is a message as the API writes it.
func answer(m *chat.Message) openai.Message {
	out := openai.Message{Role: "assistant", ReasoningContent: m.Reasoning}
	if m.Content != "" || len(m.ToolCalls) == 0 {
		out.Content = openai.Text(m.Content)
	}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, openai.ToolCall{ID: c.ID, Type: "function", Function: openai.FunctionCall{Name: c.Name, Arguments: c.Arguments}})
	}
	return out
}

// stream sends each piece as it comes.
func (c *conversation) stream(ctx context.Context, st *stream) error {
	turns := make([]turn, len(c.options))
	send := func(choice openai.ChunkChoice) {
		e := c.head
		e.Choices = []openai.ChunkChoice{choice}
		st.send("", e)
	}
	err := c.server.all(ctx, len(turns), func(ctx context.Context, i int) error {
		begun := false
		begin := func() {
			if !begun {
				send(openai.ChunkChoice{Index: i, Delta: openai.Delta{Role: "assistant", Content: new(string)}})
			}
			begun = true
		}
		t, err := c.run(ctx, i, func(events []chat.Event, tokens []spelled) {
			delta, any := deltaOf(events)
			if !any && len(tokens) == 0 {
				return
			}
			begin()
			choice := openai.ChunkChoice{Index: i, Delta: delta}
			if len(tokens) > 0 {
				choice.Logprobs = &openai.ChatLogprobs{}
				for _, tok := range tokens {
					choice.Logprobs.Content = append(choice.Logprobs.Content, tok.TokenLogprob)
				}
			}
			send(choice)
		})
		if err != nil {
			return err
		}
		begin()
		turns[i] = t
		send(openai.ChunkChoice{Index: i, FinishReason: &t.finish})
		return nil
	})
	if err == nil && c.q.StreamOptions != nil && c.q.StreamOptions.IncludeUsage {
		e := c.head
		e.Choices, e.Usage = []openai.ChunkChoice{}, c.usage(turns)
		st.send("", e)
	}
	return err
}

// deltaOf is what events add to a message, if they do.
func deltaOf(events []chat.Event) (d openai.Delta, any bool) {
	content := ""
	for _, e := range events {
		switch e.Kind {
		case chat.ReasoningDelta:
			d.ReasoningContent += e.Text
		case chat.ContentDelta:
			content += e.Text
		case chat.CallStart:
			d.ToolCalls = append(d.ToolCalls, openai.ToolCall{Index: new(e.Call), ID: e.Tool.ID, Type: "function", Function: openai.FunctionCall{Name: e.Tool.Name}})
		case chat.CallArguments:
			if n := len(d.ToolCalls); n > 0 && *d.ToolCalls[n-1].Index == e.Call {
				d.ToolCalls[n-1].Function.Arguments += e.Text
				continue
			}
			d.ToolCalls = append(d.ToolCalls, openai.ToolCall{Index: new(e.Call), Function: openai.FunctionCall{Arguments: e.Text}})
		}
	}
	if content != "" {
		d.Content = &content
	}
	return d, content != "" || d.ReasoningContent != "" || len(d.ToolCalls) > 0
}
