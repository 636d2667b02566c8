package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lengths answers with (3n, 4n) for a text of n letters, the last text first.
func lengths(w http.ResponseWriter, input []any) {
	var data []string
	for i := len(input) - 1; i >= 0; i-- {
		n := len(input[i].(string))
		data = append(data, fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":[%d,%de0]}`, i, 3*n, 4*n))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"object":"list","data":[%s],"model":"m","usage":{"prompt_tokens":%d,"total_tokens":9}}`, strings.Join(data, ","), 2*len(input))
}

// newServer is a client of a server that answers by h.
func newServer(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(s.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEmbed(t *testing.T) {
	// A text of x letters has the vector (x, 10x²).
	numbered := func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Model      string
			Input      []string
			Dimensions int
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Model != "m" || q.Dimensions != 2 || r.URL.Path != "/v1/embeddings" || len(q.Input) > 32 {
			t.Errorf("%s: %v, %d texts, %+v", r.URL.Path, err, len(q.Input), q)
		}
		var data []string
		for i, text := range q.Input {
			x := float64(len(text))
			data = append([]string{fmt.Sprintf(`{"index":%d,"embedding":[%v,%v]}`, i, x, 10*x*x)}, data...)
		}
		time.Sleep(5 * time.Millisecond)
		fmt.Fprintf(w, `{"data":[%s],"usage":{"prompt_tokens":%d}}`, strings.Join(data, ","), 2*len(q.Input))
	}
	var asked [2]atomic.Int32
	var clients []*Client
	for i := range asked {
		clients = append(clients, newServer(t, func(w http.ResponseWriter, r *http.Request) { asked[i].Add(1); numbered(w, r) }))
	}
	var texts []string
	for i := range 100 {
		texts = append(texts, strings.Repeat("x", i+1))
	}
	last := 0
	got, tokens, err := NewPool(clients...).Embed(t.Context(), EmbedRequest{Model: "m", Texts: texts, Fields: map[string]any{"dimensions": 2}, Progress: func(done int) {
		if done <= last {
			t.Errorf("%d texts are done, after %d", done, last)
		}
		last = done
	}})
	if err != nil || tokens != 200 || len(got) != 100 || last != 100 {
		t.Fatalf("%d vectors, %d tokens, %d done, %v", len(got), tokens, last, err)
	}
	for i, v := range got {
		if ratio := v[1] / v[0] / float32(10*(i+1)); len(v) != 2 || ratio < 0.9999 || ratio > 1.0001 {
			t.Errorf("vector %d is %v", i, v)
		}
		if sum := v[0]*v[0] + v[1]*v[1]; sum < 0.9999 || sum > 1.0001 {
			t.Errorf("vector %d has the length² %v", i, sum)
		}
	}
	if x, y := asked[0].Load(), asked[1].Load(); x+y != 4 || x == 0 || y == 0 {
		t.Errorf("the servers were asked %d and %d times, want 4 in all", x, y)
	}
	if got, tokens, err := NewPool(clients...).Embed(t.Context(), EmbedRequest{Model: "m"}); len(got) != 0 || tokens != 0 || err != nil {
		t.Errorf("no texts: %v, %d, %v", got, tokens, err)
	}
}

// Long texts go in requests of their own, and a text of any length goes.
func TestEmbedSizes(t *testing.T) {
	var sizes []int
	c := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Input []any }
		_ = json.NewDecoder(r.Body).Decode(&q)
		sizes = append(sizes, len(q.Input))
		lengths(w, q.Input)
	})
	texts := []string{"a", strings.Repeat("b", embedBytes), "c", strings.Repeat("d", embedBytes-1), strings.Repeat("e", embedBytes+1), "f"}
	got, tokens, err := NewPool(c).Embed(t.Context(), EmbedRequest{Model: "m", Texts: texts, Parallel: 1})
	if d := cmp.Diff([]int{1, 1, 2, 1, 1}, sizes); d != "" || err != nil || tokens != 12 || len(got) != 6 {
		t.Errorf("%d vectors, %d tokens, %v\n%s", len(got), tokens, err, d)
	}
}

func TestEmbedAgain(t *testing.T) {
	ok := says(200, `{"data":[{"index":0,"embedding":"AABAQAAAgEA="},{"index":1,"embedding":[0,0]}]}`) // 3, 4 in base64
	want := [][]float32{{0.6, 0.8}, {0, 0}}
	for name, bad := range map[string]http.HandlerFunc{
		"busy":    says(429, `{"error":{"message":"slow down"}}`),
		"failed":  says(500, ""),
		"cut":     streams(`{"data":[`, "CUT"),
		"in 200":  says(200, `{"error":{"message":"overloaded","code":503}}`),
		"no more": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		f := newFake(t, bad, bad, ok)
		got, tokens, err := f.pool(t, Options{Key: "sk-key"}).Embed(t.Context(), EmbedRequest{Model: "m", Texts: []string{"a", "b"}})
		if d := cmp.Diff(want, got); d != "" || err != nil || tokens != 0 {
			t.Errorf("%s: %d tokens, %v\n%s", name, tokens, err, d)
		}
		if calls := f.seen(); len(calls) != 3 || calls[2].key != "Bearer sk-key" || calls[2].path != "/v1/embeddings" {
			t.Errorf("%s: asked %+v", name, calls)
		}
	}
	f := newFake(t, says(503, `{"error":{"message":"loading"}}`))
	_, _, err := f.pool(t, Options{}).Embed(t.Context(), EmbedRequest{Texts: []string{"a"}})
	contains(t, err, "loading (503) (tried 5 times)")
}

func TestEmbedRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                                     "0 vectors of 2 texts are not what the API has",
		`[]`:                                     "the answer is not what the API has",
		`<html>`:                                 "the answer is not what the API has",
		`{"data":7}`:                             "the answer is not what the API has",
		`{"data":[{"index":0,"embedding":[1]}]}`: "1 vectors of 2 texts",
		`{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`:        "vector 0 of 2 texts, or twice",
		`{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]}`:        "vector 2 of 2 texts",
		`{"data":[{"index":0,"embedding":[1]},{"index":-1,"embedding":[1]}]}`:       "vector -1 of 2 texts",
		`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[]}]}`:         "vector 1 without numbers",
		`{"data":[{"index":0,"embedding":[1]},{"index":1}]}`:                        "vector 1 without numbers",
		`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AADAfw=="}]}`: "vector 1 is not finite",
		`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"?"}]}`:        "the answer is not what the API has",
		`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]}`:      "text 2 got a vector of 2 numbers, the first one of 1: the servers have different models",
		`{"error":{"message":"no such thing"}}`:                                     "no such thing",
	} {
		f := newFake(t, says(200, body))
		p := f.pool(t, Options{})
		p.Tries = 1
		got, _, err := p.Embed(t.Context(), EmbedRequest{Texts: []string{"a", "b"}})
		contains(t, err, want)
		if got != nil {
			t.Errorf("%s: %v beside an error", body, got)
		}
	}
	f := newFake(t, says(400, `{"error":{"message":"too long"}}`))
	_, _, err := f.pool(t, Options{}).Embed(t.Context(), EmbedRequest{Texts: make([]string, 40), Parallel: 1})
	contains(t, err, "too long (400) (texts 1 to 32 of 40)")
	if n := len(f.seen()); n != 1 || apiError(err) == nil {
		t.Errorf("%d calls, %v", n, err)
	}
}

func TestEmbedCancelled(t *testing.T) {
	began := make(chan bool, 1)
	f := newFake(t, func(_ http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, _, err := f.pool(t, Options{}).Embed(ctx, EmbedRequest{Texts: []string{"a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
