package kernels

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// TestBatcher: on a card, and on a card and the host, texts that go through a
// model together are continued to the last bit as alone, and choose what the
// CPU chooses. Nothing of it stays on the card.
func TestBatcher(t *testing.T) {
	for _, c := range []struct {
		file   string // "": the demo
		layers int    // on the card
	}{{"", 100}, {"gemma3", 100}, {"qwen3", 1}} {
		t.Run(fmt.Sprintf("%q with %d layers on the card", c.file, c.layers), func(t *testing.T) {
			d := emulated(t)
			free, _ := d.Memory()
			f, err := demo.Open()
			if c.file != "" {
				f, err = gguf.Open("../engine/testdata/" + c.file + ".gguf")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			load := func(o engine.Options) *engine.Model {
				o.Context, o.Batch = 60, 9
				m, err := engine.LoadFile(t.Context(), f, o)
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			host := load(engine.Options{})
			defer host.Close()
			m := load(engine.Options{GPUs: []tensor.Device{d}, GPULayers: c.layers, Texts: 3})
			together(t, m, host)
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if left, _ := d.Memory(); free-left > d.Scratch()+64<<20 {
				t.Errorf("%d bytes of the card are not given back, %d are scratch memory", free-left, d.Scratch())
			}
		})
	}
}

func together(t *testing.T, m, host *engine.Model) {
	long := m.Tokenizer().Encode("Once upon a time a girl", tokenizer.Options{})
	prompts := [][]int32{long, append(slices.Clone(long[:len(long)-2]), long[:4]...), long[2:], long[:1]}
	type answer struct {
		ids      []int32
		logprobs []float32
	}
	ask := func(b *engine.Batcher, i int) (a answer) {
		for tok, err := range b.Generate(t.Context(), prompts[i], engine.GenerateOptions{MaxTokens: 3 + i%2, Logprobs: i % 2, IgnoreEOG: true}) {
			if err != nil {
				t.Error(err)
			}
			if tok.ID >= 0 {
				a.ids, a.logprobs = append(a.ids, tok.ID), append(a.logprobs, tok.Logprob)
			}
		}
		return a
	}
	open := func(m *engine.Model, lone bool) *engine.Batcher {
		b, err := m.NewBatcher(engine.BatcherOptions{Texts: 3, Lone: lone})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	alone := make([]answer, len(prompts))
	for i := range prompts {
		b, h := open(m, false), open(host, false)
		alone[i] = ask(b, i)
		if want := ask(h, i); !slices.Equal(alone[i].ids, want.ids) {
			t.Errorf("text %d: %v, on the CPU %v", i, alone[i].ids, want.ids)
		}
		b.Close()
		h.Close()
	}
	lone := open(m, true)
	for i := range 2 { // in two slots
		if got := ask(lone, i); !slices.Equal(got.ids, alone[i].ids) {
			t.Errorf("text %d, as in a session: %v, alone %v", i, got.ids, alone[i].ids)
		}
	}
	lone.Close()
	b := open(m, false)
	defer b.Close()
	var wg sync.WaitGroup
	for i := range prompts {
		wg.Go(func() {
			if got := ask(b, i); !slices.Equal(got.ids, alone[i].ids) || !slices.Equal(got.logprobs, alone[i].logprobs) {
				t.Errorf("text %d: %v %v, alone %v %v", i, got.ids, got.logprobs, alone[i].ids, alone[i].logprobs)
			}
		})
	}
	wg.Wait()
}

// TestBatcherKernels: a model's step of several texts is fused as fuse_few.go says
// (TestTexts has more kinds of models). A layer has 21 operations and inputs of
// products before, and 10 kernels after: those heads are too small for an attention
// that leaves its results as an input.
func TestBatcherKernels(t *testing.T) {
	d := emulated(t)
	f, err := gguf.Open("../engine/testdata/llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := engine.LoadFile(t.Context(), f, engine.Options{GPUs: []tensor.Device{d}, GPULayers: 100, Context: 60, Batch: 9, Texts: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	issued := func(fuse string) int { // a recorded step counts once
		t.Setenv("LLCUDA_FUSE", fuse)
		b, err := m.NewBatcher(engine.BatcherOptions{Texts: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		before := d.launches
		for _, err := range b.Generate(t.Context(), []int32{1, 2, 3}, engine.GenerateOptions{MaxTokens: 4, IgnoreEOG: true}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		return d.launches - before
	}
	issued("1") // which makes the table of RoPE
	plain, fused := issued("0"), issued("1")
	if want := 11*m.Info().Layers + 1; plain-fused < want { // 1: the first norm's
		t.Errorf("%d kernels instead of %d, want %d fewer", fused, plain, want)
	}
}

// TestBatcherReserves: a longer prompt than those before moves no memory that
// recorded steps have the addresses of.
func TestBatcherReserves(t *testing.T) {
	d := emulated(t)
	f, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := engine.LoadFile(t.Context(), f, engine.Options{Context: 500, Batch: 512, GPUs: []tensor.Device{d}, GPULayers: 100, Texts: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b, err := m.NewBatcher(engine.BatcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	before := 0
	for _, n := range []int{2, 300} {
		prompt := make([]int32, n)
		for i := range prompt {
			prompt[i] = int32(i % 100)
		}
		for _, err := range b.Generate(t.Context(), prompt, engine.GenerateOptions{MaxTokens: 2, IgnoreEOG: true}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if before != 0 && d.generation != before {
			t.Errorf("a prompt of %d tokens moved scratch memory", n)
		}
		before = d.generation
	}
}
