package magics

import (
	"context"
	"encoding/json"
	"errors"
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

// Answer asks the server. Where its context is too small for the conversation,
// the oldest turns are left out, as of a model of this process; how many tokens
// they are, only the server knows, so that it is asked again with fewer.
func (t *endpointTalk) Answer(ctx context.Context, r chat.Request) iter.Seq2[chat.Event, error] {
	return func(yield func(chat.Event, error) bool) {
		q := t.r
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
		for head, starts := r.Turns(); ; starts = fewer(r.Messages[head:], starts) {
			r.Stats.LeftOut = starts[0]
			began, wanted, err := false, true, error(nil)
			if q.Messages, err = json.Marshal(withoutThoughts(slices.Concat(r.Messages[:head], r.Messages[head+starts[0]:]))); err == nil {
				began, wanted, err = t.ask(ctx, q, &calls, yield)
			}
			var refused *remote.APIError
			if errors.As(err, &refused) && refused.ContextFull() && !began && len(starts) > 1 {
				continue
			}
			if err != nil {
				yield(chat.Event{}, err)
			}
			if err != nil || !wanted {
				return
			}
			break
		}
		for _, e := range calls.end() {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ask yields the answer to one request: whether any of it came, and whether more
// of it is wanted.
func (t *endpointTalk) ask(ctx context.Context, q remote.Request, calls *remoteCalls, yield func(chat.Event, error) bool) (began, wanted bool, err error) {
	for p, err := range t.e.pool.Generate(ctx, q, &t.s) {
		if err != nil {
			return began, true, err
		}
		began = true
		for _, e := range calls.events(p) {
			if !yield(e, nil) {
				return true, false, nil
			}
		}
	}
	return began, true, nil
}

// fewer are the later of the places where a conversation may begin: those
// without a quarter of what it was, so that a server is asked a few times, not
// once a turn.
func fewer(messages []chat.Message, starts []int) []int {
	size := func(from int) (n int) {
		for _, m := range messages[from:] {
			n += len(m.Content) + 16 // what a template puts around it
			for _, c := range m.ToolCalls {
				n += len(c.Arguments)
			}
		}
		return n
	}
	most := size(starts[0]) * 3 / 4
	for starts = starts[1:]; len(starts) > 1 && size(starts[0]) > most; {
		starts = starts[1:]
	}
	return starts
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
