package kernels

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/engine/synth"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/tensor"
)

// TestAdapter: with adapters beside the weights a step gives what it gives on
// the CPU, with and without them in turns: what a fused step leaves unwritten is
// not read by their products. The steps with a low-rank adapter alone are fused.
func TestAdapter(t *testing.T) {
	t.Setenv("EMU_SMS", "12") // 24 rows of A go round them
	const dir = "../internal/lora/testdata/"
	for _, c := range []struct {
		base, adapter string // of the demo: a random one
		scale         float32
		fused         bool
	}{{"", "", 1e5, true}, {"gemma3", "dora", 1, false}} {
		f, err := demo.Open()
		if c.base != "" {
			f, err = gguf.Open(dir + c.base + ".gguf")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var logits [2][][]float32 // by device: of each step
		var chosen [2][]int32
		dev := emulated(t)
		for i, o := range []engine.Options{{}, {GPUs: []tensor.Device{dev}}} {
			o.Context, o.Batch, o.ExactCache = 40, 9, !c.fused
			m, err := engine.LoadFile(t.Context(), f, o)
			if err != nil {
				t.Fatal(err)
			}
			af, err := synth.Adapter(f, 4)
			if c.adapter != "" {
				af, err = lora.Open(dir+c.base+"/"+c.adapter, f)
			}
			if err != nil {
				t.Fatal(err)
			}
			a, err := m.Attach(t.Context(), af, "")
			if err != nil {
				t.Fatal(err)
			}
			s, err := m.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			for _, scale := range []float32{0, c.scale, 0} {
				if err := s.SetAdapters(engine.Scaled{Adapter: a, Scale: scale}); err != nil {
					t.Fatal(err)
				}
				s.Reset()
				for _, ids := range [][]int32{{5, 6, 7}, {8}, {9}} {
					l, err := s.Eval(t.Context(), ids)
					if err != nil {
						t.Fatal(err)
					}
					logits[i] = append(logits[i], slices.Clone(l))
				}
				for tok, err := range s.Generate(t.Context(), []int32{10}, engine.GenerateOptions{MaxTokens: 4, IgnoreEOG: true}) {
					if err != nil {
						t.Fatal(err)
					}
					chosen[i] = append(chosen[i], tok.ID)
				}
			}
			s.Close()
			fused := false
			for kernel := range dev.images.kernels {
				fused = fused || strings.HasPrefix(kernel, "step_lora")
			}
			if fused != (c.fused && i == 1) {
				t.Errorf("%s %s: fused: %v", c.base, c.adapter, fused)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(chosen[0], chosen[1]) {
			t.Errorf("%s %s: chosen are %v, on the CPU %v", c.base, c.adapter, chosen[1], chosen[0])
		}
		for step, want := range logits[0] {
			if off := relative(logits[1][step], want); !(off < 0.02) {
				t.Errorf("%s %s: logits of step %d are %.2g off the CPU's", c.base, c.adapter, step, off)
			}
		}
		if off := relative(logits[0][3], logits[0][0]); !(off > 0.1) {
			t.Errorf("%s %s: the adapter changes logits by %.2g only", c.base, c.adapter, off)
		}
	}
}

// relative is how far off x is, in root mean square.
func relative(x, want []float32) float64 {
	var diff, sum float64
	for i, w := range want {
		diff += math.Pow(float64(x[i]-w), 2)
		sum += math.Pow(float64(w), 2)
	}
	return math.Sqrt(diff / sum)
}

// TestBatcherAdapter: texts that go through a model with an adapter together choose
// what the CPU chooses, and not what they choose without it.
func TestBatcherAdapter(t *testing.T) {
	f, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	answers := func(o engine.Options, scale float32) []int32 {
		o.Context, o.Batch, o.Texts = 40, 9, 2
		m, err := engine.LoadFile(t.Context(), f, o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		af, err := synth.Adapter(f, 4) // the model's from then on
		if err != nil {
			t.Fatal(err)
		}
		a, err := m.Attach(t.Context(), af, "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.NewBatcher(engine.BatcherOptions{Texts: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.SetAdapters(t.Context(), engine.Scaled{Adapter: a, Scale: scale}); err != nil {
			t.Fatal(err)
		}
		var all [2][]int32
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				for tok, err := range b.Generate(t.Context(), []int32{3, int32(20 + i), 5}, engine.GenerateOptions{MaxTokens: 4, IgnoreEOG: true}) {
					if err != nil {
						t.Error(err)
					}
					if tok.ID >= 0 {
						all[i] = append(all[i], tok.ID)
					}
				}
			})
		}
		wg.Wait()
		return append(all[0], all[1]...)
	}
	card := engine.Options{GPUs: []tensor.Device{emulated(t)}}
	want, got := answers(engine.Options{}, 1e5), answers(card, 1e5)
	if !slices.Equal(got, want) {
		t.Errorf("%v, on the CPU %v", got, want)
	}
	if plain := answers(card, 0); slices.Equal(got, plain) {
		t.Errorf("%v also without the adapter", plain)
	}
}
