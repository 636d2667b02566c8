package lora_test

import (
	"bytes"
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

// TestGGUF: adapters in llama.cpp's form, which gguf-py wrote, give the same
// logits (and do so in llama.cpp: testdata/make_truth.py check). What we see in
// the folders of PEFT has the same tensors, and is the same when it is written.
func TestGGUF(t *testing.T) {
	for _, name := range []string{"llama/plain", "llama/embedding", "qwen2/plain", "gemma3/plain"} {
		arch, name, _ := strings.Cut(name, "/")
		tr := readTruth(t, arch)
		m := load(t, tr.base)
		s := session(t, m)
		file, err := lora.Open(filepath.Join("testdata", arch, name+".gguf"), tr.base)
		if err != nil {
			t.Fatal(err)
		}
		view := tr.open(t, name)
		var written bytes.Buffer
		if err := view.Write(&written); err != nil {
			t.Fatal(err)
		}
		again, err := gguf.Parse(written.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for how, f := range map[string]*gguf.File{"seen": view, "written": again} {
			for i := range file.Tensors {
				want := &file.Tensors[i]
				got := f.Tensor(want.Name)
				if got == nil || !slices.Equal(got.Shape, want.Shape) || !slices.Equal(floats(t, got), floats(t, want)) {
					t.Errorf("%s/%s, %s: %s differs", arch, name, how, want.Name)
				}
			}
		}
		for how, f := range map[string]*gguf.File{"of gguf-py": file, "written": again} {
			if err := s.SetAdapters(engine.Scaled{Adapter: attach(t, m, f), Scale: 1}); err != nil {
				t.Fatal(err)
			}
			if off := tr.off(t, s, name); !(off < bound) {
				t.Errorf("%s/%s, %s, is %.2g off", arch, name, how, off)
			}
		}
	}
}

func floats(t *testing.T, x *gguf.Tensor) []float32 {
	t.Helper()
	f, err := lora.Floats(x)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// quantised is a base whose matrices are in d.
func quantised(t *testing.T, base *gguf.File, d tensor.DType) *gguf.File {
	t.Helper()
	all := slices.Clone(base.Tensors)
	for i := range all {
		x := &all[i]
		if len(x.Shape) == 2 && x.Shape[1]%d.BlockLen() == 0 {
			data := make([]byte, d.Bytes(x.Len()))
			d.Encode(data, floats(t, x))
			x.DType, x.Data = d, data
		}
	}
	f, err := gguf.New(base.Meta, all)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestQuantised: on a quantised base the adapter is what it is on the same
// numbers in float32, up to the rounding of activations: its own matrices are
// f16.
func TestQuantised(t *testing.T) {
	for _, arch := range archs {
		tr := readTruth(t, arch)
		for _, d := range []tensor.DType{tensor.Q8_0, tensor.BF16, tensor.F16} {
			base := quantised(t, tr.base, d)
			exact := slices.Clone(base.Tensors)
			for i := range exact {
				f := floats(t, &exact[i])
				exact[i].DType, exact[i].Data = tensor.F32, make([]byte, 4*len(f))
				tensor.F32.Encode(exact[i].Data, f)
			}
			same, err := gguf.New(base.Meta, exact)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"plain", "dora"} {
				var all [2][]float32
				for i, f := range []*gguf.File{base, same} {
					m := load(t, f)
					s := session(t, m)
					if err := s.SetAdapters(engine.Scaled{Adapter: attach(t, m, tr.open(t, name)), Scale: 1}); err != nil {
						t.Fatal(err)
					}
					err := s.EvalAll(t.Context(), tr.ids, func(_ int, logits []float32) { all[i] = append(all[i], logits...) })
					if err != nil {
						t.Fatal(err)
					}
				}
				var diff, sum float64
				for i, w := range all[1] {
					diff += math.Pow(float64(all[0][i]-w), 2)
					sum += math.Pow(float64(w), 2)
				}
				limit := 3e-3
				if d == tensor.Q8_0 { // the products round activations to 8 bits
					limit = 0.08
				}
				if off := math.Sqrt(diff / sum); !(off < limit) {
					t.Errorf("%s of %s with %s is %.2g off", arch, d, name, off)
				}
			}
		}
	}
}
