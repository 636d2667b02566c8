package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/openai"
)

// demoModel is shared by all tests: it does not change.
var demoModel = sync.OnceValues(func() (*engine.Model, error) {
	f, err := demo.Open()
	if err != nil {
		return nil, err
	}
	return engine.LoadFile(context.Background(), f, engine.Options{Batch: 32})
})

func model(t testing.TB) *engine.Model {
	t.Helper()
	m, err := demoModel()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A site is a running server.
type site struct {
	*Server
	url    string
	client *http.Client
	stop   func() error // graceful; once
}

// start serves the demo model, with options that change sets.
func start(t testing.TB, change func(*Options)) *site {
	t.Helper()
	o := Options{Name: "demo", Aliases: []string{"tiny"}, Parallel: 4}
	if change != nil {
		change(&o)
	}
	if o.Model == nil && o.Embedder == nil {
		o.Model = model(t)
		b, err := o.Model.NewBatcher(engine.BatcherOptions{Texts: o.Parallel})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		if o.Generator == nil {
			o.Generator = b
		}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, 5*time.Second) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	stop := sync.OnceValue(func() error {
		transport.CloseIdleConnections()
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &site{Server: s, url: "http://" + l.Addr().String(), client: &http.Client{Transport: transport}, stop: stop}
}

// ask sends a body, or none where it is "", and returns what comes.
func (s *site) ask(t testing.TB, method, path, body string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	answer, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w, answer
}

// post decodes the answer of a request that has to succeed.
func post[T any](t testing.TB, s *site, path, body string) (v T) {
	t.Helper()
	w, answer := s.ask(t, "POST", path, body)
	if w.StatusCode != 200 {
		t.Fatalf("%s %s: status %d: %s", path, body, w.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatalf("%s: %v in %s", path, err, answer)
	}
	return v
}

// events decodes a stream that has to succeed, and returns its last data too.
func events[T any](t testing.TB, s *site, path, body string) (all []T, last string) {
	t.Helper()
	w, answer := s.ask(t, "POST", path, body)
	if kind := w.Header.Get("Content-Type"); w.StatusCode != 200 || !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("%s %s: status %d, %s: %s", path, body, w.StatusCode, kind, answer)
	}
	for e, err := range openai.Events(bytes.NewReader(answer)) {
		if err != nil {
			t.Fatal(err)
		}
		if last = string(e.Data); last == openai.Done {
			continue
		}
		var v T
		if err := json.Unmarshal(e.Data, &v); err != nil {
			t.Fatalf("%v in %s", err, e.Data)
		}
		all = append(all, v)
	}
	return all, last
}

// alone is what the engine itself says to a prompt at temperature 0.
func alone(t testing.TB, prompt string, tokens int) (text string, st engine.Stats) {
	t.Helper()
	m := model(t)
	b, err := m.NewBatcher(engine.BatcherOptions{Texts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for tok, err := range b.Generate(t.Context(), m.Tokenizer().Encode(prompt, tokenizer.Options{NoEOS: true}), engine.GenerateOptions{MaxTokens: tokens, Stats: &st}) {
		if err != nil {
			t.Fatal(err)
		}
		text += tok.Text
	}
	return text, st
}

const story = "Once upon a time"

func TestCompletions(t *testing.T) {
	s := start(t, nil)
	want, st := alone(t, story, 24)
	body := fmt.Sprintf(`{"model":"tiny","prompt":%q,"max_tokens":24,"temperature":0`, story)
	got := post[openai.CompletionResponse](t, s, "/v1/completions", body+"}")
	if c := got.Choices; len(c) != 1 || c[0].Text != want || *c[0].FinishReason != "length" {
		t.Errorf("completion: %+v, want %q", got, want)
	}
	if u := got.Usage; u == nil || u.CompletionTokens != st.NewTokens || u.PromptTokens == 0 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
		t.Errorf("usage %+v, want %d new tokens", u, st.NewTokens)
	}
	chunks, last := events[openai.CompletionResponse](t, s, "/v1/completions", body+`,"stream":true,"stream_options":{"include_usage":true}}`)
	text := ""
	for _, c := range chunks {
		for _, choice := range c.Choices {
			text += choice.Text
		}
	}
	if u := chunks[len(chunks)-1].Usage; text != want || last != openai.Done || u == nil || u.CompletionTokens != st.NewTokens {
		t.Errorf("stream: %q, %q, usage %+v; want %q", text, last, u, want)
	}
	stop := want[8:12]
	got = post[openai.CompletionResponse](t, s, "/v1/completions", body+fmt.Sprintf(`,"stop":%q}`, stop))
	before, _, _ := strings.Cut(want, stop)
	if c := got.Choices[0]; c.Text != before || *c.FinishReason != "stop" {
		t.Errorf("stop %q: %q, %s; want %q", stop, c.Text, *c.FinishReason, before)
	}
	if got = post[openai.CompletionResponse](t, s, "/v1/completions", body+`,"echo":true,"n":2}`); len(got.Choices) != 2 || got.Choices[1].Text != story+want {
		t.Errorf("echo, n=2: %+v", got.Choices)
	}
	got = post[openai.CompletionResponse](t, s, "/v1/completions", body+`,"logprobs":3}`)
	if l := got.Choices[0].Logprobs; l == nil || strings.Join(l.Tokens, "") != want || len(l.TopLogprobs[0]) != 3 || l.TokenLogprobs[0] > 0 {
		t.Errorf("logprobs: %+v", l)
	}
	twice := post[openai.CompletionResponse](t, s, "/v1/completions", `{"prompt":["The sun","The sun"],"max_tokens":12,"temperature":1.5,"seed":7}`)
	if len(twice.Choices) != 2 || twice.Choices[0].Text != twice.Choices[1].Text || twice.Choices[0].Text == "" {
		t.Errorf("one seed, two prompts that are alike: %+v", twice.Choices)
	}
}

// TestCompletionEdges: what OpenAI's schema has at its edges.
func TestCompletionEdges(t *testing.T) {
	s := start(t, nil)
	ask := func(more string) string {
		t.Helper()
		got := post[openai.CompletionResponse](t, s, "/v1/completions", `{"temperature":0,"max_tokens":8,`+more+`}`)
		if len(got.Choices) != 1 || *got.Choices[0].FinishReason != "length" || got.Usage.PromptTokens == 0 {
			t.Fatalf("%s: %+v", more, got)
		}
		return got.Choices[0].Text
	}
	want, _ := alone(t, "", 8) // what begins a document
	for _, more := range []string{`"prompt":""`, `"prompt":null`, `"prompt":[""]`, `"prompt":"","stop":""`, `"prompt":"","stop":["",""]`} {
		if got := ask(more); got != want {
			t.Errorf("%s: %q, want %q", more, got, want)
		}
	}
	for more, want := range map[string]string{`"prompt":"A dog","max_tokens":0`: "", `"prompt":"A dog","max_tokens":0,"echo":true`: "A dog"} {
		if got := ask(more); strings.TrimSpace(got) != want {
			t.Errorf("%s: %q, want %q", more, got, want)
		}
	}
}

func TestLogitBias(t *testing.T) {
	s := start(t, nil)
	first := post[struct{ Tokens []int32 }](t, s, "/tokenize", `{"content":" dog"}`).Tokens[0]
	got := post[openai.CompletionResponse](t, s, "/v1/completions", fmt.Sprintf(`{"prompt":"A","max_tokens":3,"temperature":0,"logit_bias":{"%d":100},"ignore_eos":true}`, first))
	if text := got.Choices[0].Text; text != " dog dog dog" {
		t.Errorf("bias 100 for %d: %q", first, text)
	}
}

func TestChat(t *testing.T) {
	s := start(t, nil)
	body := fmt.Sprintf(`{"model":"demo","messages":[{"role":"user","content":%q}],"max_tokens":20,"temperature":0`, story)
	got := post[openai.ChatResponse](t, s, "/v1/chat/completions", body+`,"logprobs":true,"top_logprobs":2}`)
	c := got.Choices[0]
	text := c.Message.Text()
	if text == "" || c.Message.Role != "assistant" || c.FinishReason != "length" || got.Usage.CompletionTokens != 20 {
		t.Errorf("chat: %+v", got)
	}
	joined := ""
	for _, l := range c.Logprobs.Content {
		joined += l.Token
		if len(l.Top) != 2 || l.Logprob.Logprob > 0 || l.Top[0].Logprob < l.Top[1].Logprob {
			t.Errorf("logprob %+v", l)
		}
	}
	if strings.TrimSpace(joined) != strings.TrimSpace(text) {
		t.Errorf("tokens %q, want %q", joined, text)
	}
	chunks, last := events[openai.ChatChunk](t, s, "/v1/chat/completions", body+`,"stream":true,"n":2,"stream_options":{"include_usage":true}}`)
	streamed, finished := [2]string{}, 0
	for _, chunk := range chunks {
		for _, c := range chunk.Choices {
			if c.Delta.Content != nil {
				streamed[c.Index] += *c.Delta.Content
			}
			if c.FinishReason != nil {
				finished++
			}
		}
	}
	if streamed != [2]string{text, text} || finished != 2 || last != openai.Done || chunks[len(chunks)-1].Usage.CompletionTokens != 40 {
		t.Errorf("stream: %q, %d finished, %q; want %q twice", streamed, finished, last, text)
	}
}

// TestBound: what a format or a tool choice binds is valid, whatever the model
// would like to say.
func TestBound(t *testing.T) {
	s := start(t, nil)
	const messages = `{"messages":[{"role":"user","content":"Who?"}],"temperature":0,"max_tokens":200`
	const schema = `{"type":"object","properties":{"kind":{"enum":["cat","dog"]},"old":{"type":"boolean"}},"required":["kind","old"],"additionalProperties":false}`
	got := post[openai.ChatResponse](t, s, "/v1/chat/completions", messages+`,"response_format":{"type":"json_schema","json_schema":{"name":"pet","schema":`+schema+`}}}`)
	var pet struct {
		Kind string
		Old  *bool
	}
	if err := json.Unmarshal([]byte(got.Choices[0].Message.Text()), &pet); err != nil || pet.Kind != "cat" && pet.Kind != "dog" || pet.Old == nil {
		t.Errorf("json_schema: %q: %v", got.Choices[0].Message.Text(), err)
	}
	got = post[openai.ChatResponse](t, s, "/v1/chat/completions", messages+`,"grammar":"root ::= \"yes\" | \"no\""}`)
	if text := got.Choices[0].Message.Text(); text != "yes" && text != "no" || got.Choices[0].FinishReason != "stop" {
		t.Errorf("grammar: %q, %s", text, got.Choices[0].FinishReason)
	}
	tool := `,"tools":[{"type":"function","function":{"name":"feed","parameters":{"type":"object","properties":{"pet":{"$ref":"#/$defs/pet"}},"required":["pet"],"$defs":{"pet":` + schema + `}}}}]`
	for _, choice := range []string{`"required"`, `{"type":"function","function":{"name":"feed"}}`} {
		got = post[openai.ChatResponse](t, s, "/v1/chat/completions", messages+tool+`,"tool_choice":`+choice+`}`)
		calls := got.Choices[0].Message.ToolCalls
		var arguments struct{ Pet struct{ Kind string } }
		if len(calls) != 1 || calls[0].Function.Name != "feed" || calls[0].ID == "" || got.Choices[0].FinishReason != "tool_calls" ||
			json.Unmarshal([]byte(calls[0].Function.Arguments), &arguments) != nil || arguments.Pet.Kind == "" {
			t.Errorf("tool_choice %s: %+v", choice, got.Choices[0])
		}
		chunks, _ := events[openai.ChatChunk](t, s, "/v1/chat/completions", messages+tool+`,"stream":true,"tool_choice":`+choice+`}`)
		streamed := ""
		for _, chunk := range chunks {
			for _, call := range chunk.Choices[0].Delta.ToolCalls {
				streamed += call.Function.Name + call.Function.Arguments
			}
		}
		if want := "feed" + calls[0].Function.Arguments; streamed != want {
			t.Errorf("tool_choice %s, streamed: %q, want %q", choice, streamed, want)
		}
	}
}

func TestResponses(t *testing.T) {
	s := start(t, nil)
	body := fmt.Sprintf(`{"model":"demo","instructions":"Tell.","input":%q,"max_output_tokens":20,"temperature":0`, story)
	got := post[openai.Response](t, s, "/v1/responses", body+"}")
	if got.Status != "incomplete" || got.IncompleteDetails == nil || len(got.Output) != 1 || got.Output[0].Role != "assistant" ||
		got.Output[0].Content[0].Text == "" || got.Usage.OutputTokens != 20 {
		t.Fatalf("response: %+v", got)
	}
	want := got.Output[0].Content[0].Text
	all, _ := events[openai.ResponseEvent](t, s, "/v1/responses", body+`,"stream":true}`)
	var types []string
	text := ""
	for i, e := range all {
		if e.Sequence != i {
			t.Errorf("event %d has number %d", i, e.Sequence)
		}
		if e.Type == "response.output_text.delta" {
			if text += *e.Delta; len(types) > 0 && types[len(types)-1] == e.Type {
				continue
			}
		}
		types = append(types, e.Type)
	}
	const order = "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta " +
		"response.output_text.done response.content_part.done response.output_item.done response.incomplete"
	if strings.Join(types, " ") != order || text != want {
		t.Errorf("events %q, text %q; want %q, %q", types, text, order, want)
	}
	if end := all[len(all)-1].Response; end.Usage == nil || end.Output[0].Content[0].Text != want {
		t.Errorf("last event: %+v", end)
	}
	got = post[openai.Response](t, s, "/v1/responses", `{"input":"Hi","tools":[{"type":"function","name":"go","parameters":{"type":"object","properties":{"far":{"type":"boolean"}},"required":["far"]}}],"tool_choice":"required"}`)
	if len(got.Output) != 1 || got.Output[0].Type != "function_call" || got.Output[0].Name != "go" || !json.Valid([]byte(*got.Output[0].Arguments)) {
		t.Errorf("call: %+v", got.Output)
	}
}
