package magics

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/server"
)

// ownServer serves the demo as llcuda itself does.
func ownServer(t *testing.T) string {
	t.Helper()
	m := demoModel(t)
	b, err := m.NewBatcher(engine.BatcherOptions{Texts: 4})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Name: "demo", Model: m, Generator: b, Parallel: 4})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return h.URL
}

// What llcuda serves, llcuda loads; two servers say what one model says.
func TestEndpointOwnServer(t *testing.T) {
	k := newTestInterpreter(t)
	got := run(k, "%load "+ownServer(t)+"/v1 "+ownServer(t))
	if !strings.Contains(got, "loaded demo: at http://") {
		t.Fatalf("%%load shows %q", got)
	}
	got = run(k, "%infer --temperature 0 --max-tokens 12 --top-k 1 --repeat-penalty 1 --var said What is AI?")
	if v, _ := k.vars.Get("said"); v != greedy(t, "What is AI?", 12) || !strings.Contains(got, "5 prompt tokens · 12 new tokens") {
		t.Errorf("%%infer holds %q and shows %q", v, got)
	}
	run(k, "%chat --temperature 0 --max-tokens 9 --var said Once upon a time")
	if v, _ := k.vars.Get("said"); v != greedy(t, "Once upon a time", 9) {
		t.Errorf("%%chat holds %q", v)
	}
	var lines []string
	for i := range 24 {
		lines = append(lines, fmt.Sprintf(`{"prompt": "Once upon a time", "max_tokens": %d}`, i+1), `{"messages": [{"role": "user", "content": "What is AI?"}], "max_tokens": 7}`)
	}
	in, out := batchFiles(t, append(lines, `{"prompt": "x", "temperature": -1}`)...)
	got = run(k, "%infer --temperature 0 --batch "+in+" --output "+out)
	if !strings.Contains(got, "48 of 49 lines answered · 1 failed") || !strings.Contains(got, "line 49: ") {
		t.Errorf("--batch shows %q", got)
	}
	for i, r := range readAnswers(t, out)[:48] {
		want := greedy(t, "What is AI?", 7)
		if i%2 == 0 {
			want = greedy(t, "Once upon a time", i/2+1)
		}
		if r.Text != want {
			t.Errorf("line %d: got %q, want %q", r.Line, r.Text, want)
		}
	}
}
