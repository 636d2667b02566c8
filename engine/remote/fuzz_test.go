package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// readAnswer is what comes of the body of an answer.
func readAnswer(t *testing.T, c *Client, kind string, body io.Reader) (pieces []string, a answer, err error) {
	a = answer{c: c, stats: new(Stats), yield: func(p Piece, err error) bool {
		if err != nil || p.empty() {
			t.Fatalf("piece %+v, %v", p, err)
		}
		for _, call := range p.ToolCalls {
			_ = *call.Index // is always set
			call.Index = nil
		}
		pieces = append(pieces, fmt.Sprintf("%q %q %d", p.Text, p.Reasoning, len(p.ToolCalls)))
		return true
	}}
	err = a.read(context.Background(), &http.Response{Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body)})
	return pieces, a, err
}

// FuzzAnswer: whatever a server sends, what comes of it does not depend on how
// it is cut into reads; an answer without an error has said why it ends, or was
// counted, and one that breaks off says how much of it came.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		text("a", "") + text("b", "stop") + count + done,
		content1("a") + ended + done,
		text("a", "") + "data: [DONE]\n\n",
		text("a", "") + "data: {\"choi",
		"event: error\ndata: {\"message\":\"no\"}\n\n",
		`data: {"choices":[{"delta":{"reasoning":{"a":1},"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]}}]}` + "\n\n",
		"",
	} {
		f.Add(s, true)
	}
	f.Add(`{"choices":[{"text":"a","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, false)
	f.Add(`{"choices":[{"message":{"content":[{"text":"a"}],"refusal":"b"}}]}`, false)
	f.Add(`{"error":{"message":"no","code":503}}`, false)
	c, err := New("http://host", Options{Key: "sk-secret-key"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string, stream bool) {
		kind := "application/json"
		if stream {
			kind = "text/event-stream; charset=utf-8"
		}
		pieces, a, err := readAnswer(t, c, kind, strings.NewReader(body))
		again, _, err2 := readAnswer(t, c, kind, iotest.OneByteReader(strings.NewReader(body)))
		if fmt.Sprint(err) != fmt.Sprint(err2) || !slices.Equal(pieces, again) {
			t.Fatalf("got %q, %v, and byte by byte %q, %v", pieces, err, again, err2)
		}
		if len(pieces) != a.pieces || a.stats.NewTokens < 0 {
			t.Fatalf("%d pieces, counted %d, %+v", len(pieces), a.pieces, a.stats)
		}
		var cut *CutError
		switch {
		case err == nil:
			if stream && a.finish == "" && a.usage == nil {
				t.Fatalf("%q ended for no reason", pieces)
			}
		case errors.As(err, &cut) != (len(pieces) > 0) || cut != nil && (cut.Pieces != len(pieces) || cut.Bytes != a.bytes):
			t.Fatalf("%d pieces, %v", len(pieces), err)
		case strings.Contains(err.Error(), "sk-secret-key") || strings.Contains(err.Error(), "\n"):
			t.Fatalf("the error shows the key, or has lines: %q", err)
		}
	})
}

// FuzzVectors: as many vectors as texts, each of length 1 or of zeros, or an
// error and nothing else.
func FuzzVectors(f *testing.F) {
	f.Add([]byte(`{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":"AABAQAAAgEA="}],"usage":{"prompt_tokens":7}}`))
	f.Add([]byte(`{"data":[{"index":0,"embedding":[1e-45]},{"index":1,"embedding":[-3.4e38,3.4e38]}]}`))
	f.Add([]byte(`{"data":[{"index":0,"embedding":[]},{"index":0,"embedding":null}]}`))
	f.Add([]byte(`{"error":{"message":"no"}}`))
	c, err := New("http://host", Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		vectors, _, err := c.vectors(body, 2)
		if err != nil {
			if vectors != nil {
				t.Fatalf("%v beside %v", vectors, err)
			}
			return
		}
		if len(vectors) != 2 {
			t.Fatalf("%d vectors of 2 texts", len(vectors))
		}
		for _, v := range vectors {
			sum := 0.0
			for _, x := range v {
				sum += float64(x) * float64(x)
			}
			if len(v) == 0 || sum != 0 && math.Abs(sum-1) > 1e-3 {
				t.Fatalf("%v has the length² %g", v, sum)
			}
		}
	})
}
