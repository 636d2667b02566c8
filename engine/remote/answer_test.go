package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llcuda/llcuda/internal/openai"
)

// Each server lacks something or does something in its own way.
func TestServers(t *testing.T) {
	const piece = "data: {\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":null}]}\n\n"
	call := func(index, id, name, arguments string) string {
		return fmt.Sprintf(piece, fmt.Sprintf(`{"tool_calls":[{%s"id":%s,"type":"function","function":{"name":%s,"arguments":%s}}]}`, index, id, name, arguments))
	}
	calls := []openai.ToolCall{{ID: "a", Function: openai.FunctionCall{Name: "f", Arguments: `{"x": 1}`}},
		{ID: "b", Function: openai.FunctionCall{Name: "g", Arguments: "{}"}}}
	for _, c := range []struct {
		name    string
		q       Request
		scripts []http.HandlerFunc
		want    whole
		stats   Stats
	}{
		{"completion", prompt, []http.HandlerFunc{streams(text("a", ""), text("b", ""), text("", "length"), count, done)},
			whole{Text: "ab", Pieces: 2}, Stats{PromptTokens: 3, NewTokens: 9, Counted: true, Tries: 1, StopReason: "length"}},
		{"chat", chat, []http.HandlerFunc{streams(fmt.Sprintf(piece, `{"role":"assistant","content":""}`), content1("a"), content1("b"), ended, count, done)},
			whole{Text: "ab", Pieces: 2}, Stats{PromptTokens: 3, NewTokens: 9, Counted: true, Tries: 1, StopReason: "stop"}},
		{"no usage", prompt, []http.HandlerFunc{streams(text("a", ""), text("b", "stop"), done)},
			whole{Text: "ab", Pieces: 2}, Stats{NewTokens: 2, Tries: 1, StopReason: "stop"}},
		{"usage of null and in every chunk", prompt, []http.HandlerFunc{streams(
			"data: {\"choices\":[{\"text\":\"a\"}],\"usage\":null}\n\n", "data: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n", done)},
			whole{Text: "ab", Pieces: 2}, Stats{PromptTokens: 3, NewTokens: 2, Counted: true, Tries: 1, StopReason: "stop"}},
		{"no [DONE]", prompt, []http.HandlerFunc{streams(text("a", "stop"))}, whole{Text: "a", Pieces: 1}, Stats{NewTokens: 1, Tries: 1, StopReason: "stop"}},
		{"no finish_reason", prompt, []http.HandlerFunc{streams(text("a", ""), count, "data: [DONE]")}, whole{Text: "a", Pieces: 1},
			Stats{PromptTokens: 3, NewTokens: 9, Counted: true, Tries: 1}},
		{"errors only in whole answers", prompt, []http.HandlerFunc{streams(), says(200, `{"choices":[{"text":"ab","finish_reason":"stop"}]}`), streams(text("ab", "stop"), done)},
			whole{Text: "ab", Pieces: 1}, Stats{NewTokens: 1, Tries: 2, StopReason: "stop"}},
		{"no stream_options", prompt, []http.HandlerFunc{says(400, `{"error":{"message":"Unrecognized request argument supplied: stream_options"}}`), streams(text("a", "stop"), done)},
			whole{Text: "a", Pieces: 1}, Stats{NewTokens: 1, Tries: 2, StopReason: "stop"}},
		{"no stream_options, in FastAPI's words", prompt, []http.HandlerFunc{
			says(422, `{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}`), streams(text("a", "stop"), done)},
			whole{Text: "a", Pieces: 1}, Stats{NewTokens: 1, Tries: 2, StopReason: "stop"}},
		{"no streams", chat, []http.HandlerFunc{says(200, `{"choices":[{"index":0,"message":{"role":"assistant","content":"ab"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":9}}`)},
			whole{Text: "ab", Pieces: 1}, Stats{PromptTokens: 3, NewTokens: 9, Counted: true, Tries: 1, StopReason: "stop"}},
		{"no completions", prompt, []http.HandlerFunc{says(404, `{"detail":"Not Found"}`), streams(content1("a"), ended, done)},
			whole{Text: "a", Pieces: 1}, Stats{NewTokens: 1, Tries: 2, AsChat: true, StopReason: "stop"}},
		{"no completions of a chat model", prompt, []http.HandlerFunc{
			says(404, `{"error":{"message":"This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?"}}`), streams(content1("a"), ended, done)},
			whole{Text: "a", Pieces: 1}, Stats{NewTokens: 1, Tries: 2, AsChat: true, StopReason: "stop"}},
		{"max_completion_tokens", Request{Model: "m", Messages: chat.Messages, MaxTokens: 5}, []http.HandlerFunc{
			says(400, `{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","code":"unsupported_parameter"}}`),
			streams(content1("a"), ended, done)},
			whole{Text: "a", Pieces: 1}, Stats{NewTokens: 1, Tries: 2, StopReason: "stop"}},
		{"other choices", prompt, []http.HandlerFunc{streams("data: {\"choices\":[{\"index\":1,\"text\":\"no\",\"finish_reason\":\"stop\"},{\"index\":0,\"text\":\"a\"}]}\n\n", text("b", "stop"), done)},
			whole{Text: "ab", Pieces: 2}, Stats{NewTokens: 2, Tries: 1, StopReason: "stop"}},
		{"comments and carriage returns", prompt, []http.HandlerFunc{streams(": ping\r\n\r\n", strings.ReplaceAll(text("a", "stop"), "\n", "\r\n"), ":\r\r", "data: [DONE]\r\n\r\n")},
			whole{Text: "a", Pieces: 1}, Stats{NewTokens: 1, Tries: 1, StopReason: "stop"}},
		{"content of parts", chat, []http.HandlerFunc{streams(fmt.Sprintf(piece, `{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`), ended, done)},
			whole{Text: "ab", Pieces: 1}, Stats{NewTokens: 1, Tries: 1, StopReason: "stop"}},
		{"refusal", chat, []http.HandlerFunc{streams(fmt.Sprintf(piece, `{"content":null,"refusal":"No."}`), ended, done)},
			whole{Text: "No.", Pieces: 1}, Stats{NewTokens: 1, Tries: 1, StopReason: "stop"}},
		{"reasoning_content", chat, []http.HandlerFunc{streams(fmt.Sprintf(piece, `{"reasoning_content":"hm"}`), content1("a"), ended, done)},
			whole{Text: "a", Reasoning: "hm", Pieces: 2}, Stats{NewTokens: 2, Tries: 1, StopReason: "stop"}},
		{"reasoning", chat, []http.HandlerFunc{streams(fmt.Sprintf(piece, `{"reasoning":"hm","content":null}`), fmt.Sprintf(piece, `{"reasoning":null,"content":"a"}`), ended, done)},
			whole{Text: "a", Reasoning: "hm", Pieces: 2}, Stats{NewTokens: 2, Tries: 1, StopReason: "stop"}},
		{"both names of reasoning", chat, []http.HandlerFunc{streams(fmt.Sprintf(piece, `{"reasoning":"hm","reasoning_content":"hm"}`), content1("a"), ended, done)},
			whole{Text: "a", Reasoning: "hm", Pieces: 2}, Stats{NewTokens: 2, Tries: 1, StopReason: "stop"}},
		{"tool calls in parts", chat, []http.HandlerFunc{streams(call(`"index":0,`, `"a"`, `"f"`, `""`), call(`"index":0,`, "null", "null", `"{\"x\""`), call(`"index":0,`, "null", "null", `": 1}"`),
			call(`"index":1,`, `"b"`, `"g"`, `"{}"`), ended, done)}, whole{Calls: calls, Pieces: 4}, Stats{NewTokens: 4, Tries: 1, StopReason: "stop"}},
		{"tool calls of a whole answer, arguments as objects", chat, []http.HandlerFunc{says(200,
			`{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x": 1}}},{"id":"b","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`)},
			whole{Calls: calls, Pieces: 1}, Stats{NewTokens: 1, Tries: 1, StopReason: "tool_calls"}},
		{"an empty answer", chat, []http.HandlerFunc{streams(ended, done)}, whole{}, Stats{Tries: 1, StopReason: "stop"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.scripts...)
			p := f.pool(t, Options{})
			for again := range 2 { // what is missing is found out once
				var s Stats
				got, err := generate(t.Context(), p, c.q, &s)
				if d := cmp.Diff(c.want, got); d != "" || err != nil {
					t.Fatalf("%v\n%s", err, d)
				}
				want := c.stats
				want.Server = strings.TrimPrefix(f.URL, "http://")
				if want.FirstToken, want.DecodeTime = s.FirstToken, s.DecodeTime; again == 1 {
					want.Tries = 1
				}
				if d := cmp.Diff(want, s); d != "" {
					t.Errorf("call %d:\n%s", again, d)
				}
				if c.want.Pieces > 0 && s.FirstToken <= 0 || (s.DecodeTime > 0) != (c.want.Pieces > 1) {
					t.Errorf("times %v and %v", s.FirstToken, s.DecodeTime)
				}
			}
			last := f.seen()[len(f.seen())-1]
			if path := "/v1/chat/completions"; (c.stats.AsChat || c.q.Messages != nil) != (last.path == path) {
				t.Errorf("asked %s", last.path)
			}
		})
	}
}

// The body has what the API names, and nothing that was not asked for.
func TestBody(t *testing.T) {
	c, err := New("http://host", Options{})
	if err != nil {
		t.Fatal(err)
	}
	full := Request{Model: "m", Prompt: "p", MaxTokens: 3, Stop: []string{"x"}, Fields: map[string]any{"temperature": 0.5, "tools": json.RawMessage(`[]`)}}
	for _, x := range []struct {
		q    Request
		chat bool
		want string
	}{
		{Request{Model: "m", Prompt: "p"}, false, `{"model":"m","prompt":"p","stream":true,"stream_options":{"include_usage":true}}`},
		{Request{Model: "m", Prompt: "p"}, true, `{"messages":[{"content":"p","role":"user"}],"model":"m","stream":true,"stream_options":{"include_usage":true}}`},
		{chat, true, `{"messages":[{"role":"user","content":"Hi"}],"model":"m","stream":true,"stream_options":{"include_usage":true}}`},
		{full, false, `{"max_tokens":3,"model":"m","prompt":"p","stop":["x"],"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"tools":[]}`},
	} {
		if b, err := c.body(&x.q, x.chat, true); err != nil || string(b) != x.want {
			t.Errorf("got %s, %v, want %s", b, err, x.want)
		}
	}
	c.noMaxTokens.Store(true)
	c.noStreamOptions.Store(true)
	if b, err := c.body(&full, true, true); err != nil || string(b) != `{"max_completion_tokens":3,"messages":[{"content":"p","role":"user"}],"model":"m","stop":["x"],"stream":true,"temperature":0.5,"tools":[]}` {
		t.Errorf("got %s, %v", b, err)
	}
}

// An answer that ends midway says how much came, and is not asked for again.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts []string
		want  string
	}{
		{"connection", []string{text("a", ""), text("bc", ""), "CUT"}, "the answer was cut off after 2 pieces (3 bytes of text): the connection ended"},
		{"clean end", []string{text("a", ""), text("bc", "")}, "the answer was cut off after 2 pieces (3 bytes of text): the connection ended"},
		{"within an event", []string{text("a", ""), text("bc", ""), "data: {\"choices\":[{\"te"}, "the answer was cut off after 2 pieces (3 bytes of text): the connection ended"},
		{"no reason", []string{text("a", ""), text("bc", ""), done}, "the answer was cut off after 2 pieces (3 bytes of text): it has no finish_reason"},
		{"error", []string{text("a", ""), text("bc", ""), "data: {\"error\":{\"message\":\"out of\\nmemory\",\"code\":500}}\n\n", done}, "cut off after 2 pieces (3 bytes of text): remote: 127.0.0.1:"},
		{"named error", []string{text("a", ""), text("bc", ""), "event: error\ndata: {\"message\":\"out of memory\"}\n\n", done}, ": out of memory"},
		{"nonsense", []string{text("a", ""), text("bc", ""), "data: nonsense\n\n", done}, "an event is not what the API has"},
		{"silence", []string{text("a", ""), text("bc", ""), "HANG"}, "nothing came for 100ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, streams(c.parts...))
			var s Stats
			got, err := generate(t.Context(), f.pool(t, Options{Idle: 100 * time.Millisecond}), prompt, &s)
			var cut *CutError
			if !errors.As(err, &cut) || cut.Pieces != 2 || cut.Bytes != 3 || got.Text != "abc" || s.StopReason != "error" || s.NewTokens != 2 {
				t.Errorf("got %+v, %v, %+v", got, err, s)
			}
			contains(t, err, c.want)
			if n := len(f.seen()); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

// Before the first piece nothing is lost by asking again.
func TestAgain(t *testing.T) {
	good := streams(text("a", "stop"), done)
	for _, c := range []struct {
		name string
		bad  http.HandlerFunc
		more int // calls without a stream, in place of one with
	}{
		{"429", says(429, `{"error":{"message":"slow down"}}`), 0},
		{"500", says(500, ""), 0},
		{"503", says(503, "<html>no healthy upstream</html>"), 0},
		{"cut before the answer", streams("CUT"), 0},
		{"end before the answer", streams(), 1},
		{"error in the stream", streams("data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n"), 0},
		{"no answer at all", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.bad, c.bad, good)
			p := f.pool(t, Options{})
			var told []Notice
			p.Notify = func(n Notice) { told = append(told, n) }
			var s Stats
			if got, err := generate(t.Context(), p, prompt, &s); err != nil || got.Text != "a" || s.Tries != 3 || len(told) != 2-c.more {
				t.Errorf("got %+v, %v, %+v, told %v", got, err, s, told)
			}
			f = newFake(t, c.bad)
			p = f.pool(t, Options{})
			_, err := generate(t.Context(), p, prompt, &s)
			contains(t, err, "(tried 5 times)")
			if n := len(f.seen()); n != 5+c.more || s.StopReason != "error" {
				t.Errorf("%d calls, %+v", n, s)
			}
		})
	}
}

// Where the request is at fault, it is sent once.
func TestNotAgain(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		status  int
		message string
	}{
		{"400", says(400, `{"error":{"message":"This model's maximum context length is 2048 tokens.","type":"BadRequestError","code":400}}`), 400, "maximum context length is 2048 tokens. (400)"},
		{"401", says(401, `{"error":{"message":"Incorrect API key provided: sk-the-key-itself.","code":"invalid_api_key"}}`), 401, "Incorrect API key provided: (the key). (401)"},
		{"404", says(404, `{"object":"error","message":"The model `+"`m`"+` does not exist.","type":"NotFoundError","code":404}`), 404, "does not exist. (404)"},
		{"quota", says(429, `{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}`), 429, "exceeded your current quota (429)"},
		{"501", says(501, `{"error":"no completions here"}`), 501, ""},
		{"long wait", says(429, `{"error":{"message":"later"}}`, "Retry-After", "3600"), 429, "later (429)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.answer)
			_, err := generate(t.Context(), f.pool(t, Options{Key: "sk-the-key-itself"}), chat, nil)
			if e := apiError(err); e == nil || e.Status != c.status || strings.Contains(err.Error(), "itself") {
				t.Errorf("got %v", err)
			}
			contains(t, err, c.message)
			if n := len(f.seen()); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
	// llama-cpp-python's server has no words in a stream for a prompt that is too long.
	mute := newFake(t, streams(), says(400, `{"error":{"message":"This model's maximum context length is 1024 tokens, however you requested 2006 tokens","code":"context_length_exceeded"}}`))
	_, err := generate(t.Context(), mute.pool(t, Options{}), prompt, nil)
	contains(t, err, "maximum context length is 1024 tokens")
	if calls := mute.seen(); len(calls) != 2 || calls[0].body["stream"] != true || calls[1].body["stream"] != false || calls[1].body["stream_options"] != nil {
		t.Errorf("asked %+v", calls)
	}
	f := newFake(t, says(200, "<html>welcome</html>", "Content-Type", "text/html"))
	_, err = generate(t.Context(), f.pool(t, Options{}), chat, nil)
	contains(t, err, `an answer of type "text/html" is not what the API has; its address usually ends in /v1`)
	for _, body := range []string{"{}", `{"choices":[]}`, "[1]", `{"choices":7}`} {
		f := newFake(t, says(200, body))
		_, err := generate(t.Context(), f.pool(t, Options{}), chat, nil)
		contains(t, err, "not what the API has")
		if n := len(f.seen()); n != 1 {
			t.Errorf("%s: %d calls, want 1", body, n)
		}
	}
}

// A server's Retry-After is waited for.
func TestRetryAfter(t *testing.T) {
	f := newFake(t, says(503, "", "Retry-After", "0.2"), streams(text("a", "stop"), done))
	start := time.Now()
	if got, err := generate(t.Context(), f.pool(t, Options{}), prompt, nil); err != nil || got.Text != "a" || time.Since(start) < 200*time.Millisecond {
		t.Errorf("got %+v, %v after %s", got, err, time.Since(start))
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-1": 0, "soon": 0, "Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0, "1e300": 0} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}

// A cancelled call closes its connection at once, whatever it waits for.
func TestCancel(t *testing.T) {
	for name, parts := range map[string][]string{"in the answer": {text("a", ""), "HANG"}, "before the answer": {"HANG"}} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan bool, 1)
			begun := make(chan bool, 1)
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				begun <- true
				streams(parts...)(w, r)
				gone <- true
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-begun
				time.Sleep(20 * time.Millisecond)
				cancel()
			}()
			var s Stats
			_, err := generate(ctx, f.pool(t, Options{}), prompt, &s)
			if !errors.Is(err, context.Canceled) || s.StopReason != "cancelled" {
				t.Errorf("got %v, %+v", err, s)
			}
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Error("the server was not told")
			}
		})
	}
	t.Run("while waiting", func(t *testing.T) {
		f := newFake(t, says(503, "", "Retry-After", "60"))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := generate(ctx, f.pool(t, Options{}), prompt, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("by leaving", func(t *testing.T) {
		gone := make(chan bool, 1)
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			streams(text("a", ""), "HANG")(w, r)
			gone <- true
		})
		var s Stats
		for range f.pool(t, Options{}).Generate(t.Context(), prompt, &s) {
			break
		}
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Error("the server was not told")
		}
	})
}

func TestFirstByte(t *testing.T) {
	f := newFake(t, streams("HANG"))
	_, err := generate(t.Context(), f.pool(t, Options{FirstByte: 50 * time.Millisecond}), prompt, nil)
	contains(t, err, "no answer within 50ms")
	if n := len(f.seen()); n != 1 {
		t.Errorf("%d calls, want 1: it has waited long enough", n)
	}
	// A server that only keeps the connection alive is alive.
	f = newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 6 {
			fmt.Fprint(w, ": waiting\n\n")
			http.NewResponseController(w).Flush()
			time.Sleep(40 * time.Millisecond)
		}
		fmt.Fprint(w, text("a", "stop"))
	})
	if got, err := generate(t.Context(), f.pool(t, Options{FirstByte: 150 * time.Millisecond, Idle: 150 * time.Millisecond}), prompt, nil); err != nil || got.Text != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPerSecond(t *testing.T) {
	for _, c := range []struct {
		name   string
		s      Stats
		want   float64
		atOnce bool
	}{
		{"streamed", Stats{NewTokens: 11, FirstToken: time.Second, DecodeTime: 2 * time.Second}, 5, false},
		{"one token", Stats{NewTokens: 1, FirstToken: time.Second}, 0, false},
		{"nothing", Stats{}, 0, false},
		{"whole", Stats{NewTokens: 11, FirstToken: time.Second}, 0, true},
		{"held back by a proxy", Stats{NewTokens: 20, FirstToken: time.Second, DecodeTime: 300 * time.Microsecond}, 0, true},
	} {
		if got := c.s.PerSecond(); got != c.want || c.s.AtOnce() != c.atOnce {
			t.Errorf("%s: got %v and %v, want %v and %v", c.name, got, c.s.AtOnce(), c.want, c.atOnce)
		}
	}
}
