package engine

import (
	"math"
	"testing"
)

// TestInfoBytes: what the file's tensors have, and what a token reads of it: of
// an embedding beside an output weight one row alone.
func TestInfoBytes(t *testing.T) {
	for _, name := range goldenNames(t) {
		g := readGolden(t, name)
		all := 0
		for i := range g.file.Tensors {
			all += len(g.file.Tensors[i].Data)
		}
		for _, unused := range []string{"rope_factors_short.weight", "rope_factors_long.weight"} {
			if f := g.file.Tensor(unused); f != nil && (unused == "rope_factors_long.weight") == (g.context <= 512) {
				all -= len(f.Data) // longrope has two, for two lengths of context
			}
		}
		read := all
		if g.file.Tensor("output.weight") != nil {
			embed := g.file.Tensor("token_embd.weight")
			read -= len(embed.Data) / embed.Shape[0] * (embed.Shape[0] - 1)
		}
		info := g.load(t, Options{}).Info()
		if info.WeightBytes != int64(all) || info.TokenBytes != int64(read) {
			t.Errorf("%s: %d bytes, %d a token; want %d and %d", name, info.WeightBytes, info.TokenBytes, all, read)
		}
	}
}

// TestTop: as a sort of all would give it, and its probabilities sum to 1.
func TestTop(t *testing.T) {
	logits := []float32{0, 2, 1, 2, -3}
	want := []struct {
		id   int32
		prob float64
	}{ // exp(l) / (1 + 2e² + e + e⁻³)
		{1, 0.3984}, {3, 0.3984}, {2, 0.1466}, {0, 0.0539}, {4, 0.0027},
	}
	for _, k := range []int{-1, 0, 1, 2, 5, 9} {
		top := Top(logits, k)
		if len(top) != max(0, min(k, len(logits))) {
			t.Fatalf("%d of %d tokens, want %d", len(top), len(logits), max(0, min(k, len(logits))))
		}
		for i, p := range top {
			if got := math.Exp(float64(p.Logprob)); p.ID != want[i].id || math.Abs(got-want[i].prob) > 1e-4 {
				t.Errorf("token %d of %d is %d with %.4f, want %d with %.4f", i, k, p.ID, got, want[i].id, want[i].prob)
			}
		}
	}
}
