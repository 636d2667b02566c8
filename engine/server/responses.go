package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/internal/openai"
)

// A reply is one POST /v1/responses: a conversation of one choice, whose events
// become items of an output.
// https://platform.openai.com/docs/api-reference/responses
type reply struct {
	*conversation
	out      openai.Response
	st       *stream // nil: the answer comes as a whole
	sequence int     // of the next event
	open     bool    // the last item goes on
	logprobs []openai.TokenLogprob
}

func (s *Server) responses(w *response, r *http.Request) error {
	var q openai.ResponseRequest
	var p *reply
	err := s.read(w, r, &q, func() (err error) {
		if s.o.Model == nil {
			return s.errNoModel()
		}
		p, err = s.newReply(&q)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.queue.enter(1); err != nil {
		return err
	}
	defer s.queue.leave(1)
	if !q.Stream {
		if err := p.run(r.Context()); err != nil {
			return err
		}
		return w.json(http.StatusOK, p.out)
	}
	st, ctx := s.newStream(w, r)
	st.named, p.st = true, st
	return st.run(ctx, func() error { return p.run(ctx) })
}

func (s *Server) newReply(q *openai.ResponseRequest) (*reply, error) {
	as, err := q.Chat()
	if err != nil {
		return nil, inputError(err)
	}
	c, err := s.converse(as)
	if err != nil {
		return nil, inputError(err)
	}
	p := &reply{conversation: c}
	sampler := c.options[0].Sampler
	temperature, topP := decimal(sampler.Temperature), decimal(sampler.TopP)
	p.out = openai.Response{ID: newID("resp_"), Object: "response", CreatedAt: time.Now().Unix(), Status: "in_progress",
		MaxOutputTokens: q.MaxOutputTokens, Model: s.o.Name, Output: []openai.OutputItem{},
		ParallelToolCalls: q.ParallelToolCalls == nil || *q.ParallelToolCalls, Temperature: &temperature, TopP: &topP,
		Text: openai.ResponseText{Format: &openai.TextFormat{Type: "text"}}, ToolChoice: openai.ToolChoiceOrName{Mode: "auto"},
		Tools: q.Tools, Truncation: "disabled", Metadata: q.Metadata}
	if q.Instructions != "" {
		p.out.Instructions = &q.Instructions
	}
	if q.Text != nil && q.Text.Format != nil {
		p.out.Text = *q.Text
	}
	if q.ToolChoice != nil {
		p.out.ToolChoice = openai.ToolChoiceOrName(*q.ToolChoice)
	}
	if p.out.Tools == nil {
		p.out.Tools = []openai.ResponseTool{}
	}
	if p.out.Metadata == nil {
		p.out.Metadata = map[string]string{}
	}
	return p, nil
}

// decimal is v as it was written: 0.8, not 0.800000011920929.
func decimal(v float32) float64 {
	d, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	return d
}

// inputError names a field as this route does, which the chat calls messages.
func inputError(err error) error {
	var e *openai.Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Param, "messages") {
		return err
	}
	named := *e
	named.Param = "input" + strings.TrimPrefix(e.Param, "messages")
	return &named
}

// run generates the response.
func (p *reply) run(ctx context.Context) error {
	p.send(openai.ResponseEvent{Type: "response.created", Response: &p.out})
	p.send(openai.ResponseEvent{Type: "response.in_progress", Response: &p.out})
	var t turn
	err := p.server.all(ctx, 1, func(ctx context.Context, _ int) (err error) {
		t, err = p.conversation.run(ctx, 0, func(events []chat.Event, tokens []spelled) {
			for _, tok := range tokens {
				p.logprobs = append(p.logprobs, tok.TokenLogprob)
			}
			for _, e := range events {
				p.take(e)
			}
		})
		return err
	})
	if err != nil {
		return err
	}
	status := "completed"
	if t.finish == openai.FinishLength {
		status = "incomplete"
		p.out.IncompleteDetails = &openai.IncompleteDetails{Reason: "max_output_tokens"}
	}
	p.end(status)
	u := p.usage([]turn{t})
	p.out.Usage = &openai.ResponseUsage{InputTokens: u.PromptTokens, InputDetails: *u.PromptDetails,
		OutputTokens: u.CompletionTokens, OutputDetails: *u.CompletionDetail, TotalTokens: u.TotalTokens}
	p.out.Status = status
	p.send(openai.ResponseEvent{Type: "response." + status, Response: &p.out})
	return nil
}

// take makes an event of the chat one of the response.
func (p *reply) take(e chat.Event) {
	switch e.Kind {
	case chat.ReasoningDelta:
		p.text("reasoning", "reasoning_text", "response.reasoning_text.delta", e.Text)
	case chat.ContentDelta:
		p.text("message", "output_text", "response.output_text.delta", e.Text)
	case chat.CallStart:
		p.begin(openai.OutputItem{ID: newID("fc_"), Type: "function_call", CallID: e.Tool.ID, Name: e.Tool.Name, Arguments: new(string)})
	case chat.CallArguments:
		item := p.last()
		*item.Arguments += e.Text
		p.send(openai.ResponseEvent{Type: "response.function_call_arguments.delta", ItemID: item.ID, OutputIndex: p.index(), Delta: &e.Text})
	case chat.CallEnd:
		p.end("completed")
	}
}

// text appends to the text of an item, which may have to begin.
func (p *reply) text(kind, partType, event, more string) {
	if !p.open || p.last().Type != kind {
		p.end("completed")
		item := openai.OutputItem{ID: newID("rs_"), Type: kind}
		if kind == "message" {
			item.ID, item.Role = newID("msg_"), "assistant"
		}
		p.begin(item)
		item.Content = []openai.OutputPart{{Type: partType}}
		p.last().Content = item.Content
		p.send(openai.ResponseEvent{Type: "response.content_part.added", ItemID: item.ID, OutputIndex: p.index(), ContentIndex: new(int), Part: &item.Content[0]})
	}
	item := p.last()
	item.Content[0].Text += more
	e := openai.ResponseEvent{Type: event, ItemID: item.ID, OutputIndex: p.index(), ContentIndex: new(int), Delta: &more}
	if kind == "message" {
		now := p.logprobs
		if p.logprobs = nil; now == nil {
			now = []openai.TokenLogprob{}
		}
		e.Logprobs = &now
		if all := &item.Content[0].Logprobs; *all == nil {
			*all = &now
		} else {
			joined := append(**all, now...)
			*all = &joined
		}
	}
	p.send(e)
}

// begin opens an item.
func (p *reply) begin(item openai.OutputItem) {
	p.end("completed")
	item.Status = "in_progress"
	p.out.Output = append(p.out.Output, item)
	p.open = true
	p.send(openai.ResponseEvent{Type: "response.output_item.added", OutputIndex: p.index(), Item: p.last()})
}

// end closes the item that is open, if one is.
func (p *reply) end(status string) {
	if !p.open {
		return
	}
	p.open = false
	item := p.last()
	item.Status = status
	switch item.Type {
	case "function_call":
		p.send(openai.ResponseEvent{Type: "response.function_call_arguments.done", ItemID: item.ID, OutputIndex: p.index(), Name: item.Name, Arguments: item.Arguments})
	default:
		part := &item.Content[0]
		done := openai.ResponseEvent{Type: "response.output_text.done", ItemID: item.ID, OutputIndex: p.index(), ContentIndex: new(int), Text: &part.Text, Logprobs: part.Logprobs}
		if item.Type == "reasoning" {
			done.Type = "response.reasoning_text.done"
		}
		p.send(done)
		p.send(openai.ResponseEvent{Type: "response.content_part.done", ItemID: item.ID, OutputIndex: p.index(), ContentIndex: new(int), Part: part})
	}
	p.send(openai.ResponseEvent{Type: "response.output_item.done", OutputIndex: p.index(), Item: item})
}

func (p *reply) last() *openai.OutputItem { return &p.out.Output[len(p.out.Output)-1] }

func (p *reply) index() *int { return new(len(p.out.Output) - 1) }

func (p *reply) send(e openai.ResponseEvent) {
	if p.st == nil {
		return
	}
	e.Sequence = p.sequence
	p.sequence++
	p.st.send(e.Type, e)
}
