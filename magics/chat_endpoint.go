package magics

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/remote"
)

// An endpointTalk answers a cell of %chat with an endpoint. The server has the
// template, and tells calls and reasoning apart.
type endpointTalk struct {
	e *endpoint
	c *Call
	r remote.Request
	s remote.Stats
}

func (e *endpoint) answerer(c *Call) (answerer, error) {
	r, err := endpointRequest(c.Flags, e.model)
	if err != nil {
		return nil, c.usage("%v", err)
	}
	return &endpointTalk{e: e, c: c, r: r}, nil
}

// Answer asks the server.
func (t *endpointTalk) Answer(ctx context.Context, r chat.Request) iter.Seq2[chat.Event, error] {
	return func(yield func(chat.Event, error) bool) {
		q := t.r
		var err error
		if q.Messages, err = json.Marshal(withoutThoughts(r.Messages)); err != nil {
			yield(chat.Event{}, err)
			return
		}
		q.Stop = r.Generate.Stop
		if len(r.Tools) > 0 {
			q.Fields["tools"] = r.Tools
		}
		if r.Options.EnableThinking != nil {
			// vLLM, SGLang, llama.cpp and llcuda pass it on to the template.
			q.Fields["chat_template_kwargs"] = map[string]bool{"enable_thinking": *r.Options.EnableThinking}
		}
		defer t.e.watch(t.c.Display)()
		defer func() { r.Stats.StopReason = t.s.StopReason }()
		var calls remoteCalls
		for p, err := range t.e.pool.Generate(ctx, q, &t.s) {
			if err != nil {
				yield(chat.Event{}, err)
				return
			}
			for _, e := range calls.events(p) {
				if !yield(e, nil) {
					return
				}
			}
		}
		for _, e := range calls.end() {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// withoutThoughts drops the reasoning of former turns: templates leave it out,
// and some servers refuse it. What led to tool calls of this turn stays.
func withoutThoughts(messages []chat.Message) []chat.Message {
	messages = slices.Clone(messages)
	turn := false
	for i, m := range slices.Backward(messages) {
		if turn {
			messages[i].Reasoning = ""
		}
		turn = turn || m.Role == chat.User
	}
	return messages
}

// counted tells the figures of the answer.
func (t *endpointTalk) counted(q *inference) { q.counted(&t.s, len(t.e.pool.Clients()) > 1) }

// remoteCalls puts the parts of tool calls together.
type remoteCalls struct{ all []chat.ToolCall }

// events are what a piece says. Calls come out at the end, when they are whole.
func (c *remoteCalls) events(p remote.Piece) (events []chat.Event) {
	if p.Reasoning != "" {
		events = append(events, chat.Event{Kind: chat.ReasoningDelta, Text: p.Reasoning, Raw: p.Reasoning})
	}
	if p.Text != "" {
		events = append(events, chat.Event{Kind: chat.ContentDelta, Text: p.Text, Raw: p.Text})
	}
	for _, part := range p.ToolCalls {
		i := *part.Index // the client sets it
		for i >= len(c.all) && len(c.all) < 128 {
			c.all = append(c.all, chat.ToolCall{})
		}
		if i < 0 || i >= len(c.all) {
			continue
		}
		t := &c.all[i]
		if part.ID != "" {
			t.ID = part.ID
		}
		t.Name += part.Function.Name
		t.Arguments += part.Function.Arguments
	}
	return events
}

func (c *remoteCalls) end() (events []chat.Event) {
	for i, t := range c.all {
		if t.Name != "" {
			events = append(events, chat.Event{Kind: chat.CallStart, Call: i, Tool: chat.ToolCall{ID: t.ID, Name: t.Name}},
				chat.Event{Kind: chat.CallArguments, Call: i, Text: t.Arguments}, chat.Event{Kind: chat.CallEnd, Call: i, Tool: t})
		}
	}
	return events
}
