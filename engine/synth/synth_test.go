package synth

import (
	"math"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// TestShapes: the parameters that the models' cards give, and the bytes of
// their Q4_K_M files, vocabularies (up to 1 %) aside.
func TestShapes(t *testing.T) {
	want := map[string]struct{ params, bytes float64 }{
		"gemma-3-1b":   {1.00e9, 0.806e9},
		"llama-3.2-1b": {1.24e9, 0.808e9},
		"llama-3.2-3b": {3.21e9, 2.019e9},
		"qwen-2.5-7b":  {7.62e9, 4.683e9},
		"llama-3.1-8b": {8.03e9, 4.921e9},
	}
	if len(want) != len(shapes) {
		t.Fatalf("%d shapes", len(shapes))
	}
	for _, s := range shapes {
		var params, bytes float64
		for _, x := range s.tensors() {
			params += float64(x.Len())
			bytes += float64(x.DType.Bytes(x.Len()))
		}
		w := want[s.name]
		if math.Abs(params/w.params-1) > 0.005 || math.Abs(bytes/w.bytes-1) > 0.0125 {
			t.Errorf("%s: %.3g parameters, %.4g bytes; want %.3g, %.4g", s.name, params, bytes, w.params, w.bytes)
		}
	}
}

// TestNew: a model of each kind loads and computes finite logits, and its
// tensors are sound.
func TestNew(t *testing.T) {
	for _, arch := range []string{"llama", "qwen2", "gemma3"} {
		for _, s := range shapes {
			if s.arch != arch {
				continue
			}
			s.nf4 = arch == "qwen2"
			s.layers, s.vocab, s.dim, s.ffn, s.heads, s.kvHeads = 2, 1000, s.dim/4, 512, s.heads/4, max(1, s.kvHeads/4)
			tensors := s.tensors()
			fill(tensors, arch == "llama")
			f, err := gguf.New(s.meta(), tensors)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range gguf.Check(f) {
				t.Log(p)
			}
			m, err := engine.LoadFile(t.Context(), f, engine.Options{Context: 64})
			if err != nil {
				t.Fatal(err)
			}
			sess, err := m.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			logits, err := sess.Eval(t.Context(), []int32{1, 2, 3})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range logits {
				if v-v != 0 {
					t.Fatalf("%s: logit %d is %g", arch, i, v)
				}
			}
			sess.Close()
			m.Close()
			break
		}
	}
}

func TestNoShape(t *testing.T) {
	if _, err := New("llama-9", true); err == nil {
		t.Error("no error")
	}
}

func TestBlocks(t *testing.T) {
	for _, d := range tensor.DTypes() {
		n := d.BlockBytes() * 3
		x := make([]float32, 3*d.BlockLen())
		d.Decode(x, Blocks(d, n))
		for _, v := range x {
			if v-v != 0 {
				t.Errorf("%s: %g", d, v)
				break
			}
		}
	}
}
