package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/openai"
)

func TestRefusals(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxBody = 1 << 20 })
	const chats, texts, replies = "/v1/chat/completions", "/v1/completions", "/v1/responses"
	chat := func(more string) string { return `{"messages":[{"role":"user","content":"Hi"}],` + more + `}` }
	long := strings.Repeat("a long story ", 30000)
	for _, c := range []struct {
		name, path, body string
		status           int
		code, param      string // "" is not looked at
	}{
		{"no JSON", chats, `{`, 400, "", ""},
		{"no body", chats, ` `, 400, "", ""},
		{"a list", chats, `[]`, 400, "", ""},
		{"two values", chats, `{} {}`, 400, "", ""},
		{"deep", chats, `{"messages":` + strings.Repeat("[", 200000), 400, "", ""},
		{"deep and whole", chats, chat(`"metadata":` + strings.Repeat("[", 200000) + strings.Repeat("]", 200000)), 400, "", ""},
		{"no messages", chats, `{}`, 400, "missing_required_parameter", "messages"},
		{"role", chats, `{"messages":[{"role":"king","content":"Hi"}]}`, 400, "", "messages[0].role"},
		{"picture", chats, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`, 400, "unsupported_value", ""},
		{"model", chats, chat(`"model":"gpt-5"`), 404, "model_not_found", "model"},
		{"huge number", chats, chat(`"temperature":1e999`), 400, "", "temperature"},
		{"huge integer", chats, chat(`"max_tokens":99999999999999999999`), 400, "", "max_tokens"},
		{"fraction", chats, chat(`"max_tokens":1.5`), 400, "", "max_tokens"},
		{"text for a number", chats, chat(`"n":"2"`), 400, "", "n"},
		{"negative", chats, chat(`"max_tokens":-2`), 400, "", "max_tokens"},
		{"hot", chats, chat(`"temperature":2.1`), 400, "", "temperature"},
		{"many choices", chats, chat(`"n":1000000`), 400, "", "n"},
		{"bias of no token", chats, chat(`"logit_bias":{"x":1}`), 400, "", "logit_bias"},
		{"bias of an unknown token", chats, chat(`"logit_bias":{"99999999":1}`), 400, "", "logit_bias"},
		{"top_logprobs alone", chats, chat(`"top_logprobs":2`), 400, "", "top_logprobs"},
		{"stream_options alone", chats, chat(`"stream_options":{"include_usage":true}`), 400, "", "stream_options"},
		{"functions", chats, chat(`"functions":[{"name":"f"}]`), 400, "unsupported_value", "functions"},
		{"tool_choice of none", chats, chat(`"tool_choice":"required"`), 400, "", "tool_choice"},
		{"unknown tool", chats, chat(`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}}`), 400, "", ""},
		{"many messages", chats, `{"messages":[` + strings.Repeat(`{"role":"user","content":""},`, 600) + `{"role":"user","content":""}]}`, 400, "context_length_exceeded", "messages"},
		{"large tools", chats, chat(`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"string","maxLength":100000}}}}}]`), 400, "", "tools"},
		{"tool's schema", chats, chat(`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","not":{}}}}]`), 400, "", "tools[0].function.parameters"},
		{"schema", chats, chat(`"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"objekt"}}}`), 400, "", "response_format.json_schema.schema"},
		{"format", chats, chat(`"response_format":{"type":"xml"}`), 400, "", ""},
		{"grammar", chats, chat(`"grammar":"root ::= ("`), 400, "", "grammar"},
		{"grammar and format", chats, chat(`"grammar":"root ::= \"a\"","response_format":{"type":"json_object"}`), 400, "", "grammar"},
		{"endless and bound", chats, chat(`"grammar":"root ::= \"a\"","ignore_eos":true`), 400, "", "ignore_eos"},
		{"long chat", chats, `{"messages":[{"role":"user","content":"` + long + `"}]}`, 400, "context_length_exceeded", "messages"},
		{"long prompt", texts, `{"prompt":"` + long + `"}`, 400, "context_length_exceeded", "prompt"},
		{"long input", replies, `{"input":"` + long + `"}`, 400, "context_length_exceeded", "input"},
		{"no prompt", texts, `{}`, 400, "", "prompt"},
		{"no tokens", texts, `{"prompt":[]}`, 400, "", "prompt"},
		{"token of no vocabulary", texts, `{"prompt":[1,99999999]}`, 400, "", "prompt"},
		{"suffix", texts, `{"prompt":"a","suffix":"b"}`, 400, "unsupported_value", "suffix"},
		{"best_of", texts, `{"prompt":"a","best_of":3}`, 400, "unsupported_value", "best_of"},
		{"many texts", texts, `{"prompt":["a","b","c"],"n":128}`, 400, "", "prompt"},
		{"memory", replies, `{"input":"a","previous_response_id":"resp_1"}`, 400, "unsupported_value", "previous_response_id"},
		{"built-in tool", replies, `{"input":"a","tools":[{"type":"web_search"}]}`, 400, "unsupported_value", "tools[0].type"},
		{"embeddings of a model that writes", "/v1/embeddings", `{"input":"a"}`, 400, "unsupported_value", "model"},
		{"nothing to tokenize", "/tokenize", `{}`, 400, "missing_required_parameter", "content"},
		{"unknown token", "/detokenize", `{"tokens":[1,-1]}`, 400, "", "tokens[1]"},
		{"large", chats, chat(`"user":"` + strings.Repeat("x", 2<<20) + `"`), 413, "request_too_large", ""},
		{"unknown route", "/v1/audio/speech", `{}`, 404, "unknown_url", ""},
		{"method", "/v1/models", `{}`, 405, "method_not_supported", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, stream := range []string{"", `"stream":true,`} {
				body := c.body
				if stream != "" {
					if !strings.HasPrefix(body, `{"`) || !strings.HasPrefix(c.path, "/v1/") || c.name == "stream_options alone" {
						continue
					}
					body = "{" + stream + body[1:]
				}
				w, answer := s.ask(t, "POST", c.path, body)
				var e struct {
					Error struct{ Message, Type, Code, Param string }
				}
				if err := json.Unmarshal(answer, &e); err != nil || w.StatusCode != c.status || e.Error.Message == "" || e.Error.Type == "" ||
					c.code != "" && e.Error.Code != c.code || c.param != "" && e.Error.Param != c.param {
					t.Errorf("status %d, want %d, code %q, param %q: %.300s", w.StatusCode, c.status, c.code, c.param, answer)
				}
			}
		})
	}
	if got := s.Status(); got.Running != 0 || got.Waiting != 0 || got.Generated != 0 {
		t.Errorf("refused requests have left %+v", got)
	}
}

func TestGuard(t *testing.T) {
	s := start(t, func(o *Options) {
		o.APIKeys, o.Hosts, o.Origins = []string{"secret", "other"}, []string{"box.lan"}, []string{"https://app.example"}
	})
	for _, c := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"no key", "GET", "/v1/models", nil, 401},
		{"wrong key", "GET", "/v1/models", []string{"Authorization", "Bearer secre"}, 401},
		{"another kind", "GET", "/v1/models", []string{"Authorization", "Basic secret"}, 401},
		{"key", "GET", "/v1/models", []string{"Authorization", "Bearer secret"}, 200},
		{"second key", "GET", "/v1/models", []string{"Authorization", "bearer other"}, 200},
		{"health has none", "GET", "/health", nil, 200},
		{"metrics has one", "GET", "/metrics", nil, 401},
		{"foreign host", "GET", "/health", []string{"Host", "evil.example"}, 403},
		{"own host", "GET", "/health", []string{"Host", "box.lan:8080"}, 200},
		{"localhost", "GET", "/health", []string{"Host", "LOCALHOST:1"}, 200},
		{"address", "GET", "/health", []string{"Host", "[::1]:8080"}, 200},
		{"foreign page", "GET", "/health", []string{"Origin", "https://evil.example"}, 403},
		{"no page", "GET", "/health", []string{"Origin", "null"}, 403},
		{"known page", "GET", "/health", []string{"Origin", "https://app.example"}, 200},
		{"preflight", "OPTIONS", "/v1/models", []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}, 204},
		{"foreign preflight", "OPTIONS", "/v1/models", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403},
	} {
		w, body := s.ask(t, c.method, c.path, "", c.header...)
		if w.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, w.StatusCode, c.status, body)
		}
		if allowed := w.Header.Get("Access-Control-Allow-Origin"); (allowed != "") != strings.Contains(strings.Join(c.header, " "), "app.example") {
			t.Errorf("%s: allows origin %q", c.name, allowed)
		}
	}
	w, _ := s.ask(t, "POST", "/tokenize", `{"content":"a"}`, "Content-Type", "text/plain", "Authorization", "Bearer secret")
	if w.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a form's type: status %d", w.StatusCode)
	}
}

// zeros is a body that never ends before n bytes.
func zeros(n int64) io.Reader {
	return io.LimitReader(readerFunc(func(b []byte) (int, error) {
		for i := range b {
			b[i] = ' '
		}
		return len(b), nil
	}), n)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestLargeBody: 100 MB are refused without being read, told beforehand or not.
func TestLargeBody(t *testing.T) {
	s := start(t, nil)
	for _, told := range []int64{100 << 20, -1} {
		var read atomic.Int64
		body := zeros(100 << 20)
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/completions", readerFunc(func(b []byte) (int, error) {
			n, err := body.Read(b)
			read.Add(int64(n))
			return n, err
		}))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = told
		r.Header.Set("Content-Type", "application/json")
		w, err := s.client.Do(r)
		if n := read.Load(); n > 64<<20 {
			t.Errorf("length %d: %d bytes were taken", told, n)
		}
		if err != nil { // the server has closed while the client was writing
			if !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") {
				t.Errorf("length %d: %v", told, err)
			}
			continue
		}
		w.Body.Close()
		if w.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("length %d: status %d", told, w.StatusCode)
		}
	}
}

func TestNew(t *testing.T) {
	for _, o := range []Options{{}, {Name: "a"}, {Name: "a", Model: model(t)}} {
		if s, err := New(o); err == nil || s != nil {
			t.Errorf("New(%+v): %v, %v", o, s, err)
		}
	}
}

// TestEmbeddings: vectors are those of the engine, in both forms.
func TestEmbeddings(t *testing.T) {
	m, err := engine.Load(t.Context(), "../testdata/encoders/bert-mean.gguf", engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e, err := m.NewEmbedder(engine.EmbedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want, tokens, err := e.Embed(t.Context(), []string{"a cat", "the sun"})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, func(o *Options) { o.Name, o.Embedder = "bert", e })
	for _, format := range []string{"float", "base64"} {
		got := post[openai.EmbeddingResponse](t, s, "/v1/embeddings", `{"model":"bert","input":["a cat","the sun"],"encoding_format":"`+format+`"}`)
		if len(got.Data) != 2 || got.Usage.PromptTokens != tokens || fmt.Sprint(got.Data[0].Embedding.Values, got.Data[1].Embedding.Values) != fmt.Sprint(want[0], want[1]) {
			t.Errorf("%s: %+v, want %v", format, got, want)
		}
	}
	half := post[openai.EmbeddingResponse](t, s, "/v1/embeddings", `{"input":"a cat","dimensions":2}`).Data[0].Embedding.Values
	if n := float64(half[0])*float64(half[0]) + float64(half[1])*float64(half[1]); len(half) != 2 || n < .9999 || n > 1.0001 {
		t.Errorf("2 dimensions: %v", half)
	}
	for body, param := range map[string]string{`{"input":[]}`: "input", `{"input":""}`: "input", `{"input":["a",""]}`: "input", `{"input":[1,2]}`: "input",
		`{"input":"a","dimensions":100000}`: "dimensions", `{"input":"a","encoding_format":"hex"}`: "encoding_format", `{}`: "input",
		`{"input":"` + strings.Repeat("the cat ", 20000) + `"}`: "input"} {
		w, answer := s.ask(t, "POST", "/v1/embeddings", body)
		if w.StatusCode != 400 || !strings.Contains(string(answer), `"param":"`+param+`"`) {
			t.Errorf("%.60s: status %d: %s", body, w.StatusCode, answer)
		}
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize"} {
		if w, answer := s.ask(t, "POST", path, `{"messages":[{"role":"user","content":"a"}],"input":"a","prompt":"a"}`); w.StatusCode != 400 {
			t.Errorf("%s of an encoder: status %d: %s", path, w.StatusCode, answer)
		}
	}
}
