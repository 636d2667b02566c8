package engine

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// An encoding is a tiny encoder with the states that transformers computes for
// each token of some texts (testdata/make_encoders.py).
type encoding struct {
	file   *gguf.File
	texts  []string
	tokens [][]int32
	states [][]float32 // of each text: (tokens, dim)
	dim    int
}

var encoderNames = []string{"bert-mean", "bert-cls", "bert-unsaid", "bert-q8_0", "nomic-bert"}

func readEncoding(t testing.TB, name string) encoding {
	t.Helper()
	f, err := gguf.Open(filepath.Join("testdata/encoders", name+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	g := encoding{file: f}
	texts, _ := f.Value("golden.texts")
	hidden, _ := f.Value("golden.hidden")
	ids, err1 := f.Ints("golden.ids")
	ends, err2 := f.Ints("golden.ends")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	g.texts = texts.([]string)
	g.dim = len(hidden.([]float32)) / len(ids)
	lo := int64(0)
	for _, hi := range ends {
		var text []int32
		for _, id := range ids[lo:hi] {
			text = append(text, int32(id))
		}
		g.tokens = append(g.tokens, text)
		g.states = append(g.states, hidden.([]float32)[lo*int64(g.dim):hi*int64(g.dim)])
		lo = hi
	}
	return g
}

func (g *encoding) load(t testing.TB, o Options) *Model {
	t.Helper()
	m, err := LoadFile(t.Context(), g.file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newEmbedder(t testing.TB, m *Model, o EmbedOptions) *Embedder {
	t.Helper()
	e, err := m.NewEmbedder(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// pooled is the vector of states (n, dim), by the definition of each pooling.
func pooled(states []float32, dim int, p Pooling) []float64 {
	v, n := make([]float64, dim), len(states)/dim
	for j := range v {
		switch p {
		case MeanPooling:
			for i := range n {
				v[j] += float64(states[i*dim+j]) / float64(n)
			}
		case CLSPooling:
			v[j] = float64(states[j])
		case LastPooling:
			v[j] = float64(states[(n-1)*dim+j])
		}
	}
	return v
}

func unit(v []float64) []float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	u := make([]float64, len(v))
	for i, x := range v {
		u[i] = x / math.Sqrt(sum)
	}
	return u
}

// apart is the relative distance of two vectors.
func apart(got []float32, want []float64) float64 {
	var diff, sum float64
	for i, w := range want {
		diff += math.Pow(float64(got[i])-w, 2)
		sum += w * w
	}
	return math.Sqrt(diff / sum)
}

// TestEncoders: tokens and vectors are those of transformers, in all poolings,
// alone and with other texts in a batch.
func TestEncoders(t *testing.T) {
	own := map[string]Pooling{"bert-mean": MeanPooling, "bert-cls": CLSPooling, "bert-unsaid": MeanPooling, "bert-q8_0": MeanPooling, "nomic-bert": MeanPooling}
	for _, name := range encoderNames {
		t.Run(name, func(t *testing.T) {
			g := readEncoding(t, name)
			for i, text := range g.texts {
				if got := readTokens(t, g.file, text); !slices.Equal(got, g.tokens[i]) {
					t.Fatalf("%q: tokens %v, want %v", text, got, g.tokens[i])
				}
			}
			exact, rounded := 1e-4, 2e-3
			if name == "bert-q8_0" {
				exact, rounded = 0.02, 0.02 // activations are rounded to 8 bits, too
			}
			g.check(t, Options{ExactCache: true}, own[name], exact)
			g.check(t, Options{}, own[name], rounded)
		})
	}
}

func readTokens(t *testing.T, f *gguf.File, text string) []int32 {
	t.Helper()
	m, err := LoadFile(t.Context(), f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e := newEmbedder(t, m, EmbedOptions{})
	defer e.Close()
	return e.tokens(text)
}

func (g *encoding) check(t *testing.T, o Options, own Pooling, bound float64) {
	t.Helper()
	m := g.load(t, o)
	for _, p := range []Pooling{0, MeanPooling, CLSPooling, LastPooling} {
		for _, raw := range []bool{true, false} {
			e := newEmbedder(t, m, EmbedOptions{Pooling: p, Raw: raw})
			if p == 0 && e.Pooling() != own {
				t.Errorf("the model's pooling is %s, want %s", e.Pooling(), own)
			}
			together, n, err := e.Embed(t.Context(), g.texts)
			if err != nil {
				t.Fatal(err)
			}
			if want := len(slices.Concat(g.tokens...)); n != want || len(together) != len(g.texts) {
				t.Fatalf("%d vectors of %d tokens, want %d of %d", len(together), n, len(g.texts), want)
			}
			for i, text := range g.texts {
				want := pooled(g.states[i], g.dim, e.Pooling())
				if !raw {
					want = unit(want)
				}
				alone, _, err := e.Embed(t.Context(), g.texts[i:i+1])
				if err != nil {
					t.Fatal(err)
				}
				for how, got := range map[string][]float32{"alone": alone[0], "together": together[i]} {
					if off := apart(got, want); !(off <= bound) {
						t.Errorf("%s, %q %s: %.2g off, want at most %g", e.Pooling(), text, how, off, bound)
					}
				}
			}
		}
	}
}

// TestEmbedDecoder: vectors of models that generate are the normed states of
// the last layer. The goldens' logits are products of the states with a known
// matrix, so the vector has to give the same logits; of the mean this holds by
// linearity.
func TestEmbedDecoder(t *testing.T) {
	for _, name := range []string{"llama", "qwen2", "qwen3", "gemma3", "phi3-short"} {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			w := g.file.Tensor("output.weight")
			if w == nil {
				w = g.file.Tensor("token_embd.weight")
			}
			vocab, dim := w.Shape[0], w.Shape[1]
			weights := make([]float32, vocab*dim)
			w.DType.Decode(weights, w.Data)
			for _, batch := range []int{64, 7} {
				m := g.load(t, Options{Batch: batch, ExactCache: true})
				if p := m.Info().Pooling; p != LastPooling {
					t.Errorf("pooling %s, want last", p)
				}
				for _, p := range []Pooling{0, MeanPooling, CLSPooling} {
					e := newEmbedder(t, m, EmbedOptions{Pooling: p, Raw: true})
					vectors, n, err := e.EmbedTokens(t.Context(), [][]int32{g.ids, g.ids[:9]})
					if err != nil {
						t.Fatal(err)
					}
					if n != len(g.ids)+9 {
						t.Errorf("%d tokens, want %d", n, len(g.ids)+9)
					}
					for i, tokens := range []int{len(g.ids), 9} {
						logits := make([]float32, vocab)
						for r := range logits {
							sum := 0.0
							for c, x := range vectors[i] {
								sum += float64(x) * float64(weights[r*dim+c])
							}
							logits[r] = float32(sum)
						}
						want := pooled(g.logits[:tokens*vocab], vocab, e.Pooling())
						if off := apart(logits, want); !(off <= 1e-4) {
							t.Errorf("%s of %d tokens in batches of %d: %.2g off", e.Pooling(), tokens, batch, off)
						}
					}
				}
			}
		})
	}
}

func TestEncoderContinuesNoText(t *testing.T) {
	g := readEncoding(t, "bert-mean")
	m := g.load(t, Options{})
	if _, err := m.NewSession(); !errors.Is(err, ErrEncoder) || !strings.Contains(err.Error(), "%embed") {
		t.Errorf("new session: %v", err)
	}
	if i := m.Info(); !i.Encoder || i.Pooling != MeanPooling || i.Context != 64 || i.CacheBytes != 2*64*32*2 {
		t.Errorf("info %+v", i)
	}
}

func TestEmbedTooLong(t *testing.T) {
	g := readEncoding(t, "bert-mean")
	m := g.load(t, Options{Context: 8})
	e := newEmbedder(t, m, EmbedOptions{})
	texts := []string{"the cat", "the cat sat on the mat and ate"}
	if _, _, err := e.Embed(t.Context(), texts); !errors.Is(err, ErrContextFull) || !strings.Contains(err.Error(), "text 2 of 2 has 10 tokens, at most 8") {
		t.Errorf("too long: %v", err)
	}
	var cut, done []int
	e = newEmbedder(t, m, EmbedOptions{Cut: func(text, tokens int) { cut = append(cut, text, tokens) }, Progress: func(n int) { done = append(done, n) }})
	got, n, err := e.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := e.Embed(t.Context(), []string{"the cat", "the cat sat on the mat"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cut, []int{1, 10}) || n != 12 || !slices.Equal(got[1], want[1]) {
		t.Errorf("cut %v, %d tokens, equal %v; want text 1 of 10 tokens cut to what fits with [SEP]", cut, n, slices.Equal(got[1], want[1]))
	}
	if !slices.Equal(done, []int{1, 2, 1, 2}) {
		t.Errorf("progress %v, want 1, 2 each time: two texts do not fit into a batch of 8", done)
	}
}

func TestEmbedMistakes(t *testing.T) {
	g := readEncoding(t, "bert-mean")
	m := g.load(t, Options{})
	for _, p := range []Pooling{-1, 4} {
		if _, err := m.NewEmbedder(EmbedOptions{Pooling: p}); err == nil || !strings.Contains(err.Error(), "pooling") {
			t.Errorf("pooling %d: %v", p, err)
		}
	}
	e := newEmbedder(t, m, EmbedOptions{})
	for want, ids := range map[string][]int32{"no tokens": {}, "token -1": {2, -1}, "token 1000": {1000}} {
		if _, _, err := e.EmbedTokens(t.Context(), [][]int32{{2, 3}, ids}); err == nil || !strings.Contains(err.Error(), "text 2 of 2") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", ids, err, want)
		}
	}
	if v, n, err := e.Embed(t.Context(), nil); len(v) != 0 || n != 0 || err != nil {
		t.Errorf("no texts: %v, %d, %v", v, n, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := e.Embed(stopped, []string{"cat"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, _, err := e.Embed(t.Context(), []string{"cat"}); err != nil {
		t.Errorf("after an error: %v", err)
	}
	e.Close()
	if _, _, err := e.Embed(t.Context(), []string{"cat"}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed: %v", err)
	}
}

// TestEmbedShared: goroutines that share an Embedder get the vectors that each
// would get alone, and one that waits can be called off.
func TestEmbedShared(t *testing.T) {
	for _, load := range []func() *Model{
		func() *Model { g := readEncoding(t, "bert-mean"); return g.load(t, Options{}) },
		func() *Model { g := readGolden(t, "llama"); return g.load(t, Options{}) },
	} {
		e := newEmbedder(t, load(), EmbedOptions{})
		texts := [][]int32{{2, 7, 3}, {2, 8, 9, 10, 3}, {2, 11, 3}, {2, 3}}
		want, _, err := e.EmbedTokens(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				got, _, err := e.EmbedTokens(t.Context(), texts[i%4:i%4+1])
				if err != nil || apart(got[0], float64s(want[i%4])) > 1e-6 {
					t.Errorf("text %d: %v beside others, %v alone, %v", i%4, got, want[i%4], err)
				}
			})
		}
		all.Wait()
		e.turn <- struct{}{} // another call
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, _, err := e.EmbedTokens(ctx, texts); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("called off while it waits: %v", err)
		}
		cancel()
		<-e.turn
	}
}

func float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// TestEmbedNotFinite: a damaged weight is an error, not a vector of NaN.
func TestEmbedNotFinite(t *testing.T) {
	g := readEncoding(t, "bert-mean")
	w := g.file.Tensor("blk.1.ffn_down.weight")
	bad := slices.Clone(w.Data)
	tensor.F32.Encode(bad[:4], []float32{float32(math.NaN())})
	w.Data = bad
	e := newEmbedder(t, g.load(t, Options{}), EmbedOptions{})
	if _, _, err := e.Embed(t.Context(), []string{"cat"}); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("%v, want an error", err)
	}
}

func TestParsePooling(t *testing.T) {
	for _, p := range []Pooling{0, MeanPooling, CLSPooling, LastPooling} {
		if got, err := ParsePooling(p.String()); got != p || err != nil {
			t.Errorf("%s: %v, %v", p, got, err)
		}
	}
	if _, err := ParsePooling("max"); err == nil || !strings.Contains(err.Error(), "mean, cls, last") {
		t.Errorf("max: %v", err)
	}
}
