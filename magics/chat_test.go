package magics

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/gguf"
)

// templated is the file of a model: the demo's, with a template for chats.
func templated(t *testing.T, template string) string {
	f := demoFile(t)
	f.Meta = append(f.Meta, gguf.KV{Key: "tokenizer.chat_template", Value: template})
	return saved(t, f, "talker.gguf")
}

// talker refuses system messages.
const talker = `{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system, please') }}{% endif %}{{ m.role }}: {{ m.content }}
{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`

// runJSON executes a cell of %chat --json.
func runJSON(t *testing.T, in *Interpreter, code string) (v struct {
	Message chat.Message
	Stop    string `json:"stop_reason"`
	Prompt  int    `json:"prompt_tokens"`
	Reused  int    `json:"reused_tokens"`
	New     int    `json:"new_tokens"`
	LeftOut int    `json:"left_out"`
}) {
	t.Helper()
	got := run(in, code)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got, "stdout: ")), &v); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	return v
}

func TestChat(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load --silent "+templated(t, talker))
	text := greedy(t, "user: Who are you?\nassistant: ", 12)
	got := numbersInSummary.ReplaceAllString(run(in, "%chat Who are you? --temperature 0 --max-tokens 12 --var said"), "N $1")
	want := "stdout: " + strings.TrimSuffix(text, "\n") + "\n\ndisplay_data: N tokens/s · "
	if !strings.HasPrefix(got, want) || strings.Contains(got, "reused") {
		t.Errorf("got %q, want %q…", got, want)
	}
	if said, _ := in.vars.Get("said"); said != text {
		t.Errorf("--var holds %q, want %q", said, text)
	}
	all := "user: Who are you?\nassistant: " + text + "\nuser: And?\nassistant: "
	second := runJSON(t, in, "%%chat --temperature 0 --max-tokens 5 --json\nAnd?")
	if want := greedy(t, all, 5); second.Message.Content != want || second.Reused < second.Prompt/2 || second.New == 0 {
		t.Errorf("the second turn: %+v, want %q", second, want)
	}
	if got, want := run(in, "%chat show"), "display_data: user: Who are you?\nassistant: "+strings.TrimSpace(text)+"\nuser: And?\nassistant: "+
		strings.TrimSpace(second.Message.Content); got != want {
		t.Errorf("%%chat show: %q, want %q", got, want)
	}
}

// The conversation outlives models; each reads it again.
func TestChatWithAnotherModel(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load --silent "+templated(t, talker)+"\n%chat Who are you? --temperature 0 --max-tokens 12")
	got := run(in, "%load --silent demo\n%chat And? --temperature 0 --max-tokens 3")
	if !strings.HasPrefix(got, "display_data: demo has no chat template: it goes on with the text of the messages, as %infer does") {
		t.Errorf("a model without a template: %q", got)
	}
	if strings.Contains(got, "reused") || len(in.talk.messages) != 4 {
		t.Errorf("%d messages; %q", len(in.talk.messages), got)
	}
	if got := run(in, "%chat And? --temperature 0 --max-tokens 3"); strings.Contains(got, "no chat template") || !strings.Contains(got, "tokens reused") {
		t.Errorf("said twice, or nothing reused: %q", got)
	}
	if got := run(in, "%chat And? --model talker --temperature 0 --max-tokens 3"); !strings.Contains(got, "tokens reused") {
		t.Errorf("back at the first model: %q", got)
	}
}

func TestChatCommands(t *testing.T) {
	in := newTestInterpreter(t)
	dir := t.TempDir()
	saved := filepath.Join(dir, "talk.json")
	run(in, "%load demo")
	if err := os.WriteFile(filepath.Join(dir, "tools.json"), []byte(`{"name": "f"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := in.Complete(t.Context(), "%chat --tools "+dir+"/to", len("%chat --tools "+dir+"/to")).Matches; !slices.Equal(got, []string{dir + "/tools.json"}) {
		t.Errorf("completion: %q", got)
	}
	if got := in.Complete(t.Context(), "%chat s", 7).Matches; !slices.Equal(got, []string{"save", "show"}) {
		t.Errorf("completion: %q", got)
	}
	for _, c := range []struct{ code, want string }{
		{"%chat show", "display_data: nothing was said yet"},
		{"%chat undo", "error: UsageError: %chat: nothing was said that could be taken back"},
		{"%chat save " + saved, "error: UsageError: %chat: nothing was said that could be saved"},
		{"%chat save", "error: UsageError: %chat: save FILE.json: the file is missing; as a message it goes into a cell of %%chat"},
		{"%chat load", "error: UsageError: %chat: load FILE.json: the file is missing"},
		{"%chat", "error: UsageError: %chat: the message is missing"},
		{"%chat --system 'Be brief.'", "stdout: system: Be brief."},
		{"%chat --no-think", "stdout: system: Be brief.\nthe model answers at once"},
		{"%chat new", "stdout: a new conversation; the former one had 1 message"},
		{"%chat new --system Hm", "stdout: a new conversation\nsystem: Hm"},
		{"%chat Hello --max-tokens 2", "display_data: demo has no chat template"},
		{"%chat undo", "stdout: took back 2 messages: Hello"},
		{"%chat show", "display_data: system: Hm"},
		{"%chat save " + saved, "stdout: saved 1 message to " + saved},
		{"%chat new", "stdout: a new conversation; the former one had 1 message"},
		{"%chat load " + saved, "stdout: loaded 1 message from " + saved},
		{"%chat load " + dir + "/no.json", "error: FileError: " + dir + "/no.json cannot be read"},
		{"%chat save " + dir + "/no/x.json", "error: FileError: " + dir + "/no/x.json cannot be written"},
		{"%chat --think --no-think x", "error: UsageError: %chat: --think and --no-think exclude each other"},
		{"%chat --tool-result x y", "error: UsageError: %chat: --tool-result x: the model waits for no result"},
		{"%chat --tools " + saved + "x hi", "error: UsageError: %chat: --tools: open "},
		{"%chat --tools " + saved + " hi", "error: UsageError: %chat: --tools " + saved + ": want a JSON list"},
		{"%chat --temperature hot x", "error: UsageError: %chat: --temperature hot: want a number"},
		{"%chat --model no x", "error: ModelError: no loaded model is called no"},
		{"%chat --extra {} x", "error: UsageError: %chat: --extra is for endpoints"},
		{"%chat --tools " + dir + "/tools.json hi", "error: ModelError: demo has no chat template, so that it cannot be told of tools"},
		{"%chat show me the way --max-tokens 1", "display_data: demo has no chat template: "},
	} {
		if got := run(in, c.code); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q…", c.code, got, c.want)
		}
	}
	for name, text := range map[string]string{"role": `[{"role": "ghost", "content": "x"}]`, "empty": `{"messages": []}`, "no JSON": "x",
		"parts": `[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]`, "content": `[{"role": "user", "content": 7}]`} {
		if err := os.WriteFile(saved, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := len(in.talk.messages)
		if got := run(in, "%chat load "+saved); !strings.HasPrefix(got, "error: FileError: "+saved+" is no conversation: ") || len(in.talk.messages) != before {
			t.Errorf("%s: got %q, %d messages", name, got, len(in.talk.messages))
		}
	}
}

// What cannot be answered leaves the conversation as it was.
func TestChatRefused(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load --silent "+templated(t, talker)+" --ctx 128")
	got := run(in, "%%chat --system Obey\nhi")
	if got != "error: ModelError: talker: its template refuses: no system, please; %chat --system '' takes the system's message away, %chat new starts over" {
		t.Errorf("got %q", got)
	}
	if len(in.talk.messages) != 0 {
		t.Errorf("%d messages are left", len(in.talk.messages))
	}
	got = run(in, "%chat "+strings.Repeat("word ", 300))
	if !strings.Contains(got, "error: ModelError: talker: the message and what has to stand before it take") {
		t.Errorf("got %q", got)
	}
	for range 6 {
		got = run(in, "%chat Tell me a story of a dog and a cat. --max-tokens 30")
	}
	if !strings.Contains(got, "new tokens") || in.talk.leftOut == 0 || len(in.talk.messages) != 12 {
		t.Errorf("%d of %d messages left out: %q", in.talk.leftOut, len(in.talk.messages), got)
	}
	if got := run(in, "%chat show"); !strings.Contains(got, "user left out: the context is full: Tell me") {
		t.Errorf("%%chat show: %q", got)
	}
	// Turns that are taken back make room, too.
	kept := in.talk
	for range 5 {
		run(in, "%chat undo")
	}
	if got := run(in, "%chat show"); strings.Contains(got, "left out") || len(in.talk.messages) != 2 {
		t.Errorf("%%chat show after undo: %q", got)
	}
	in.talk = kept
	// "%load --ctx makes more room", the note says: then nothing is left out.
	run(in, "%load --silent "+templated(t, talker)+" --ctx 512")
	if got := run(in, "%chat show"); strings.Contains(got, "left out") {
		t.Errorf("%%chat show with more room: %q", got)
	}
	run(in, "%chat And then? --max-tokens 1")
	if in.talk.leftOut != 0 {
		t.Errorf("with more room: %d messages left out", in.talk.leftOut)
	}
}

func TestChatInterrupt(t *testing.T) {
	in := newTestInterpreter(t)
	in.o.LoadOptions = func(o *engine.Options) { o.Device = &slow{o.Device} }
	run(in, "%load --silent "+templated(t, talker))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := &recorder{onText: func(string) { cancel() }}
	got := runWith(ctx, in, r, "%chat Tell me a story. --max-tokens 0")
	if !strings.Contains(got, "stop: interrupted\nthe part that came stays in the conversation; %chat undo takes the turn back") ||
		!strings.HasSuffix(got, "error: KeyboardInterrupt: interrupted") {
		t.Errorf("got %q", got)
	}
	if m := in.talk.messages; len(m) != 2 || m[1].Content == "" || !strings.HasPrefix(r.stdout.String(), m[1].Content) {
		t.Errorf("messages %+v, shown %q", m, r.stdout.String())
	}
	if got := run(in, "%chat Go on. --max-tokens 2"); strings.Contains(got, "error") || !strings.Contains(got, "reused") {
		t.Errorf("afterwards: %s", got)
	}
}

// TestChatTools has a server think, call and answer.
func TestChatTools(t *testing.T) {
	in, f := newTestInterpreter(t), newFakeServer(t)
	var asked []map[string]any
	f.Config.Handler.(*http.ServeMux).HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		asked = append(asked, body)
		deltas := []string{`{"reasoning_content": "The weather"}`, `{"reasoning_content": "."}`,
			`{"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": "{\"at\":"}}]}`,
			`{"tool_calls": [{"index": 0, "function": {"arguments": "\"Köln\"}"}}]}`, `{"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "time", "arguments": "{}"}}]}`}
		if len(asked) > 1 {
			deltas = []string{`{"content": "It is "}`, `{"content": "3 degrees."}`}
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, d := range deltas {
			fmt.Fprintf(w, "data: {\"choices\": [{\"index\": 0, \"delta\": %s}]}\n\n", d)
		}
		fmt.Fprint(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n")
	})
	tools := filepath.Join(t.TempDir(), "tools.json")
	const definition = `[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}},{"name": "time", "parameters": {}}]`
	if err := os.WriteFile(tools, []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	run(in, "%load --silent "+f.URL+"/v1")
	r := &recorder{live: true}
	got := runWith(context.Background(), in, r, "%chat --tools "+tools+" --think How is the weather?")
	if n := len(r.html); n != 5 || !strings.HasPrefix(r.html[0], "<details open><summary") || !strings.HasPrefix(r.html[1], "<details><summary") ||
		!strings.Contains(r.html[1], ">The weather.</div></details>") || !strings.Contains(r.html[2], "{&#34;at&#34;:&#34;Köln&#34;}") {
		t.Errorf("displays %q", r.html)
	}
	for _, want := range []string{"update_display_data: thought for ", "5 pieces (the server counts no tokens)", "\n  The weather.", "c1 calls weather {\"at\":\"Köln\"}", "c2 calls time {}",
		"the model waits for weather (c1), time (c2): %%chat --tool-result c1 with the result below"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	for _, c := range []struct{ code, want string }{
		{"%chat What?", "error: UsageError: %chat: the model waits for weather (c1), time (c2); "},
		{"%%chat --tool-result c3\n3", "error: UsageError: %%chat: --tool-result c3: the model waits for weather (c1), time (c2)"},
		{"%%chat --tool-result c2\n12:00", "stdout: still open: weather (c1)"},
		{"%%chat --tool-result c1\n3 degrees", "stdout: It is 3 degrees."},
		{"%chat Thanks", "stdout: It is 3 degrees."},
	} {
		if got := run(in, c.code); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q…", c.code, got, c.want)
		}
	}
	if len(asked) != 3 {
		t.Fatalf("%d requests, want 3", len(asked))
	}
	if b, _ := json.Marshal(asked[2]["messages"]); strings.Contains(string(b), "reasoning") || in.talk.messages[1].Reasoning == "" {
		t.Errorf("a former turn's reasoning is sent, or lost: %s", b)
	}
	b, _ := json.Marshal(asked[1]["messages"])
	if want := `[{"content":"How is the weather?","role":"user"},{"content":null,"reasoning_content":"The weather.","role":"assistant","tool_calls":[` +
		`{"function":{"arguments":"{\"at\":\"Köln\"}","name":"weather"},"id":"c1","type":"function"},{"function":{"arguments":"{}","name":"time"},"id":"c2","type":"function"}]},` +
		`{"content":"12:00","name":"time","role":"tool","tool_call_id":"c2"},{"content":"3 degrees","name":"weather","role":"tool","tool_call_id":"c1"}]`; string(b) != want {
		t.Errorf("sent %s\nwant %s", b, want)
	}
	b, _ = json.Marshal(asked[0])
	for _, want := range []string{`"chat_template_kwargs":{"enable_thinking":true}`, `"max_tokens":1024`, `{"function":{"name":"time","parameters":{}},"type":"function"}`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("sent %s, want %s in it", b, want)
		}
	}
}

// TestChatFarFull: where an endpoint's context is full, the oldest turns leave
// in whole, whatever the server calls that.
func TestChatFarFull(t *testing.T) {
	const most = 40 // words that the server takes
	for name, refusal := range map[string]string{
		"OpenAI, llcuda": `{"error": {"message": "Too long.", "type": "invalid_request_error", "code": "context_length_exceeded"}}`,
		"vLLM":           `{"object": "error", "message": "This model's maximum context length is 40 tokens. However, you requested 50 tokens.", "type": "BadRequestError", "code": 400}`,
		"llama.cpp":      `{"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it", "type": "exceed_context_size_error"}}`,
	} {
		in, f := newTestInterpreter(t), newFakeServer(t)
		var asked [][]struct{ Role, Content string }
		f.Config.Handler.(*http.ServeMux).HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
			var body struct {
				Messages []struct{ Role, Content string }
			}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			asked = append(asked, body.Messages)
			words := 0
			for _, m := range body.Messages {
				words += len(strings.Fields(m.Content))
			}
			if words > most {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, refusal)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"one two three four five\"}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n")
		})
		run(in, "%load --silent "+f.URL+"/v1")
		run(in, "%chat new --system Obey")
		for i := range 3 { // 1 + 3 × 12 words
			if got := run(in, fmt.Sprintf("%%chat a b c d e f %d", i)); !strings.HasPrefix(got, "stdout: one two") || strings.Contains(got, "full") {
				t.Fatalf("%s: turn %d: %s", name, i, got)
			}
		}
		got := run(in, "%chat a b c d e f 3")
		if !strings.HasPrefix(got, "stdout: one two") || !strings.Contains(got, "the context is full: the model does not see the oldest 2 messages any more") || strings.Contains(got, "--ctx") {
			t.Errorf("%s: %s", name, got)
		}
		last := asked[len(asked)-1]
		if len(asked) != 5 || len(last) != 6 || last[0].Content != "Obey" || last[1].Content != "a b c d e f 1" {
			t.Errorf("%s: %d requests, the last of %v", name, len(asked), last)
		}
		if got := run(in, "%chat show"); strings.Count(got, "left out: the context is full") != 2 {
			t.Errorf("%s: %s", name, got)
		}
		if got := run(in, "%chat short"); !strings.HasPrefix(got, "stdout: one two") || len(asked) != 6 { // without the first turn at once
			t.Errorf("%s: %d requests: %s", name, len(asked), got)
		}
		messages := len(in.talk.messages)
		got = run(in, "%chat "+strings.Repeat("word ", 50))
		if !strings.Contains(got, "error: ModelError: ") || !strings.Contains(got, "; shorten the message") || len(in.talk.messages) != messages {
			t.Errorf("%s: a message that is too long: %s", name, got)
		}
		if n := len(asked); n > 11 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}
