package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestInferBatch(t *testing.T) {
	in := write(t, "prompts.jsonl", `{"id": "a", "prompt": "Once upon a time"}`+"\n"+`{"prompt": "What is AI?", "max_tokens": 3}`+"\n")
	out := in + ".out"
	_, errs, err := command(t, "", "infer", "demo", "--batch", in, "--output", out, "--parallel", "2", "--temperature", "0", "--max-tokens", "6", "-t", "1", "--ctx", "200")
	if err != nil || !strings.Contains(errs, "context 200") || !strings.Contains(errs, "2 of 2 lines answered · ") {
		t.Fatalf("%v: %s", err, errs)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for i, want := range []string{output(t, "", "infer", "demo", "Once upon a time", "--temperature", "0", "--max-tokens", "6"),
		output(t, "", "infer", "demo", "What is AI?", "--temperature", "0", "--max-tokens", "3")} {
		var r struct{ Text string }
		if err := json.Unmarshal([]byte(lines[i]), &r); err != nil || r.Text+"\n" != want {
			t.Errorf("%v: got %q, want %q", err, r.Text, want)
		}
	}
	summary := outputJSON[map[string]any](t, "infer", "demo", "--batch", in, "--output", out, "--json")
	if summary["before"] != 2.0 || summary["answered"] != 0.0 {
		t.Errorf("again: %v", summary)
	}
}

func TestInferBatchMistakes(t *testing.T) {
	in := write(t, "prompts.jsonl", `{"prompt": "a"}`+"\n"+`{}`)
	for want, args := range map[string][]string{
		"--batch has the prompts":     {"--batch", in, "--output", in + ".out", "hello"},
		"--output FILE is missing":    {"--batch", in},
		"go with --batch FILE":        {"--output", in + ".out", "hello"},
		"--threads -1":                {"--batch", in, "--output", in + ".out", "-t", "-1"},
		"go with an address":          {"--model", "x", "hello"},
		"1 line of 2 failed: \"error": {"--batch", in, "--output", in + ".out", "--max-tokens", "1"},
	} {
		if _, _, err := command(t, "", append([]string{"infer", "demo"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}

// A server's address stands where a model's name does.
func TestInferEndpoint(t *testing.T) {
	var seen map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"data":[{"id":"a"},{"id":"b"}]}`)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&seen)
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"text\":\" Yes.\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	defer s.Close()
	out, errs, err := command(t, "Is it?", "infer", s.URL, "--model", "b", "--max-tokens", "9", "--stop", `\n`, "--stop", "\n\n", "--extra", `{"user": "me"}`)
	if err != nil || out != " Yes.\n" || !strings.Contains(errs, "stop: stop text") {
		t.Errorf("%v: %q, %q", err, out, errs)
	}
	body, _ := json.Marshal(seen)
	if want := `{"max_tokens":9,"model":"b","prompt":"Is it?","stop":["\n","\n\n"],"stream":true,"stream_options":{"include_usage":true},"user":"me"}`; string(body) != want {
		t.Errorf("sent %s, want %s", body, want)
	}
	if _, _, err = command(t, "", "infer", s.URL, "hello"); err == nil || !strings.Contains(err.Error(), "has 2 models; choose one with --model") {
		t.Errorf("no --model: %v", err)
	}
}
