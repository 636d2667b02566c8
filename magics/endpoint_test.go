package magics

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A fakeServer answers as vLLM does: the words of its answer one by one.
type fakeServer struct {
	*httptest.Server
	models string // elements of the list of models
	answer []string
	seen   chan map[string]any // bodies of the calls
	keys   chan string
	hang   bool // goes on for ever behind the answer
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	f := &fakeServer{models: `{"id":"org/tiny","owned_by":"vllm","max_model_len":2048}`, answer: []string{"It", " is", " a", " test", "."},
		seen: make(chan map[string]any, 100), keys: make(chan string, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"list","data":[%s]}`, f.models)
	})
	mux.HandleFunc("POST /v1/completions", f.complete)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) complete(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.seen <- body
	f.keys <- r.Header.Get("Authorization")
	w.Header().Set("Content-Type", "text/event-stream")
	for i, word := range f.answer {
		finish := "null"
		if i == len(f.answer)-1 && !f.hang {
			finish = `"stop"`
		}
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":%q,\"finish_reason\":%s}]}\n\n", word, finish)
		w.(http.Flusher).Flush()
	}
	if f.hang {
		<-r.Context().Done()
		return
	}
	fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n", len(f.answer))
}

func TestEndpoint(t *testing.T) {
	in, f := newTestInterpreter(t), newFakeServer(t)
	t.Setenv("OPENAI_API_KEY", "sk-secret-secret")
	got := run(in, "%load "+f.URL+"/v1")
	if ok, _ := regexp.MatchString(`^display_data: loaded org/tiny: at http://127.0.0.1:\d+/v1, context 2048, in [0-9.]+ (µs|ms|s)$`, got); !ok {
		t.Errorf("%%load shows %q", got)
	}
	got = numbersInSummary.ReplaceAllString(run(in, "%infer --max-tokens 9 --temperature 0.5 --top-k 3 --repeat-penalty 1.1 --seed 4 --stop '\\n' --var said What is it?"), "N $1")
	got = strings.Replace(got, "N tokens/s · ", "", 1) // of five words in no time there may be none
	if want := "stdout: It is a test.\n\ndisplay_data: 7 prompt tokens · 5 new tokens · first token after N "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q…", got, want)
	}
	if v, _ := in.vars.Get("said"); v != "It is a test." {
		t.Errorf("--var holds %q", v)
	}
	body, _ := json.Marshal(<-f.seen)
	if want := `{"max_tokens":9,"model":"org/tiny","prompt":"What is it?","repetition_penalty":1.1,"seed":4,"stop":["\n"],` +
		`"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"top_k":3}`; string(body) != want {
		t.Errorf("sent %s, want %s", body, want)
	}
	if key := <-f.keys; key != "Bearer sk-secret-secret" {
		t.Errorf("key %q", key)
	}
	got = run(in, "%models")
	if !regexp.MustCompile(`(?m)^org/tiny .* 2048 +http://127.0.0.1:\d+/v1 +loaded, current$`).MatchString(got) || strings.Contains(got, "sk-secret") {
		t.Errorf("%%models shows %s", got)
	}
	if got := run(in, "%unload\n%infer x"); !strings.HasPrefix(got, "stdout: unloaded org/tiny\n\nerror: ModelError: no model loaded") {
		t.Errorf("%%unload: %q", got)
	}
}

// What the user leaves open is left to the server.
func TestEndpointDefaults(t *testing.T) {
	in, f := newTestInterpreter(t), newFakeServer(t)
	got := run(in, "%load "+f.URL+"/v1 --silent --as t\n%infer --json --extra '{\"ignore_eos\": true}' Hello")
	body, _ := json.Marshal(<-f.seen)
	if want := `{"ignore_eos":true,"max_tokens":256,"model":"org/tiny","prompt":"Hello","stream":true,"stream_options":{"include_usage":true}}`; string(body) != want {
		t.Errorf("sent %s, want %s", body, want)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got, "stdout: ")), &v); err != nil || v["text"] != "It is a test." || v["model"] != "t" ||
		v["new_tokens"] != 5.0 || v["seed"] != nil || v["stop_reason"] != "eog" {
		t.Errorf("%v: %s", err, got)
	}
	if key := <-f.keys; key != "" {
		t.Errorf("key %q", key)
	}
}

// An interrupt keeps what came and frees the server.
func TestEndpointInterrupt(t *testing.T) {
	in, f := newTestInterpreter(t), newFakeServer(t)
	f.hang = true
	run(in, "%load "+f.URL+"/v1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan string)
	go func() {
		done <- runWith(ctx, in, &recorder{onText: func(string) { cancel() }}, "%infer Go on --var said")
	}()
	select {
	case got := <-done:
		if !strings.HasPrefix(got, "stdout: It") || !strings.Contains(got, "stop: interrupted") || !strings.Contains(got, "error: KeyboardInterrupt: interrupted") {
			t.Errorf("got %q", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still running")
	}
	f.CloseClientConnections()
}

func TestEndpointMistakes(t *testing.T) {
	in, f := newTestInterpreter(t), newFakeServer(t)
	f.models += `,{"id":"org/other","owned_by":"someone"}`
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	url := f.URL + "/v1"
	for _, c := range []struct{ code, want string }{
		{"%load " + url, "has 2 models; choose one with --model: org/tiny, org/other"},
		{"%load " + closed.URL, "connection refused; is the server running, and the address right?"},
		{"%load http://user:secret@host/v1", "host: a name or password in the address would be shown"},
		{"%load http:///v1", "want http://host:8000/v1"},
		{"%load http://host/v1?key=secret", "leave out what follows ?"},
		{"%load " + url + " demo", "demo is no address"},
		{"%load " + url + " " + url, "is named twice"},
		{"%load " + url + " --ctx 4096", "--ctx is for models on this machine"},
		{"%load " + url + " --adapter a --silent", "--adapter is for models on this machine"},
		{"%load " + url + " --quantize q4_0 --as x", "--quantize is for models on this machine"},
		{"%load " + url + " --key-env NO_SUCH_KEY", "NO_SUCH_KEY of --key-env is empty"},
		{"%load demo --model x", "--model and --key-env go with an address"},
		{"%load --model org/other --as o --silent " + url + "\n%infer --top-k 3 x", "--top-k is not part of OpenAI's API, and org/other does not say"},
		{"%infer --max-tokens 0 x", "--max-tokens 0: a server wants a number"},
		{"%infer --extra [] x", "--extra []: want a JSON object"},
		{"%infer --extra '{\"model\":1}' x", "--extra: model is set by the cell"},
		{"%load demo --silent\n%infer --extra {} x", "--extra is for endpoints"},
	} {
		if got := run(in, c.code); !strings.Contains(got, c.want) || !strings.Contains(got, "error: ") || strings.Contains(got, "secret") {
			t.Errorf("%s: got %q, want %q", c.code, got, c.want)
		}
	}
	got := run(in, "%load --model org/tinny "+url)
	if !strings.Contains(got, "stderr: org/tinny is not among the models") || !strings.Contains(got, "did you mean org/tiny?") || strings.Contains(got, "error: ") {
		t.Errorf("a model that is not listed: got %q", got)
	}
}

// A key that nobody named for a server does not leave the machine in the clear.
func TestEndpointKey(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-1")
	t.Setenv("OTHER", " sk-2\n")
	for _, c := range []struct{ address, env, key string }{
		{"http://localhost:8000/v1", "", "sk-1"},
		{"http://127.0.0.1:8000/v1", "", "sk-1"},
		{"http://[::1]:8000/v1", "", "sk-1"},
		{"https://host/v1", "", "sk-1"},
		{"http://host/v1", "", ""},
		{"http://10.0.0.1/v1", "", ""},
		{"http://host/v1", "OPENAI_API_KEY", "sk-1"},
		{"http://host/v1", "OTHER", "sk-2"},
	} {
		key, warning, err := endpointKey(c.address, c.env)
		if key != c.key || err != nil || (warning != "") != (key == "") || strings.Contains(warning, "sk-1") {
			t.Errorf("%s --key-env %q: got %q, %q, %v, want %q", c.address, c.env, key, warning, err, c.key)
		}
	}
}

// The server gets the whole conversation, less what was thought.
func TestEndpointChat(t *testing.T) {
	in, f := newTestInterpreter(t), newFakeServer(t)
	bodies := make(chan map[string]any, 9)
	plain := f.Config.Handler
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/chat/completions" {
			plain.ServeHTTP(w, r)
			return
		}
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		bodies <- body
		w.Header().Set("Content-Type", "text/event-stream")
		for _, delta := range []string{`{"role":"assistant"}`, `{"reasoning_content":"Hm."}`, `{"content":"Ye"}`, `{"content":"s."}`} {
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":null}]}\n\n", delta)
		}
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"+
			"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n")
	})
	run(in, "%load --silent "+f.URL+"/v1 --model org/tiny")
	got := run(in, "%chat Is it? --system Briefly. --max-tokens 9 --temperature 0 --var said")
	for _, want := range []string{"Hm.", "Yes.", "11 prompt tokens · 3 new tokens", "stop: end of text"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if v, _ := in.vars.Get("said"); v != "Yes." {
		t.Errorf("--var holds %q", v)
	}
	run(in, "%chat And now?")
	for _, want := range []string{
		`{"max_tokens":9,"messages":[{"content":"Briefly.","role":"system"},{"content":"Is it?","role":"user"}],"model":"org/tiny","stream":true,"stream_options":{"include_usage":true},"temperature":0}`,
		`{"max_tokens":1024,"messages":[{"content":"Briefly.","role":"system"},{"content":"Is it?","role":"user"},{"content":"Yes.","role":"assistant"},{"content":"And now?","role":"user"}],"model":"org/tiny","stream":true,"stream_options":{"include_usage":true}}`,
	} {
		if body, _ := json.Marshal(<-bodies); string(body) != want {
			t.Errorf("sent %s, want %s", body, want)
		}
	}
}
