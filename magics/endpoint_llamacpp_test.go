package magics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// llamaCppPython answers as the server of llama-cpp-python 0.3.36 was seen to:
// it lists its model as "me", counts no tokens in a stream, drops the answer
// under way for each new call, with [DONE] and no finish_reason, and sends
// nothing at all in a stream where the prompt is too long.
func llamaCppPython(t *testing.T) (url string) {
	var mu sync.Mutex
	next := make(chan bool) // closed by the next call
	words := []string{"a", "b", "c", "d"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"object":"list","data":[{"id":"/models/m.gguf","object":"model","owned_by":"me","permissions":[]}]}`)
	})
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Prompt string
			Stream bool
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		mu.Lock()
		close(next)
		next = make(chan bool)
		dropped := next
		mu.Unlock()
		if len(q.Prompt) > 1000 && !q.Stream {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"message":"This model's maximum context length is 1024 tokens, however you requested 2006 tokens (2001 in your prompt; 5 for the completion). Please reduce your prompt; or completion length.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		if len(q.Prompt) > 1000 {
			return
		}
		const chunk = "data: {\"id\": \"cmpl-dc6ee650\", \"object\": \"text_completion\", \"created\": 1795850376, \"model\": \"m\", \"choices\": [{\"text\": %q, \"index\": 0, \"logprobs\": null, \"finish_reason\": %s}]}\n\n"
		for _, word := range words {
			fmt.Fprintf(w, chunk, word, "null")
			w.(http.Flusher).Flush()
			select {
			case <-dropped:
				fmt.Fprint(w, "data: [DONE]\n\n")
				return
			case <-time.After(3 * time.Millisecond):
			}
		}
		fmt.Fprintf(w, chunk+"data: [DONE]\n\n", "", `"length"`)
	})
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h.URL
}

func TestEndpointLlamaCppPython(t *testing.T) {
	k := newTestInterpreter(t)
	if got := run(k, "%load "+llamaCppPython(t)+" --as m"); !strings.HasPrefix(got, "display_data: loaded m: /models/m.gguf at http://127.0.0.1:") {
		t.Errorf("%%load shows %q", got)
	}
	got := run(k, "%infer --max-tokens 4 --top-k 5 --repeat-penalty 1.1 Hi")
	if !strings.HasPrefix(got, "stdout: abcd\n") || !strings.Contains(got, " · 4 pieces (the server counts no tokens) · ") || !strings.HasSuffix(got, "stop: max-tokens") {
		t.Errorf("%%infer shows %q", got)
	}
	if got := run(k, "%infer "+strings.Repeat("word ", 2000)); !strings.Contains(got, "maximum context length is 1024 tokens") || strings.Contains(got, "again") {
		t.Errorf("a prompt that is too long: %q", got)
	}
	in, out := batchFiles(t, prompts(6)...)
	got = run(k, "%infer --batch "+in+" --output "+out)
	if !strings.Contains(got, "6 of 6 lines answered · ") || !strings.Contains(got, " pieces/s · 24 new pieces · 1 at once · ") {
		t.Errorf("--batch shows %q", got)
	}
	_, out = batchFiles(t)
	got = run(k, "%infer --json --batch "+in+" --output "+out)
	if !strings.Contains(got, `"pieces":24`) || strings.Contains(got, "_tokens") {
		t.Errorf("--batch --json shows %q", got)
	}
	// Who insists on several gets whole answers or errors, never a part.
	in, out = batchFiles(t, prompts(6)...)
	run(k, "%infer --parallel 3 --batch "+in+" --output "+out)
	for _, r := range readAnswers(t, out) {
		if whole := r.Text == "abcd" && r.StopReason == "length"; whole == strings.Contains(r.Error, "the answer was cut off after ") {
			t.Errorf("answer %+v", r)
		}
	}
}
