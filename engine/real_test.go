package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

// realModel finds a model that `make testdata` fetches.
func realModel(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("LLCUDA_MODELS")
	if dir == "" {
		dir = filepath.Join("..", ".models")
	}
	path := filepath.Join(dir, name+".gguf")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no model: %v; make testdata fetches it", err)
	}
	return path
}

// TestReal: along texts that llama.cpp continued (testdata/make_real.py), our
// first choice is its own wherever that was clear. Both round activations to 8
// bits in ways of their own, so that close calls differ.
func TestReal(t *testing.T) {
	data, err := os.ReadFile("testdata/real.json")
	if err != nil {
		t.Fatal(err)
	}
	var real map[string][]struct {
		Prompt    string
		IDs, Next []int32
		Margin    []float32
	}
	if err := json.Unmarshal(data, &real); err != nil || len(real) != 2 {
		t.Fatal(err, len(real))
	}
	for name, cases := range real {
		t.Run(name, func(t *testing.T) {
			m, err := Load(t.Context(), realModel(t, name), Options{Context: 128})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			clear, agreed, all := 0, 0, 0
			for _, c := range cases {
				if ids := m.Tokenizer().Encode(c.Prompt, tokenizer.Options{}); !slices.Equal(ids, c.IDs) {
					t.Errorf("%q is %v, want %v", c.Prompt, ids, c.IDs)
				}
				s := newSession(t, m)
				text := append(c.IDs, c.Next...)
				err := s.EvalAll(t.Context(), text[:len(text)-1], func(pos int, logits []float32) {
					i := pos + 1 - len(c.IDs)
					if i < 0 {
						return
					}
					all++
					if logits[c.Next[i]] == slices.Max(logits) {
						agreed++
					} else if c.Margin[i] > 1 {
						t.Errorf("%q, token %d: our choice is not %d, which llama.cpp prefers by %g", c.Prompt, i, c.Next[i], c.Margin[i])
					}
					if c.Margin[i] > 1 {
						clear++
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d of %d first choices agree, %d were clear", agreed, all, clear)
			if all != 160 || clear < 40 || agreed < 140 {
				t.Errorf("%d of %d first choices agree, %d were clear; want at least 140 of 160, and 40", agreed, all, clear)
			}
		})
	}
}

// TestRealEncoder: the vectors of a real encoder are those that transformers
// gives, in float64 (testdata/make_real_encoder.py).
func TestRealEncoder(t *testing.T) {
	data, err := os.ReadFile("testdata/real-encoder.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text   string
		IDs    []int32
		Vector []float64
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) != 6 {
		t.Fatal(err, len(cases))
	}
	path := realModel(t, "all-minilm-l6-v2")
	for _, c := range []struct {
		o     Options
		bound float64
	}{{Options{ExactCache: true}, 2e-6}, {Options{}, 1e-3}} {
		m, err := Load(t.Context(), path, c.o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e := newEmbedder(t, m, EmbedOptions{})
		var texts []string
		for _, c := range cases {
			texts = append(texts, c.Text)
			if ids := e.tokens(c.Text); !slices.Equal(ids, c.IDs) {
				t.Errorf("%.40q is %v, want %v", c.Text, ids, c.IDs)
			}
		}
		vectors, _, err := e.Embed(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range vectors {
			if off := apart(v, cases[i].Vector); !(off <= c.bound) {
				t.Errorf("%.40q with a %s cache: %.2g off, want at most %g", texts[i], m.Info().CacheType, off, c.bound)
			}
		}
	}
}
