package cli

import (
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/demo"
)

// TestEvalSingle: --single gives bit for bit what a session that is fed a
// token at a time gives, in every window from an empty context, and about what
// a whole prompt gives.
func TestEvalSingle(t *testing.T) {
	windows := [][]int32{{0, 5, 300, 17, 256, 9}, {42}, {7, 7, 7}}
	b, err := json.Marshal(windows)
	if err != nil {
		t.Fatal(err)
	}
	ids, npy := write(t, "ids.json", string(b)), filepath.Join(t.TempDir(), "single.npy")
	output(t, "", "eval", "demo", "--ids", ids, "--logits", npy, "--single")
	single, batch := readNPY(t, npy), evalLogitsOf(t, windows)
	compareEval(t, "demo", single, batch)

	file, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.LoadFile(t.Context(), file, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	row, rounded := 0, false
	for w, ids := range windows {
		s.Reset()
		for i, id := range ids {
			logits, err := s.Eval(t.Context(), []int32{id})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(logits, single[row]) {
				t.Errorf("window %d, token %d: not what the session gives", w, i)
			}
			rounded = rounded || !slices.Equal(logits, batch[row])
			row++
		}
	}
	if !rounded {
		t.Error("a batch gives the same bits: nothing was tested")
	}
}

// TestEvalSingleOnCards: the same on cards, also with a part of the layers,
// and what generation takes is what --single finds likeliest (the first, of a
// prompt, but for a rounding).
func TestEvalSingleOnCards(t *testing.T) {
	run := onCards(t, program(t), "134217728")
	eval := func(ids string, args ...string) [][]float32 {
		t.Helper()
		npy := filepath.Join(t.TempDir(), "logits.npy")
		if _, err := run(append([]string{"eval", "demo", "--ids", ids, "--logits", npy, "--device", "cuda:0"}, args...)...); err != nil {
			t.Fatal(err)
		}
		return readNPY(t, npy)
	}
	windows := write(t, "ids.json", "[[0,5,300,17,256,9],[42],[7,7,7]]")
	for _, layers := range []string{"-1", "2"} {
		compareEval(t, layers+" layers", eval(windows, "--gpu-layers", layers, "--single"), eval(windows, "--gpu-layers", layers))
	}

	out, err := run("infer", "demo", "Once upon a time", "--max-tokens", "12", "--temperature", "0", "--repeat-penalty", "1", "--json", "--device", "cuda:0")
	if err != nil {
		t.Fatal(err)
	}
	var text struct{ Tokens []int32 }
	if err := json.Unmarshal([]byte(out), &text); err != nil {
		t.Fatal(err)
	}
	prompt := outputJSON[[]int32](t, "tokenize", "demo", "Once upon a time", "--json")
	whole, err := json.Marshal([][]int32{append(prompt, text.Tokens...)})
	if err != nil {
		t.Fatal(err)
	}
	logits := eval(write(t, "whole.json", string(whole)), "--single")
	for i, id := range text.Tokens {
		row := logits[len(prompt)-1+i]
		if best := slices.Max(row); row[id] < best-0.05 || i > 0 && row[id] < best {
			t.Errorf("token %d is %d with %g, the likeliest has %g", i, id, row[id], best)
		}
	}
}

// compareEval compares the distributions of two ways through one model.
func compareEval(t *testing.T, name string, got, want [][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", name, len(got), len(want))
	}
	for i := range want {
		p, q, kl := logProbs(want[i]), logProbs(got[i]), 0.0
		for j := range p {
			kl += math.Exp(p[j]) * (p[j] - q[j])
		}
		if !(kl < 0.01) {
			t.Errorf("%s: position %d is %g nats off the batch's distribution", name, i, kl)
		}
	}
}
