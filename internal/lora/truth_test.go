package lora_test

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor"
)

var archs = []string{"llama", "qwen2", "gemma3", "phi3"}

// A truth is a tiny model and what transformers and PEFT compute with it and
// its adapters (testdata/make_truth.py).
type truth struct {
	arch   string
	base   *gguf.File
	ids    []int32
	logits map[string][]float32 // (len(ids), vocab) of each case
}

func readTruth(t testing.TB, arch string) *truth {
	t.Helper()
	base, err := gguf.Open(filepath.Join("testdata", arch+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { base.Close() })
	f, err := safetensors.Open(filepath.Join("testdata", arch, "truth.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr := &truth{arch: arch, base: base, logits: map[string][]float32{}}
	for _, x := range f.Tensors {
		if x.Name == "ids" {
			for i := 0; i < len(x.Data); i += 4 {
				tr.ids = append(tr.ids, int32(binary.LittleEndian.Uint32(x.Data[i:])))
			}
			continue
		}
		v := make([]float32, x.Len())
		tensor.F32.Decode(v, x.Data)
		tr.logits[x.Name] = v
	}
	return tr
}

// cases are those of one adapter.
func (tr *truth) cases() (names []string) {
	for name := range tr.logits {
		if name != "base" && !strings.ContainsAny(name, "*+-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (tr *truth) open(t testing.TB, name string) *gguf.File {
	t.Helper()
	f, err := lora.Open(filepath.Join("testdata", tr.arch, name), tr.base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func load(t testing.TB, f *gguf.File) *engine.Model {
	t.Helper()
	m, err := engine.LoadFile(t.Context(), f, engine.Options{ExactCache: true, Batch: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func attach(t testing.TB, m *engine.Model, f *gguf.File) *engine.Adapter {
	t.Helper()
	a, err := m.Attach(t.Context(), f, "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func session(t testing.TB, m *engine.Model) *engine.Session {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// off is the relative error of the logits of a case, in root mean square over
// all positions: read at once, and then token by token.
func (tr *truth) off(t testing.TB, s *engine.Session, name string) float64 {
	t.Helper()
	want := tr.logits[name]
	if want == nil {
		t.Fatalf("no case %s", name)
	}
	var diff, sum float64
	see := func(pos int, got []float32) {
		for i, w := range want[pos*len(got):][:len(got)] {
			diff += math.Pow(float64(got[i])-float64(w), 2)
			sum += math.Pow(float64(w), 2)
		}
	}
	s.Reset()
	if err := s.EvalAll(t.Context(), tr.ids, see); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	for i, id := range tr.ids {
		logits, err := s.Eval(t.Context(), []int32{id})
		if err != nil {
			t.Fatal(err)
		}
		see(i, logits)
	}
	return math.Sqrt(diff / sum)
}

const bound = 1e-4 // of logits that are computed in float32, twice

// TestAttached: with an adapter attached the logits are PEFT's, without it the
// base's, in one session that is switched.
func TestAttached(t *testing.T) {
	for _, arch := range archs {
		tr := readTruth(t, arch)
		m := load(t, tr.base)
		s := session(t, m)
		if off := tr.off(t, s, "base"); !(off < bound) {
			t.Fatalf("%s alone is %.2g off", arch, off)
		}
		for _, name := range tr.cases() {
			a := attach(t, m, tr.open(t, name))
			if err := s.SetAdapters(engine.Scaled{Adapter: a, Scale: 1}); err != nil {
				t.Fatal(err)
			}
			if off := tr.off(t, s, name); !(off < bound) {
				t.Errorf("%s with %s is %.2g off", arch, name, off)
			}
		}
		if err := s.SetAdapters(); err != nil {
			t.Fatal(err)
		}
		if off := tr.off(t, s, "base"); !(off < bound) {
			t.Errorf("%s without adapters again is %.2g off", arch, off)
		}
	}
}

// TestMixed: several adapters at once, with scales.
func TestMixed(t *testing.T) {
	for arch, mixes := range map[string]map[string]string{
		"llama": {"plain*0.5+rslora*1.5": "plain=0.5 rslora=1.5", "dora*0.5": "dora=0.5", "dora+plain": "dora=1 plain=1"},
		"qwen2": {"plain-half": "plain=1 half=-1"},
	} {
		tr := readTruth(t, arch)
		m := load(t, tr.base)
		for name, parts := range mixes {
			var set []engine.Scaled
			for _, p := range strings.Fields(parts) {
				of, scale, _ := strings.Cut(p, "=")
				x, err := strconv.ParseFloat(scale, 32)
				if err != nil {
					t.Fatal(err)
				}
				set = append(set, engine.Scaled{Adapter: attach(t, m, tr.open(t, of)), Scale: float32(x)})
			}
			s := session(t, m)
			if err := s.SetAdapters(set...); err != nil {
				t.Fatal(err)
			}
			if off := tr.off(t, s, name); !(off < bound) {
				t.Errorf("%s with %s is %.2g off", arch, name, off)
			}
		}
	}
}

// TestMerged: merged into the weights an adapter gives the same logits.
func TestMerged(t *testing.T) {
	for _, arch := range archs {
		tr := readTruth(t, arch)
		for _, name := range tr.cases() {
			f, err := lora.Merge(tr.base, tr.open(t, name), 1)
			if arch == "llama" && name == "bias" {
				if err == nil || !strings.Contains(err.Error(), "attach it instead") {
					t.Errorf("merged biases of a base without: %v", err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s with %s: %v", arch, name, err)
				continue
			}
			if off := tr.off(t, session(t, load(t, f)), name); !(off < bound) {
				t.Errorf("%s merged with %s is %.2g off", arch, name, off)
			}
		}
	}
}
