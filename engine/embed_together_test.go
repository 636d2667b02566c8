package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEmbedTogether: the vector of a text is the same, to the last bit, alone
// and in any company, also where the batch or a window's ring is small.
func TestEmbedTogether(t *testing.T) {
	for _, name := range []string{"llama", "qwen2", "qwen3", "gemma3", "phi3-short"} {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			var texts [][]int32
			r := rand.New(rand.NewPCG(1, 2))
			for range 40 {
				at := r.IntN(len(g.ids))
				texts = append(texts, g.ids[at:][:1+r.IntN(min(20, len(g.ids)-at))])
			}
			texts = append(texts, g.ids, g.ids[:3]) // longer than the smaller batch
			for _, o := range []Options{{Batch: 64}, {Batch: 7}, {Batch: 64, Context: len(g.ids)}} {
				m := g.load(t, o)
				for _, p := range []Pooling{LastPooling, MeanPooling} {
					var done []int
					e := newEmbedder(t, m, EmbedOptions{Pooling: p, Raw: true, Progress: func(n int) { done = append(done, n) }})
					together, _, err := e.EmbedTokens(t.Context(), texts)
					if err != nil {
						t.Fatal(err)
					}
					if len(together) != len(texts) || !slices.IsSorted(done) || done[len(done)-1] != len(texts) || len(done) > len(texts)/2 && o.Batch == 64 {
						t.Errorf("%d vectors, progress %v", len(together), done)
					}
					for i := range texts {
						alone, _, err := e.EmbedTokens(t.Context(), texts[i:i+1])
						if err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(alone[0], together[i]) {
							t.Errorf("batches of %d, %s: text %d of %d tokens has another vector alone: %g, in company %g", o.Batch, p, i, len(texts[i]), alone[0][0], together[i][0])
						}
					}
				}
			}
		})
	}
}
