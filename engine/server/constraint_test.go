package server

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/openai"
)

// templated serves with the template of another model. change may be nil.
func templated(t *testing.T, name string, change func(*Options)) *site {
	t.Helper()
	source := []byte("{% for m in messages %}{{ m.content }}{% endfor %}{# <|start_header_id|> #}")
	var err error
	if name != llama3 {
		source, err = os.ReadFile("../../internal/jinja/testdata/templates/" + name + ".jinja")
	}
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, change)
	if s.template, err = chat.Parse(map[string]string{"": string(source)}, s.o.Model.Tokenizer()); err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	qwen3  = "Qwen-Qwen3-0.6B"
	llama3 = "" // what tells the family: the whole is longer than the demo's context
	nemo   = "mistralai-Mistral-Nemo-Instruct-2407"
	gptoss = "openai-gpt-oss-120b"
)

// pet is a schema that few texts fit by chance.
const pet = `{"type":"object","properties":{"kind":{"enum":["cat","dog"]},"old":{"type":"boolean"}},"required":["kind","old"],"additionalProperties":false}`

const feed = `"tools":[{"type":"function","function":{"name":"feed","strict":true,"parameters":` + pet + `}}]`

// A judge is a Generator that says a text, as far as the constraint lets it.
type judge struct {
	mu    sync.Mutex
	model *engine.Model
	text  string // to be said
	wrong string // what was not allowed of it; "": all was
	open  bool   // it may not end there
}

func (j *judge) Generate(_ context.Context, _ []int32, o engine.GenerateOptions) iter.Seq2[engine.Token, error] {
	return func(yield func(engine.Token, error) bool) {
		j.mu.Lock()
		defer j.mu.Unlock()
		tok := j.model.Tokenizer()
		j.wrong, j.open = "", false
		said := ""
		// A token after the other, without the blank that the tokenizer puts in front.
		for _, id := range tok.Encode("\n"+j.text, tokenizer.Options{NoBOS: true, NoEOS: true})[1:] {
			piece := string(tok.Piece(id))
			if o.Constraint != nil {
				if err := o.Constraint.Accept(id); err != nil {
					j.wrong = j.text[len(said):]
					break
				}
			}
			said += piece
			if !yield(engine.Token{ID: id, Text: piece}, nil) {
				return
			}
		}
		if end, ok := tok.EOS(); ok && o.Constraint != nil {
			j.open = !o.Constraint.Allows(end) && !o.Constraint.Done()
		}
		if j.wrong == "" && said != j.text {
			j.wrong = fmt.Sprintf("said %q", said)
		}
	}
}

// TestFormats: an answer that is bound is in the format of the model's family,
// with its reasoning before it, and nothing else is.
func TestFormats(t *testing.T) {
	const format = `"response_format":{"type":"json_schema","json_schema":{"name":"pet","schema":` + pet + `}}`
	const cat, arguments = `{"kind":"cat","old":true}`, `{"kind": "cat", "old": true}`
	hermes := "<tool_call>\n{\"name\": \"feed\", \"arguments\": " + arguments + "}\n</tool_call>"
	for _, c := range []struct {
		name, template, ask, said string
		wrong                     bool   // it is not allowed, or may not end
		content, reasoning        string // as the client sees it
		calls                     int
	}{
		{"answer", qwen3, format, cat, false, cat, "", 0},
		{"answer behind a thought", qwen3, format, "<think>\nA {pet}?\n</think>\n\n" + cat, false, cat, "A {pet}?", 0},
		{"answer in words", qwen3, format, "A cat.", true, "", "", 0},
		{"thought without an answer", qwen3, format, "<think>\nA pet?", true, "", "", 0},
		{"answer and no thought", qwen3, format + `,"reasoning_effort":"none"`, cat, false, cat, "", 0},
		{"thought that is switched off", qwen3, format + `,"reasoning_effort":"none"`, "<think>\nA pet?\n</think>" + cat, true, "", "", 0},
		{"call", qwen3, feed + `,"tool_choice":"required"`, hermes, false, "", "", 1},
		{"call behind a thought", qwen3, feed + `,"tool_choice":"required"`, "<think>\nHungry.\n</think>\n\n" + hermes, false, "", "Hungry.", 1},
		{"two calls", qwen3, feed + `,"tool_choice":"required"`, hermes + "\n" + hermes, false, "", "", 2},
		{"two calls where one is wanted", qwen3, feed + `,"tool_choice":"required","parallel_tool_calls":false`, hermes + "\n" + hermes, false, "", "", 1},
		{"call by name", qwen3, feed + `,"tool_choice":{"type":"function","function":{"name":"feed"}}`, hermes, false, "", "", 1},
		{"text in place of a call", qwen3, feed + `,"tool_choice":"required"`, "Yes.", true, "", "", 0},
		{"strict tool, not called", qwen3, feed, "Not hungry.", false, "Not hungry.", "", 0},
		{"strict tool, called", qwen3, feed, "Yes. " + hermes, false, "Yes.", "", 1},
		{"strict tool, wrong arguments", qwen3, feed, strings.Replace(hermes, `"cat"`, `"owl"`, 1), true, "", "", 0},
		{"loose tool, any arguments", qwen3, strings.Replace(feed, `"strict":true,`, "", 1), strings.Replace(hermes, `"cat"`, `"owl"`, 1), false, "", "", 1},
		{"format or call: answer", qwen3, feed + "," + format, cat, false, cat, "", 0},
		{"format or call: call", qwen3, feed + "," + format, hermes, false, "", "", 1},
		{"format or call: words", qwen3, feed + "," + format, "Yes.", true, "", "", 0},
		{"call of Llama's", llama3, feed + `,"tool_choice":"required"`, `{"name": "feed", "parameters": ` + arguments + `}`, false, "", "", 1},
		{"call of Llama's, as Qwen's", llama3, feed + `,"tool_choice":"required"`, hermes, true, "", "", 0},
		{"call of Mistral's", nemo, feed + `,"tool_choice":"required"`, `[TOOL_CALLS][{"name": "feed", "arguments": ` + arguments + `}]`, false, "", "", 1},
		{"no call", qwen3, feed + "," + format + `,"tool_choice":"none"`, hermes, true, "", "", 0},
		{"grammar", qwen3, `"grammar":"root ::= \"yes\" | \"no\""`, "<think>\nHm.\n</think>\n\nno", false, "no", "Hm.", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &judge{model: model(t), text: c.said}
			s := templated(t, c.template, func(o *Options) { o.Generator = j })
			got := post[openai.ChatResponse](t, s, "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hi"}],`+c.ask+`}`).Choices[0]
			if wrong := j.wrong != "" || j.open; wrong != c.wrong {
				t.Fatalf("%q: not allowed %q, may not end there: %v", c.said, j.wrong, j.open)
			}
			if c.wrong {
				return
			}
			if m := got.Message; strings.TrimSpace(m.Text()) != c.content || m.ReasoningContent != c.reasoning || len(m.ToolCalls) != c.calls {
				t.Errorf("%q is read as %+v", c.said, m)
			}
			for _, call := range got.Message.ToolCalls {
				if !json.Valid([]byte(call.Function.Arguments)) || call.Function.Name != "feed" || got.FinishReason != "tool_calls" {
					t.Errorf("call %+v, %s", call, got.FinishReason)
				}
			}
		})
	}
}

// TestFormatsOfModel: the embedded model keeps to formats that it never saw.
func TestFormatsOfModel(t *testing.T) {
	for _, name := range []string{qwen3, llama3, nemo} {
		s := templated(t, name, nil)
		got := post[openai.ChatResponse](t, s, "/v1/chat/completions",
			`{"messages":[{"role":"user","content":"Hi"}],"temperature":0,"reasoning_effort":"none","parallel_tool_calls":false,"tool_choice":"required",`+feed+`}`).Choices[0]
		var a struct {
			Kind string
			Old  *bool
		}
		if calls := got.Message.ToolCalls; len(calls) != 1 || json.Unmarshal([]byte(calls[0].Function.Arguments), &a) != nil || a.Kind == "" || a.Old == nil || got.FinishReason != "tool_calls" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	s := templated(t, gptoss, nil)
	for more, want := range map[string]string{feed: "template cannot render these messages", strings.Replace(feed, `"name"`, `"description":"Feed it","name"`, 1): "format of gpt-oss"} {
		w, body := s.ask(t, "POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hi"}],"tool_choice":"required",`+more+`}`)
		if w.StatusCode != 400 || !strings.Contains(string(body), want) {
			t.Errorf("a forced call of gpt-oss: %d %s, want %q", w.StatusCode, body, want)
		}
	}
}
