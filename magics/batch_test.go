package magics

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine/chat"
)

// batchFiles writes a file of prompts and names one for the answers.
func batchFiles(t *testing.T, lines ...string) (in, out string) {
	t.Helper()
	dir := t.TempDir()
	in, out = filepath.Join(dir, "prompts.jsonl"), filepath.Join(dir, "answers.jsonl")
	writeFile(t, in, strings.Join(lines, "\n"))
	return in, out
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

type answered struct {
	Line       int
	ID         json.RawMessage
	Error      string
	Text       string
	StopReason string          `json:"stop_reason"`
	NewTokens  int             `json:"new_tokens"`
	ToolCalls  []chat.ToolCall `json:"tool_calls"`
	Seed       *uint64
}

func readAnswers(t *testing.T, path string) (all []answered) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var a answered
		if err := json.Unmarshal(line, &a); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, a)
	}
	return all
}

func lineNumbers(all []answered) (numbers []int) {
	for _, a := range all {
		numbers = append(numbers, a.Line)
	}
	return numbers
}

func TestBatchModel(t *testing.T) {
	in, out := batchFiles(t,
		`{"id": "a", "prompt": "Once upon a time", "max_tokens": 20}`,
		``,
		`{"id": 7, "prompt": "What is AI?"}`,
		`{"prompt": "There was", "max_tokns": 3}`,
		`{"custom_id": "m", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "x", "messages": [{"role": "user", "content": "Once upon a time"}], "max_completion_tokens": 5}}`,
		`{"prompt": "x", "messages": []}`,
		`not JSON`,
		`{"prompt": "Tom had", "temperature": 1, "seed": 3}`,
		`{"prompt": "What is AI?", "stop": "girl"}`)
	k := newTestInterpreter(t)
	run(k, "%load demo --silent")
	got := run(k, fmt.Sprintf("%%infer --batch %s --output %s --temperature 0 --max-tokens 8 --parallel 3", in, out))
	for _, want := range []string{"line 4: unknown field max_tokns; did you mean max_tokens?", "line 6: want one of prompt and messages", "line 7: want a JSON object",
		"answers.jsonl: 5 of 8 lines answered · 3 failed · ", " · 3 at once · ", "error: ModelError: 3 lines of 8 failed: "} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	all := readAnswers(t, out)
	if n := lineNumbers(all); !slices.Equal(n, []int{1, 3, 4, 5, 6, 7, 8, 9}) {
		t.Fatalf("lines %v", n)
	}
	ai := greedy(t, "What is AI?", 200)
	before, _, found := strings.Cut(ai, "girl")
	if !found {
		t.Fatalf("no girl in %q", ai)
	}
	for i, want := range []answered{
		{ID: json.RawMessage(`"a"`), Text: greedy(t, "Once upon a time", 20), StopReason: "length", NewTokens: 20},
		{ID: json.RawMessage(`7`), Text: greedy(t, "What is AI?", 8), StopReason: "length", NewTokens: 8},
		{}, {ID: json.RawMessage(`"m"`), Text: greedy(t, "Once upon a time", 5), StopReason: "length", NewTokens: 5}, {}, {}, {}, {},
	} {
		if a := all[i]; want.Text != "" && (string(a.ID) != string(want.ID) || a.Text != want.Text || a.StopReason != want.StopReason || a.NewTokens != want.NewTokens || a.Error != "") {
			t.Errorf("line %d: got %+v, want %+v", a.Line, a, want)
		}
	}
	if a := all[6]; a.Seed == nil || *a.Seed != 3 || a.NewTokens != 8 {
		t.Errorf("got %+v, want the seed 3", a)
	}
	if a := all[7]; !strings.HasPrefix(before, a.Text) || a.Error != "" {
		t.Errorf("got %+v, want the beginning of %q", a, before)
	}
}

// echo answers a prompt with itself; it fails as fail says.
func echo(t *testing.T, fail func(prompt string) int) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	f := newFakeServer(t)
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"data":[%s]}`, f.models)
			return
		}
		var q struct {
			Prompt   string
			Messages []struct{ Content string }
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		if len(q.Messages) > 0 {
			q.Prompt = q.Messages[0].Content
		}
		mu.Lock()
		all = append(all, q.Prompt)
		mu.Unlock()
		switch status := fail(q.Prompt); status {
		case 0:
		case -1:
			<-r.Context().Done()
			return
		case 1: // cut off
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"text\":\"half\"}]}\n\n")
			return
		default:
			http.Error(w, fmt.Sprintf(`{"error":{"message":"no: %s"}}`, q.Prompt), status)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if len(q.Messages) > 0 {
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\",\"content\":%q,\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}\n\n", q.Prompt)
		} else {
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":%q,\"finish_reason\":\"stop\"}]}\n\n", q.Prompt)
		}
		fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n")
	})
	return f.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(all)
		return slices.Clone(all)
	}
}

func prompts(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"prompt": "p%02d"}`, i+1))
	}
	return lines
}

// Lines go to all servers, and what ends early waits for nobody.
func TestBatchEndpoints(t *testing.T) {
	k := newTestInterpreter(t)
	slow := func(p string) int {
		if p == "p01" {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond) // long beside what a busy machine takes for a connection
		return 0
	}
	a, askedA := echo(t, slow)
	b, askedB := echo(t, slow)
	in, out := batchFiles(t, append(prompts(40), `{"messages": [{"role": "user", "content": "hi"}], "tools": []}`)...)
	run(k, "%load --silent "+a+" "+b)
	got := run(k, "%infer --parallel 4 --batch "+in+" --output "+out)
	if !strings.Contains(got, "41 of 41 lines answered · ") || !strings.Contains(got, " · 287 prompt tokens · 41 new tokens · 4 at once · ") || strings.Contains(got, "error") {
		t.Errorf("got %q", got)
	}
	all := readAnswers(t, out)
	for i, r := range all[:len(all)-1] {
		if r.Line != i+1 || r.Text != fmt.Sprintf("p%02d", i+1) {
			t.Errorf("answer %d is %+v", i+1, r)
		}
	}
	if r := all[len(all)-1]; r.Text != "hi" || len(r.ToolCalls) != 1 || r.ToolCalls[0].Name != "f" {
		t.Errorf("the chat's answer is %+v", r)
	}
	if x, y := len(askedA()), len(askedB()); x+y != 41 || x < 5 || y < 5 {
		t.Errorf("the servers were asked %d and %d times", x, y)
	}
}

// What is there stays, a torn line and what failed is asked again.
func TestBatchResume(t *testing.T) {
	k := newTestInterpreter(t)
	var well atomic.Bool
	url, asked := echo(t, func(p string) int {
		if p == "p02" && !well.Load() {
			return 400
		}
		return 0
	})
	in, out := batchFiles(t, append(prompts(5), "nonsense")...)
	run(k, "%load --silent "+url)
	cell := "%infer --batch " + in + " --output " + out
	got := run(k, cell)
	if !strings.Contains(got, "line 2: ") || !strings.Contains(got, "no: p02 (400)") || !strings.Contains(got, "4 of 6 lines answered · 2 failed") {
		t.Errorf("got %q", got)
	}
	data, _ := os.ReadFile(out)
	lines := bytes.SplitAfter(data, []byte("\n"))
	torn := append(bytes.Join(lines[:4], nil), lines[4][:len(lines[4])/2]...)
	writeFile(t, out, string(torn))
	writeFile(t, in, strings.Join(append(prompts(5), `{"prompt": "p06"}`, `{"prompt": "p07"}`), "\n"))
	well.Store(true)
	before := len(asked())
	got = run(k, cell)
	if !strings.Contains(got, "7 of 7 lines answered, 3 of them before · ") || strings.Contains(got, "error") {
		t.Errorf("got %q", got)
	}
	if n := len(asked()) - before; n != 4 {
		t.Errorf("asked %d times, want p02, p05, p06 and p07 alone", n)
	}
	all := readAnswers(t, out)
	if n := lineNumbers(all); !slices.Equal(n, []int{1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("lines %v", n)
	}
	whole, _ := os.ReadFile(out)
	if !bytes.HasPrefix(whole, lines[0]) {
		t.Errorf("the first answer became %q", whole)
	}
	writeFile(t, out, string(bytes.TrimSuffix(whole, []byte("\n"))))
	if got = run(k, cell); !strings.Contains(got, "7 of 7 lines answered, 7 of them before") || len(asked()) != before+4 {
		t.Errorf("all are there: got %q", got)
	}
	if again, _ := os.ReadFile(out); !bytes.Equal(again, whole) {
		t.Errorf("got %q, want %q", again, whole)
	}
}

// Wherever a file was torn off: what is whole stays, what is not is asked again.
func TestBatchTorn(t *testing.T) {
	in, out := batchFiles(t, prompts(3)...)
	lines, err := readBatch(in)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openAnswers(out, in, lines)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openAnswers(out, in, lines); err == nil || !strings.Contains(err.Error(), "another run is writing") {
		t.Errorf("a second writer: %v", err)
	}
	add := func(a *answerFile, line int) {
		text := "naïve \"é\"\n"
		if err := a.add(&batchRecord{Line: line, Sum: lines[line-1].sum, ID: lines[line-1].id, Text: &text}); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []int{2, 1, 3} {
		add(a, line)
	}
	torn, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(out)
	if bytes.Equal(torn, whole) || lineNumbers(readAnswers(t, out))[0] != 1 {
		t.Fatalf("not in order: %s", whole)
	}
	for n := range len(torn) {
		writeFile(t, out, string(torn[:n]))
		a, err := openAnswers(out, in, lines)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		rest := 0
		for _, line := range []int{1, 2, 3} {
			if !a.done(line) {
				add(a, line)
				rest++
			}
		}
		if least := 3 - bytes.Count(torn[:n], []byte("}")); rest != least {
			t.Errorf("%d bytes: %d lines are to do, want %d", n, rest, least)
		}
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
		if again, _ := os.ReadFile(out); !bytes.Equal(again, whole) {
			t.Fatalf("%d bytes: got %s, want %s", n, again, whole)
		}
	}
}

func TestBatchInterrupt(t *testing.T) {
	k := newTestInterpreter(t)
	var stuck atomic.Bool
	stuck.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	url, asked := echo(t, func(p string) int {
		if stuck.Load() && p == "p01" {
			return -1
		}
		return 0
	})
	in, out := batchFiles(t, prompts(30)...)
	go func() { // all but the first are there
		defer cancel()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if data, _ := os.ReadFile(out); bytes.Count(data, []byte("\n")) == 29 {
				return
			}
		}
	}()
	run(k, "%load --silent "+url)
	cell := "%infer --parallel 2 --batch " + in + " --output " + out
	got := runWith(ctx, k, &recorder{}, cell)
	if !strings.Contains(got, "1 open") || !strings.Contains(got, "interrupted: the same command goes on from here") || !strings.Contains(got, "error: KeyboardInterrupt") {
		t.Errorf("got %q", got)
	}
	if all := readAnswers(t, out); len(all) != 29 || all[0].Line != 2 {
		t.Errorf("%d answers", len(all))
	}
	stuck.Store(false)
	before := len(asked())
	run(k, cell)
	if all := readAnswers(t, out); len(all) != 30 || all[0].Line != 1 || len(asked()) != before+1 {
		t.Errorf("%d answers by %d calls", len(all), len(asked())-before)
	}
}

// A model of this process stops, too, and is there for the next cell.
func TestBatchInterruptModel(t *testing.T) {
	k := newTestInterpreter(t)
	run(k, "%load demo --silent")
	ctx, cancel := context.WithCancel(t.Context())
	in, out := batchFiles(t, prompts(2000)...)
	go func() {
		defer cancel()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if data, _ := os.ReadFile(out); bytes.Count(data, []byte("\n")) >= 3 {
				return
			}
		}
	}()
	got := runWith(ctx, k, &recorder{}, "%infer --max-tokens 20 --parallel 4 --batch "+in+" --output "+out)
	all := readAnswers(t, out)
	if len(all) < 3 || len(all) == 2000 || !slices.IsSorted(lineNumbers(all)) || !strings.Contains(got, fmt.Sprintf("%d of 2000 lines answered · %d open", len(all), 2000-len(all))) {
		t.Errorf("%d answers, %q", len(all), got)
	}
	if got := run(k, "%infer --temperature 0 --max-tokens 4 Once"); !strings.Contains(got, greedy(t, "Once", 4)) {
		t.Errorf("then %q", got)
	}
}

// An answer that is cut off is asked for again; a key that is wrong ends it all.
func TestBatchServerFails(t *testing.T) {
	k := newTestInterpreter(t)
	var cuts, status atomic.Int32
	url, asked := echo(t, func(p string) int {
		if status.Load() == 0 && cuts.Add(1) <= 2 {
			return 1
		}
		return int(status.Load())
	})
	in, out := batchFiles(t, prompts(3)...)
	run(k, "%load --silent "+url)
	got := run(k, "%infer --parallel 1 --batch "+in+" --output "+out)
	if all := readAnswers(t, out); len(all) != 3 || all[0].Text != "p01" || len(asked()) != 5 {
		t.Errorf("%+v by %d calls: %s", all, len(asked()), got)
	}
	status.Store(401)
	got = run(k, "%infer --parallel 1 --batch "+in+" --output "+out+"2")
	// The next line may be on its way already.
	if !strings.Contains(got, "error: ModelError: org/tiny: 1 line failed on end") || !strings.Contains(got, "--key-env NAME") || len(asked()) > 7 {
		t.Errorf("%d calls, %q", len(asked()), got)
	}
	status.Store(501)
	in, out = batchFiles(t, prompts(40)...)
	got = run(k, "%infer --parallel 1 --batch "+in+" --output "+out)
	if !strings.Contains(got, "10 lines failed on end, the last one by: ") || !strings.Contains(got, "further errors are in ") {
		t.Errorf("got %q", got)
	}
}

func TestBatchMistakes(t *testing.T) {
	k := newTestInterpreter(t)
	run(k, "%load demo --silent")
	in, out := batchFiles(t, `{"prompt": "a"}`)
	empty, notes := in+".empty", in+".notes"
	writeFile(t, empty, "\n\n")
	writeFile(t, notes, "buy milk")
	other := in + ".other"
	writeFile(t, other, `{"line":1,"sum":"000000000000","text":"of another prompt","seconds":1}`+"\n")
	for _, c := range []struct{ args, want string }{
		{"--batch " + in, "--output FILE is missing"},
		{"--output " + out, "go with --batch FILE"},
		{"--parallel 3 hello", "go with --batch FILE"},
		{"--batch " + in + " --output " + out + " hello", "--batch has the prompts"},
		{"--batch " + in + " --output " + out + " --var x", "--var does not go with --batch"},
		{"--batch " + in + " --output " + out + " --parallel 0", "--parallel 0: want 1 to 1024"},
		{"--batch " + in + ".no --output " + out, "no such file"},
		{"--batch " + empty + " --output " + out, "has no lines"},
		{"--batch " + in + " --output " + in, "has the prompts; name another file"},
		{"--batch " + in + " --output " + filepath.Dir(in), "is no file"},
		{"--batch " + in + " --output " + notes, "line 1 of " + notes + " is no answer of --batch"},
		{"--batch " + in + " --output " + other, "answers a line 1 that the prompts do not have, or no longer have"},
		{"--batch " + in + " --output " + out + " --extra {}", "--extra is for endpoints"},
	} {
		if got := run(k, "%infer "+c.args); !strings.Contains(got, c.want) || !strings.Contains(got, "error: ") {
			t.Errorf("%s: got %q, want %q", c.args, got, c.want)
		}
	}
	if data, _ := os.ReadFile(notes); string(data) != "buy milk" {
		t.Errorf("the notes became %q", data)
	}
}

func TestBatchLineMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                              "want a JSON object",
		`{}`:                              "want one of prompt and messages",
		`{"prompt": 3}`:                   "prompt: want a text",
		`{"prompt": ""}`:                  "prompt: want a text",
		`{"messages": "hi"}`:              "messages: want a list",
		`{"body": 3}`:                     "body: want a JSON object",
		`{"prompt": "a", "model": "x"}`:   "model is not a line's to say",
		`{"prompt": "a", "stream": true}`: "stream is not a line's to say",
	} {
		var l batchLine
		if err := l.read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	in, out := batchFiles(t, `{"prompt": "a", "stop": [""]}`, `{"prompt": "a", "temperature": "hot"}`, `{"prompt": "a", "top_p": 3}`, `{"prompt": "a", "max_tokens": -1}`,
		`{"messages": []}`, `{"messages": [{"role": "nobody", "content": ""}]}`, `{"prompt": "a", "tools": [{"type": "function", "function": {"name": "f"}}]}`, `{"prompt": "`+strings.Repeat("a fox ", 400)+`"}`, `{"prompt": "a", "stop": ""}`)
	k := newTestInterpreter(t)
	run(k, "%load demo --silent\n%infer --batch "+in+" --output "+out)
	all := readAnswers(t, out)
	for i, want := range []string{"stop: want texts", "temperature: ", "top", "max_tokens: -1", "the list is empty", "nobody", "tools go with messages", "context", "stop: want texts"} {
		if i >= len(all) || !strings.Contains(all[i].Error, want) {
			t.Errorf("line %d: got %+v, want %q", i+1, all, want)
		}
	}
}

// A notebook sees one line that changes, and then the summary in its place.
func TestBatchProgress(t *testing.T) {
	k := newTestInterpreter(t)
	url, _ := echo(t, func(p string) int {
		time.Sleep(120 * time.Millisecond)
		return 0
	})
	in, out := batchFiles(t, prompts(6)...)
	run(k, "%load --silent "+url)
	got := runWith(t.Context(), k, &recorder{live: true}, "%infer --parallel 1 --batch "+in+" --output "+out)
	first, _, _ := strings.Cut(got, "\n")
	if !strings.HasPrefix(first, "display_data: answers.jsonl [#") || !strings.Contains(first, " lines of 6 lines, ") || !strings.Contains(first, " tokens/s, ") || !strings.HasSuffix(first, " left") {
		t.Errorf("first %q", first)
	}
	if n := strings.Count(got, "\ndisplay_data: "); n != 0 || !strings.Contains(got, "update_display_data: "+out+": 6 of 6 lines answered") {
		t.Errorf("got %q", got)
	}
}
