package cli

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"
)

// TestEvalSingle: a token at a time gives what a whole prompt gives, in every
// window from an empty context, but for what batches round differently.
func TestEvalSingle(t *testing.T) {
	windows := [][]int32{{0, 5, 300, 17, 256, 9}, {42}, {7, 7, 7}}
	b, err := json.Marshal(windows)
	if err != nil {
		t.Fatal(err)
	}
	ids, npy := write(t, "ids.json", string(b)), filepath.Join(t.TempDir(), "single.npy")
	output(t, "", "eval", "demo", "--ids", ids, "--logits", npy, "--single")
	compareEval(t, "demo", readNPY(t, npy), evalLogitsOf(t, windows))
}

// TestEvalSingleOnCards: the same on cards, also with a part of the layers,
// and what generation takes is what --single finds likeliest.
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
		for other, l := range row {
			if l > row[id] {
				t.Errorf("token %d: generation takes %d, --single finds %d likelier: %g, %g", i, id, other, row[id], l)
			}
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
