package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
		"--batch has the prompts":                                   {"--batch", in, "--output", in + ".out", "hello"},
		"infer: --output FILE is missing: where do the answers go?": {"--batch", in},
		"infer: --batch: open /no/such/file: no such file":          {"--batch", "/no/such/file", "--output", in + ".out"},
		"go with --batch FILE":                                      {"--output", in + ".out", "hello"},
		"--threads -1":                                              {"--batch", in, "--output", in + ".out", "-t", "-1"},
		"go with an address":                                        {"--model", "x", "hello"},
		"1 line of 2 failed: \"error":                               {"--batch", in, "--output", in + ".out", "--max-tokens", "1"},
	} {
		if _, _, err := command(t, "", append([]string{"infer", "demo"}, args...)...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%") {
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

// What a cell would be told, a shell is told in its own words.
func TestEndpointMistakes(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"data":[{"id":"a"}]}`)
			return
		}
		http.Error(w, `{"error":{"message":"no key"}}`, http.StatusUnauthorized)
	}))
	defer s.Close()
	t.Setenv("LLCUDA_TEST_KEY", "")
	for want, args := range map[string][]string{
		"load: --ctx is for models on this machine":                   {"infer", s.URL, "--ctx", "100", "hello"},
		"no key (401); --key-env NAME names the environment variable": {"infer", s.URL, "hello"},
		"export LLCUDA_TEST_KEY=… sets it":                            {"embed", s.URL, "--key-env", "LLCUDA_TEST_KEY", "hello"},
		"embed: --truncate is for models on this machine":             {"embed", s.URL, "--truncate", "hello"},
		"embed: --extra: input is set":                                {"embed", s.URL, "--extra", `{"input": 1}`, "hello"},
		"load: --quantize is for models on this machine":              {"embed", s.URL, "--quantize", "q4_0", "hello"},
		"load: --adapter is for models":                               {"infer", s.URL, "--adapter", "a", "hello"},
		"is the address of a server, and this needs a model on this":  {"bench", s.URL},
		"embed: text 2 is empty":                                      {"embed", s.URL, "hello", " "},
		"a: 127.0.0.1:":                                               {"embed", s.URL, "hello"},
		"embed: --model goes with an address":                         {"embed", "demo", "--model", "a", "hello"},
	} {
		if _, _, err := command(t, "", args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%") {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}

// An endpoint gives the vectors that the model gives here.
func TestEmbedEndpoint(t *testing.T) {
	url := served(t, tinyEncoder, "--alias", "tiny")
	t.Setenv("OPENAI_API_KEY", servedKey)
	texts := []string{"The cat sat on the mat.", "war and\npeace"}
	want := outputJSON[embedResult](t, append([]string{"embed", tinyEncoder, "--json"}, texts...)...)
	got := outputJSON[embedResult](t, append([]string{"embed", url, "--json", "--model", "tiny"}, texts...)...)
	if got.Model != "tiny" || got.Pooling != "" || got.Dimensions != want.Dimensions || got.Tokens != want.Tokens || len(got.Vectors) != 2 {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i, v := range got.Vectors {
		for j, x := range v {
			if math.Abs(float64(x-want.Vectors[i][j])) > 1e-6 {
				t.Errorf("text %d, number %d: %g, here %g", i, j, x, want.Vectors[i][j])
			}
		}
	}
	here, there := output(t, "", append([]string{"embed", tinyEncoder}, texts...)...), output(t, "", append([]string{"embed", url}, texts...)...)
	if here != there {
		t.Errorf("got %q, here %q", there, here)
	}
}

func TestFlagErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"infer: --max-tokens x: want a whole number":           {"infer", "demo", "--max-tokens", "x"},
		"infer: --temperature x: want a number":                {"infer", "demo", "--temperature", "x"},
		"infer: --seed -1: want a whole number from 0":         {"infer", "demo", "--seed", "-1"},
		"infer: --json maybe: want true or false":              {"infer", "demo", "--json=maybe"},
		"bench: --parallel x: want whole numbers such as 1,8":  {"bench", "demo", "--parallel", "x"},
		"serve: --grace x: want a time such as 90s or 5m":      {"serve", "demo", "--grace", "x"},
		"infer: unknown flag --max-token; did you mean --max-": {"infer", "demo", "--max-token", "3"},
	} {
		_, _, err := command(t, "", args...)
		if usage := (usageError{}); !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "strconv") {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}
