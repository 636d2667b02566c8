package magics

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/engine/remote"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

// batchAnswerer is who answers the lines. It sets b.parallel where that was
// left open.
func (l *loaded) batchAnswerer(b *batch, q *inference) (batchAnswerer, error) {
	if l.endpoint != nil {
		r, err := endpointRequest(b.c.Flags, l.endpoint.model)
		if err != nil {
			return nil, b.c.usage("%v", err)
		}
		r.Stop = q.o.Stop
		if b.parallel == 0 {
			b.parallel = l.endpoint.parallel()
		}
		return &batchEndpoint{l.endpoint, r, l.endpoint.watch(b.c.Display)}, nil
	}
	if b.c.Flags.Changed("extra") {
		return nil, b.c.usage("--extra is for endpoints; %s is on this machine", l.name)
	}
	texts := b.parallel
	if texts == 0 {
		texts = min(8, len(b.todo))
	}
	o := engine.BatcherOptions{Texts: min(texts, engine.MaxTexts)}
	batcher, err := l.model.NewBatcher(o)
	if big := (*engine.TooBigError)(nil); errors.As(err, &big) && b.parallel == 0 && big.Texts > 0 {
		o.Texts = min(o.Texts, big.Texts)
		batcher, err = l.model.NewBatcher(o)
	}
	if err != nil {
		return nil, modelError("%s: %v", l.name, err)
	}
	b.parallel = o.Texts
	return &batchModel{m: l.model, b: batcher, o: q.o, grammar: q.grammar, fresh: !b.c.Flags.Changed("seed"),
		template: sync.OnceValues(func() (*chat.Template, error) { return chat.NewTemplate(l.model) })}, nil
}

// A batchModel answers with a model of this process, whose weights all lines
// under way share.
type batchModel struct {
	m        *engine.Model
	b        *engine.Batcher
	o        engine.GenerateOptions
	grammar  *grammar.Grammar // nil: texts are free
	fresh    bool             // each line has a seed of its own
	template func() (*chat.Template, error)
}

func (a *batchModel) close() error { return a.b.Close() }

func (a *batchModel) answer(ctx context.Context, line *batchLine) (r batchRecord, err error) {
	o, request := a.o, chat.Request{}
	if a.fresh {
		o.Sampler.Seed = engine.RandomSeed()
	}
	if err := line.generate(&o, &request); err != nil {
		return r, err
	}
	stats := new(engine.Stats)
	o.Stats = stats
	if a.grammar != nil {
		o.Constraint = a.m.Constrain(a.grammar)
	}
	var ids []int32
	var parser *chat.Parser // nil: the text is all there is
	if line.messages == nil {
		ids = a.m.Tokenizer().Encode(line.prompt, tokenizer.Options{NoEOS: true})
		if len(request.Tools) > 0 {
			return r, lineErrorf("tools go with messages")
		}
		if len(ids) == 0 {
			return r, lineErrorf("prompt: it has no tokens")
		}
	} else if ids, parser, err = a.render(line, &request, &o); err != nil {
		return r, err
	}
	var said chat.Collector
	push := func(events []chat.Event) {
		for _, e := range events {
			said.Add(e)
		}
	}
	for t, err := range a.b.Generate(ctx, ids, o) {
		if errors.Is(err, engine.ErrContextFull) && stats.NewTokens > 0 {
			stats.StopReason = "context full"
			break
		}
		if err != nil {
			return r, err
		}
		if parser == nil {
			said.Message.Content += t.Text
		} else {
			push(parser.Push(t.Text))
		}
	}
	if parser != nil {
		push(parser.Close())
	}
	r.answer(&said.Message)
	r.StopReason, r.PromptTokens, r.NewTokens = stats.StopReason, len(ids), stats.NewTokens
	if o.Sampler.Temperature > 0 {
		r.Seed = &o.Sampler.Seed
	}
	return r, nil
}

// render makes tokens of messages.
func (a *batchModel) render(line *batchLine, r *chat.Request, o *engine.GenerateOptions) ([]int32, *chat.Parser, error) {
	t, err := a.template()
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(line.messages, &r.Messages); err != nil {
		return nil, nil, lineErrorf("messages: %v", err)
	}
	if len(r.Messages) == 0 {
		return nil, nil, lineErrorf("messages: the list is empty")
	}
	if t.Completion() && len(r.Tools) > 0 {
		return nil, nil, lineErrorf("tools: the model has no chat template, so that it cannot be told of them")
	}
	r.Options.AddGenerationPrompt = true
	p, err := t.Prompt(r.Messages, r.Tools, r.Options)
	if err != nil {
		return nil, nil, err
	}
	o.Visible = t.Visible()
	return p.IDs, t.NewParser(p.Text, r.Tools), nil
}

// A batchEndpoint answers with servers.
type batchEndpoint struct {
	e   *endpoint
	r   remote.Request
	end func() // of watching
}

func (a *batchEndpoint) close() error { a.end(); return nil }

func (a *batchEndpoint) answer(ctx context.Context, line *batchLine) (r batchRecord, err error) {
	q := a.r
	q.Prompt, q.Messages = line.prompt, line.messages
	q.Fields = maps.Clone(a.r.Fields)
	for name, v := range line.options {
		switch name {
		case "max_tokens", "max_completion_tokens":
			if err := json.Unmarshal(v, &q.MaxTokens); err != nil || q.MaxTokens < 1 {
				return r, lineErrorf("max_tokens: %s: want 1 or more", v)
			}
		case "stop":
			if q.Stop, err = readStops(v); err != nil {
				return r, err
			}
		case "repeat_penalty", "repetition_penalty":
			if known := repeatPenaltyOf[a.e.model.OwnedBy]; known != "" {
				name = known
			}
			q.Fields[name] = v
		default: // the server knows what it knows
			q.Fields[name] = v
		}
	}
	var s remote.Stats
	var said chat.Collector
	var calls remoteCalls
	for p, err := range a.e.pool.Generate(ctx, q, &s) {
		if err != nil {
			return r, err
		}
		for _, e := range calls.events(p) {
			said.Add(e)
		}
	}
	for _, e := range calls.end() {
		said.Add(e)
	}
	r.answer(&said.Message)
	r.StopReason, r.PromptTokens, r.NewTokens = s.StopReason, s.PromptTokens, s.NewTokens
	if !s.Counted {
		r.Pieces, r.NewTokens = s.NewTokens, 0
	}
	if len(a.e.pool.Clients()) > 1 {
		r.Server = s.Server
	}
	return r, nil
}

// answer takes over what was said.
func (r *batchRecord) answer(m *chat.Message) {
	text := strings.ToValidUTF8(m.Content, "\ufffd")
	r.Text, r.Reasoning, r.ToolCalls = &text, m.Reasoning, m.ToolCalls
}
