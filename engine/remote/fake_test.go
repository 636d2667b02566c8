package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llcuda/llcuda/internal/openai"
)

// A call is what a fake server was sent.
type call struct {
	path, key string
	body      map[string]any
}

// A fake is a server of which each call is answered by the next of its
// scripts, and by the last one from then on.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	scripts []http.HandlerFunc
	calls   []call
}

func newFake(t *testing.T, scripts ...http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{scripts: scripts}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			panic(err)
		}
	}
	f.mu.Lock()
	f.calls = append(f.calls, call{r.URL.Path, r.Header.Get("Authorization"), body})
	script := f.scripts[min(len(f.calls), len(f.scripts))-1]
	f.mu.Unlock()
	script(w, r)
}

func (f *fake) seen() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

// client asks the fake, with short times.
func (f *fake) client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(f.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (f *fake) pool(t *testing.T, o Options) *Pool {
	p := NewPool(f.client(t, o))
	p.Backoff = time.Millisecond
	return p
}

// says answers with an error's or another body.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// streams sends events, each with what ends it; "CUT" closes the connection,
// "HANG" waits until the client has gone.
func streams(parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, p := range parts {
			switch p {
			case "CUT":
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			case "HANG":
				<-r.Context().Done()
				return
			}
			fmt.Fprint(w, p)
			http.NewResponseController(w).Flush()
		}
	}
}

func text(s, finish string) string {
	if finish != "" {
		finish = `"` + finish + `"`
	} else {
		finish = "null"
	}
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"text\":%q,\"finish_reason\":%s}]}\n\n", s, finish)
}

func content1(s string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", s)
}

const (
	done  = "data: [DONE]\n\n"
	count = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9,\"total_tokens\":12}}\n\n"
	ended = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
)

// whole is an answer, joined.
type whole struct {
	Text, Reasoning string
	Calls           []openai.ToolCall
	Pieces          int
}

func generate(ctx context.Context, p *Pool, q Request, s *Stats) (a whole, err error) {
	for piece, err := range p.Generate(ctx, q, s) {
		if err != nil {
			return a, err
		}
		a.Pieces++
		a.Text += piece.Text
		a.Reasoning += piece.Reasoning
		for _, c := range piece.ToolCalls {
			for len(a.Calls) <= *c.Index {
				a.Calls = append(a.Calls, openai.ToolCall{})
			}
			at := &a.Calls[*c.Index]
			at.ID += c.ID
			at.Function.Name += c.Function.Name
			at.Function.Arguments += c.Function.Arguments
		}
	}
	return a, nil
}

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String()
}

func apiError(err error) *APIError {
	var e *APIError
	errors.As(err, &e)
	return e
}

var prompt = Request{Model: "m", Prompt: "Hi", MaxTokens: 5}

var chat = Request{Model: "m", Messages: json.RawMessage(`[{"role":"user","content":"Hi"}]`)}

func contains(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("got %v, want %q", err, w)
		}
	}
}
