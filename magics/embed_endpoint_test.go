package magics

import (
	"context"
	"encoding/json"
	"math"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/server"
)

// encoderServer serves the tiny encoder as llcuda does.
func encoderServer(t *testing.T) string {
	t.Helper()
	m, err := engine.Load(context.Background(), tinyEncoder, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, release, err := server.ForModel(m, server.Options{Name: "tiny"}, false, false)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.Close()
		if err := release(); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return h.URL
}

type embedJSON struct {
	Model, Pooling string
	Dimensions     int
	Tokens         int
	Vectors        [][]float64
}

func embedAsJSON(t *testing.T, in *Interpreter, code string) (r embedJSON) {
	t.Helper()
	got := run(in, code)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got, "stdout: ")), &r); err != nil {
		t.Fatalf("%v: %q", err, got)
	}
	return r
}

// A server gives the vectors that the model gives here, and they are shown and
// searched in the same way.
func TestEmbedEndpoint(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load --silent "+tinyEncoder)
	run(in, "%load --silent "+encoderServer(t)+" "+encoderServer(t))
	var texts []string
	for range 40 { // several requests
		texts = append(texts, "The cat sat on the mat.", "king", "war and peace")
	}
	cell := "\n" + strings.Join(texts, "\n")
	want, got := embedAsJSON(t, in, "%%embed --json --model bert-mean"+cell), embedAsJSON(t, in, "%%embed --json --model tiny"+cell)
	if got.Model != "tiny" || got.Pooling != "" || got.Dimensions != 32 || got.Tokens != want.Tokens || len(got.Vectors) != len(texts) {
		t.Fatalf("got %s, %q, %d numbers, %d tokens, %d vectors", got.Model, got.Pooling, got.Dimensions, got.Tokens, len(got.Vectors))
	}
	for i, v := range got.Vectors {
		for j, x := range v {
			if math.Abs(x-want.Vectors[i][j]) > 1e-6 {
				t.Fatalf("text %d, number %d: %g, here %g", i, j, x, want.Vectors[i][j])
			}
		}
	}
	if got := run(in, "%embed king"); !regexp.MustCompile(`^display_data: \[-?0\.\d{4}, .*, …\]\n32 numbers · 3 tokens · tiny · [0-9.]+ (µs|ms|s)$`).MatchString(got) {
		t.Errorf("one text: %q", got)
	}
	run(in, "%%embed --var E\nThe cat sat on the mat.\nking\nwar and peace\n")
	run(in, "%load --silent demo") // the search asks the one that made E
	if got := run(in, "%embed --in E --top 1 KING"); !regexp.MustCompile(`^display_data: 1\.000  king\nof 3 texts · 3 tokens · tiny · `).MatchString(got) {
		t.Errorf("search shows %q", got)
	}
	if r := embedAsJSON(t, in, `%embed --json --model tiny --extra '{"dimensions": 8}' king`); len(r.Vectors[0]) != 8 {
		t.Errorf("--extra: %+v", r)
	}
	run(in, "%load --silent --as talker "+ownServer(t))
	for code, want := range map[string]string{
		"%embed --model tiny --pooling cls king":                   "UsageError: %embed: --pooling is for models on this machine",
		"%embed --model tiny --truncate king":                      "UsageError: %embed: --truncate is for models on this machine",
		`%embed --model tiny --extra '{"input": ["x"]}' king`:      "UsageError: %embed: --extra: input is set by the cell",
		"%embed --model tiny --extra 7 king":                       "UsageError: %embed: --extra 7: want a JSON object",
		`%embed --model demo --extra '{"dimensions": 8}' king`:     "UsageError: %embed: --extra is for endpoints; demo is on this machine",
		"%embed --model tiny " + strings.Repeat("cat ", 90):        "at most 64 allowed",
		"%embed --model talker king":                               "--embeddings",
		"%embed --in E --model demo king":                          "vectors of",
		`%embed --in E --model tiny --extra '{"dimensions": 8}' x`: "vectors of 8 numbers, those of --in have 32",
	} {
		if got := run(in, code); !strings.Contains(got, "error: ") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}
