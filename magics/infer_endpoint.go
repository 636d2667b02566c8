package magics

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/engine/remote"
	"github.com/llcuda/llcuda/internal/catalog"
)

// Servers of open models have more than the API; owned_by in their list of
// models says which one it is.
var repeatPenaltyOf = map[string]string{
	"vllm": "repetition_penalty", "sglang": "repetition_penalty",
	"llamacpp": "repeat_penalty", "llcuda": "repeat_penalty", "me": "repeat_penalty", // me is llama-cpp-python's server
}

// endpointRequest is what flags of %infer, or of llcuda infer, ask of a server.
// What was not said is left to it. The error is one of usage.
func endpointRequest(f *pflag.FlagSet, m remote.Model) (q remote.Request, err error) {
	q = remote.Request{Model: m.ID, Fields: map[string]any{}}
	if q.MaxTokens, _ = f.GetInt("max-tokens"); q.MaxTokens == 0 {
		return q, fmt.Errorf("--max-tokens 0: a server wants a number")
	}
	for flag, field := range map[string]string{"temperature": "temperature", "top-p": "top_p"} {
		if f.Changed(flag) {
			q.Fields[field] = json.Number(f.Lookup(flag).Value.String())
		}
	}
	if f.Changed("seed") {
		q.Fields["seed"], _ = f.GetUint64("seed")
	}
	penalty, open := repeatPenaltyOf[m.OwnedBy]
	for _, more := range []struct{ flag, field string }{{"top-k", "top_k"}, {"min-p", "min_p"}, {"repeat-penalty", penalty}} {
		switch {
		case !f.Changed(more.flag):
		case !open:
			return q, fmt.Errorf("--%s is not part of OpenAI's API, and %s does not say that its server has it; --extra '{\"name\": value}' sends a field in the server's own words", more.flag, m.ID)
		default:
			q.Fields[more.field] = json.Number(f.Lookup(more.flag).Value.String())
		}
	}
	if err := structured(f, m, q.Fields); err != nil {
		return q, err
	}
	return q, extraFields(f, q.Fields, "model", "prompt", "messages", "stream")
}

// extraFields adds those of --extra; the cell sets the own ones.
func extraFields(f *pflag.FlagSet, fields map[string]any, own ...string) error {
	extra, _ := f.GetString("extra")
	if extra == "" {
		return nil
	}
	var more map[string]json.RawMessage
	if err := json.Unmarshal([]byte(extra), &more); err != nil {
		return fmt.Errorf("--extra %s: want a JSON object, such as '{\"top_k\": 40}'", extra)
	}
	for name, v := range more {
		if slices.Contains(own, name) {
			return fmt.Errorf("--extra: %s is set by the cell", name)
		}
		fields[name] = v
	}
	return nil
}

// structured sends --schema or --grammar in the words of the server. The
// server keeps it in its own way.
func structured(f *pflag.FlagSet, m remote.Model, fields map[string]any) error {
	schema, _ := f.GetString("schema")
	gbnf, _ := f.GetString("grammar")
	g, err := grammar.Open(catalog.InHome(schema), catalog.InHome(gbnf))
	switch {
	case err != nil || g == nil:
		return err
	case schema != "" && m.OwnedBy == "llamacpp":
		fields["json_schema"] = json.RawMessage(g.Source())
	case schema != "" && (m.OwnedBy == "vllm" || m.OwnedBy == "sglang" || m.OwnedBy == "llcuda"):
		fields["response_format"] = map[string]any{"type": "json_schema",
			"json_schema": map[string]any{"name": "answer", "schema": json.RawMessage(g.Source())}}
	case gbnf != "" && (m.OwnedBy == "llamacpp" || m.OwnedBy == "llcuda" || m.OwnedBy == "me"):
		fields["grammar"] = g.Source()
	default:
		return fmt.Errorf("--schema and --grammar: %s does not say that its server knows them for completions; --extra '{\"name\": value}' sends a field in the server's own words", m.ID)
	}
	return nil
}

// answer streams what a server continues the prompt with into the cell.
func (e *endpoint) answer(ctx context.Context, c *Call, l *loaded, q *inference) (string, error) {
	r, err := endpointRequest(c.Flags, e.model)
	if err != nil {
		return "", c.usage("%v", err)
	}
	r.Prompt, r.Stop = q.prompt, q.o.Stop
	defer e.watch(c.Display)()
	var s remote.Stats
	defer func() { q.counted(&s, len(e.pool.Clients()) > 1) }()
	var text strings.Builder
	out := c.Display.Stdout()
	for p, err := range e.pool.Generate(ctx, r, &s) {
		if err != nil {
			if text.Len() > 0 && !q.json {
				fmt.Fprintln(out)
			}
			return text.String(), endpointError(ctx, l, err)
		}
		if p.Reasoning != "" {
			if q.reasoning == "" && !q.json {
				fmt.Fprint(out, "<think>\n")
			}
			q.reasoning += p.Reasoning
			if !q.json {
				fmt.Fprint(out, p.Reasoning)
			}
		}
		if p.Text != "" {
			if q.reasoning != "" && text.Len() == 0 && !q.json {
				fmt.Fprint(out, "\n</think>\n\n")
			}
			text.WriteString(p.Text)
			if !q.json {
				fmt.Fprint(out, p.Text)
			}
		}
	}
	switch { // the server says why the text ends, and nothing of a grammar
	case q.schema:
		q.cut = !json.Valid([]byte(text.String()))
	case q.grammar != nil:
		q.cut = s.StopReason == "length"
	}
	return text.String(), nil
}

// counted takes over the figures of an endpoint.
func (q *inference) counted(s *remote.Stats, several bool) {
	q.promptTokens, q.pieces, q.fresh = s.PromptTokens, !s.Counted, false
	q.o.Stats.PromptTokens, q.o.Stats.NewTokens = s.PromptTokens, s.NewTokens
	q.o.Stats.FirstToken, q.o.Stats.DecodeTime = s.FirstToken, s.DecodeTime
	q.o.Stats.StopReason = s.StopReason
	if s.StopReason == "stop" && len(q.o.Stop) == 0 {
		q.o.Stats.StopReason = "eog" // the API has one word for both
	}
	if s.AtOnce() {
		q.o.Stats.DecodeTime = 0
		q.notes = append(q.notes, "it came all at once")
	}
	if s.AsChat {
		q.notes = append(q.notes, "asked as a chat: the server continues no texts")
	}
	if s.Tries > 1 {
		q.notes = append(q.notes, count(s.Tries, "request"))
	}
	if several {
		q.notes = append(q.notes, "by "+s.Server)
	}
}

// endpointJSON changes --json's object where an endpoint knows less, or more:
// a seed that was not sent says nothing.
func (q *inference) endpointJSON(c *Call, v map[string]any) {
	delete(v, "prompt_tokens_per_second")
	if !c.Flags.Changed("seed") {
		delete(v, "seed")
	}
	if q.reasoning != "" {
		v["reasoning"] = q.reasoning
	}
	if q.pieces {
		for _, count := range []string{"prompt_tokens", "new_tokens", "tokens_per_second"} {
			delete(v, count)
		}
		v["pieces"] = q.o.Stats.NewTokens
	}
}
