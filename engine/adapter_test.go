package engine

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/tensor"
)

// randomAdapter changes the products of a golden model's layers, its embedding
// and its output.
func randomAdapter(t testing.TB, base *gguf.File, rank int, seed uint64) *gguf.File {
	t.Helper()
	arch, err := base.String("general.architecture")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	var tensors []gguf.Tensor
	add := func(name string, shape ...int) {
		f := make([]float32, tensor.Count(shape))
		for i := range f {
			f[i] = float32(rng.NormFloat64()) * 0.3
		}
		x := gguf.Tensor{Name: name, DType: tensor.F32, Shape: shape, Data: make([]byte, 4*len(f))}
		tensor.F32.Encode(x.Data, f)
		tensors = append(tensors, x)
	}
	change := func(name string, out, in int) {
		add(name+".lora_a", rank, in)
		add(name+".lora_b", out, rank)
	}
	for i := range base.Tensors {
		x := &base.Tensors[i]
		switch {
		case len(x.Shape) != 2 || strings.Contains(x.Name, "norm") || x.Name == "output.weight":
		case x.Name == "token_embd.weight":
			add(x.Name+".lora_a", x.Shape[0], rank)
			add(x.Name+".lora_b", x.Shape[1], rank)
			change("output.weight", x.Shape[0], x.Shape[1])
		default:
			change(x.Name, x.Shape[0], x.Shape[1])
		}
	}
	f, err := gguf.New([]gguf.KV{{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: arch},
		{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(rank)}}, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func attached(t testing.TB, m *Model, f *gguf.File, name string) *Adapter {
	t.Helper()
	a, err := m.Attach(t.Context(), f, name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// withMerged is g with an adapter in its weights, which internal/lora is tested
// to do as PEFT.
func withMerged(t testing.TB, g golden, adapter *gguf.File) *golden {
	t.Helper()
	f, err := lora.Merge(g.file, adapter, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &golden{file: f, ids: g.ids, context: g.context}
}

// TestAdapterArchitectures: in each architecture, on one device and on two,
// an adapter beside the weights is what it is in them.
func TestAdapterArchitectures(t *testing.T) {
	for _, name := range goldenNames(t) {
		if strings.HasSuffix(name, "q8_0") { // merging rounds its numbers
			continue
		}
		g := readGolden(t, name)
		adapter := randomAdapter(t, g.file, 3, 7)
		var want []float32
		s := newSession(t, withMerged(t, g, adapter).load(t, Options{ExactCache: true}))
		if err := s.EvalAll(t.Context(), g.ids, func(_ int, l []float32) { want = append(want, l...) }); err != nil {
			t.Fatal(err)
		}
		truth := golden{ids: g.ids, logits: want}
		for how, o := range map[string]Options{"one device": {}, "two devices": {GPUs: []tensor.Device{newCard(t, "cuda:0", 1<<30)}, GPULayers: 1}} {
			o.ExactCache, o.Batch = true, 7
			m := g.load(t, o)
			s := newSession(t, m)
			if err := s.SetAdapters(Scaled{attached(t, m, adapter, ""), 1}); err != nil {
				t.Fatal(err)
			}
			for _, steps := range [][]int{{len(g.ids)}, {1}, {3, 1, 11, 1}} {
				s.Reset()
				truth.check(t, s, name+" on "+how, steps, 1e-4)
			}
		}
	}
}

// TestAdapterSwitch: a session goes from set to set in the middle of a text,
// and its text is read again with the new one.
func TestAdapterSwitch(t *testing.T) {
	m := demoModel(t, Options{ExactCache: true})
	one := attached(t, m, randomAdapter(t, m.File(), 2, 1), "one")
	two := attached(t, m, randomAdapter(t, m.File(), 4, 2), "two")
	ids := m.Tokenizer().Encode("Once upon a time there was a dog", tokenizer.Options{})
	generate := func(s *Session, prompt []int32) (ids []int32) {
		for tok, err := range s.Generate(t.Context(), prompt, GenerateOptions{MaxTokens: 12, IgnoreEOG: true}) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, tok.ID)
		}
		return ids
	}
	sets := [][]Scaled{nil, {{one, 1}}, {{two, 1}}, {{one, 0.5}, {two, -0.5}}, {{one, 1}, {one, -0.5}, {two, 0}}}
	var fresh [][]int32
	for _, set := range sets {
		s := newSession(t, m)
		if err := s.SetAdapters(set...); err != nil {
			t.Fatal(err)
		}
		fresh = append(fresh, generate(s, ids))
		s.Close()
	}
	for i := range fresh[:4] {
		if slices.Equal(fresh[i], fresh[(i+1)%4]) {
			t.Fatalf("sets %d and %d give the same: %v", i, i+1, fresh[i])
		}
	}
	s := newSession(t, m)
	for _, i := range []int{0, 1, 3, 2, 2, 0, 4, 1} {
		if err := s.SetAdapters(sets[i]...); err != nil {
			t.Fatal(err)
		}
		generate(s, []int32{5, 6, 7}) // a text with other adapters
		s.Truncate(0)
		if got := generate(s, ids); !slices.Equal(got, fresh[i]) {
			t.Errorf("set %d: %v, want %v", i, got, fresh[i])
		}
	}
	// The text stays, and is read again.
	s.Reset()
	if _, err := s.Eval(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAdapters(sets[2]...); err != nil {
		t.Fatal(err)
	}
	if got := generate(s, nil); s.Position() != len(ids)+12 || !slices.Equal(got, fresh[2]) {
		t.Errorf("in the middle of a text: %v, want %v", got, fresh[2])
	}
	if got := s.Adapters(); len(got) != 1 || got[0] != (Scaled{two, 1}) {
		t.Errorf("in use are %v", got)
	}
	if err := m.Detach(two); err == nil || !strings.Contains(err.Error(), "it is in use; switch it off first") {
		t.Errorf("detached while in use: %v", err)
	}
	if err := errors.Join(s.SetAdapters(), m.Detach(two), m.Detach(two)); err != nil {
		t.Error(err)
	}
	if err := s.SetAdapters(Scaled{two, 1}); err == nil || !strings.Contains(err.Error(), "one is not attached") {
		t.Errorf("after Detach: %v", err)
	}
}

// TestAdapterBatcher: texts of a batcher have its adapters; a change waits for
// those under way.
func TestAdapterBatcher(t *testing.T) {
	m := demoModel(t, Options{})
	a := attached(t, m, randomAdapter(t, m.File(), 4, 2), "a")
	prompt := m.Tokenizer().Encode("Once upon a time", tokenizer.Options{})
	o := GenerateOptions{MaxTokens: 20, IgnoreEOG: true}
	want := map[bool]answer{false: ask(t.Context(), newBatcher(t, m, BatcherOptions{}), prompt, o)}
	if err := m.SetAdapters(Scaled{a, 1}); err != nil {
		t.Fatal(err)
	}
	b := newBatcher(t, m, BatcherOptions{Texts: 3})
	want[true] = ask(t.Context(), b, prompt, o)
	if want[true].same(want[false]) {
		t.Fatal("the adapter changes nothing")
	}
	if got := ask(t.Context(), newBatcher(t, m, BatcherOptions{Texts: 2}), prompt, o); !got.same(want[true]) {
		t.Errorf("a batcher of the model begins with %q, want %q", got.text, want[true].text)
	}
	on := true
	for range 4 {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if got := ask(t.Context(), b, prompt, o); got.err != nil || !got.same(want[true]) && !got.same(want[false]) {
					t.Errorf("while it is switched: %q (%v)", got.text, got.err)
				}
			})
		}
		on = !on
		set := []Scaled{{a, 1}}
		if !on {
			set = nil
		}
		if err := b.SetAdapters(t.Context(), set...); err != nil {
			t.Fatal(err)
		}
		if got := ask(t.Context(), b, prompt, o); !got.same(want[on]) {
			t.Errorf("switched to %v: %q (%v), want %q", on, got.text, got.err, want[on].text)
		}
		wg.Wait()
	}
	for _, err := range b.Generate(t.Context(), prompt, GenerateOptions{IgnoreEOG: true}) { // under way
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := b.SetAdapters(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a change that is cancelled: %v", err)
		}
		break
	}
	if got := ask(t.Context(), b, prompt, o); !got.same(want[true]) {
		t.Errorf("after a cancelled change: %q, want %q", got.text, want[true].text)
	}
	b.Close()
	if err := b.SetAdapters(t.Context()); !errors.Is(err, errBatcherClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestAdapterEmbedder: vectors are those of the model with the adapter in its
// weights.
func TestAdapterEmbedder(t *testing.T) {
	for _, name := range []string{"llama", "qwen3"} {
		g := readGolden(t, name)
		adapter := randomAdapter(t, g.file, 3, 7)
		texts := [][]int32{g.ids[:9], g.ids[3:20], {g.ids[5]}}
		vectors := func(m *Model) [][]float32 {
			e, err := m.NewEmbedder(EmbedOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			v, _, err := e.EmbedTokens(t.Context(), texts)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		want := vectors(withMerged(t, g, adapter).load(t, Options{ExactCache: true}))
		m := g.load(t, Options{ExactCache: true})
		base := vectors(m)
		if err := m.SetAdapters(Scaled{attached(t, m, adapter, ""), 1}); err != nil {
			t.Fatal(err)
		}
		for i, v := range vectors(m) {
			for j, x := range v {
				if math.Abs(float64(x-want[i][j])) > 1e-4 {
					t.Fatalf("%s: vector %d is %v, want %v", name, i, v, want[i])
				}
			}
			if slices.Equal(v, base[i]) {
				t.Errorf("%s: the adapter changes nothing of vector %d", name, i)
			}
		}
	}
}

// TestAdapterMemory: what adapters take of a card is given back, also after
// errors.
func TestAdapterMemory(t *testing.T) {
	c := newCard(t, "cuda:0", 1<<30)
	g := readGolden(t, "llama")
	m, err := LoadFile(t.Context(), g.file, Options{GPUs: []tensor.Device{c}, Context: g.context})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	before := c.used
	a := attached(t, m, randomAdapter(t, g.file, 4, 2), "a")
	for range 3 {
		if err := errors.Join(s.SetAdapters(Scaled{a, 1}), m.SetAdapters(Scaled{a, 1})); err != nil {
			t.Fatal(err)
		}
		if c.used <= before {
			t.Errorf("with an adapter %d bytes, without %d", c.used, before)
		}
		if err := errors.Join(s.SetAdapters(), m.SetAdapters()); err != nil {
			t.Fatal(err)
		}
		if c.used != before {
			t.Errorf("switched off it holds %d bytes, before %d", c.used, before)
		}
	}
	c.size = c.used + 200
	if err := s.SetAdapters(Scaled{a, 1}); !errors.Is(err, tensor.ErrNoMemory) {
		t.Errorf("without memory: %v", err)
	}
	if c.used != before {
		t.Errorf("after the refusal it holds %d bytes, before %d", c.used, before)
	}
	c.size = 1 << 30
	if err := errors.Join(s.SetAdapters(Scaled{a, 1}), m.SetAdapters(Scaled{a, 1}), s.Close(), m.Close()); err != nil || c.used != 0 {
		t.Errorf("after Close: %v, %d bytes", err, c.used)
	}
}

// TestAdapterRefused: an adapter for another model, one that is broken, and a
// file that is none.
func TestAdapterRefused(t *testing.T) {
	m := readGolden(t, "llama")
	model := m.load(t, Options{})
	other := randomAdapter(t, readGolden(t, "llama-q8_0").file, 2, 1)
	var mismatch *lora.MismatchError
	if _, err := model.Attach(t.Context(), other, "other"); !errors.As(err, &mismatch) || !strings.Contains(err.Error(), `"blk.0.attn_k.weight" is`) {
		t.Errorf("for another width: %v", err)
	}
	if _, err := model.Attach(t.Context(), randomAdapter(t, readGolden(t, "gemma3").file, 2, 1), ""); !errors.As(err, &mismatch) || !strings.Contains(err.Error(), "its architecture is gemma3, the model's llama; it is for 7 layers or more, the model has 2") {
		t.Errorf("for another architecture: %v", err)
	}
	bad := randomAdapter(t, m.file, 2, 1)
	tensor.F32.Encode(bad.Tensors[3].Data[:4], []float32{float32(math.NaN())})
	a := attached(t, model, bad, "bad")
	s := newSession(t, model)
	if err := s.SetAdapters(Scaled{a, 1}); err == nil || !strings.Contains(err.Error(), "numbers that are not finite") {
		t.Errorf("with a NaN: %v", err)
	}
	if err := s.SetAdapters(Scaled{a, float32(math.NaN())}); err == nil || !strings.Contains(err.Error(), "want a number") {
		t.Errorf("scale NaN: %v", err)
	}
	if _, err := LoadFile(t.Context(), randomAdapter(t, m.file, 2, 1), Options{}); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "is an adapter; load the model that it is for") {
		t.Errorf("an adapter as a model: %v", err)
	}
	m.check(t, s, "after refusals", []int{1}, bound("llama", tensor.F16))
}
