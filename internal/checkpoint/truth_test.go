package checkpoint_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor"
)

// A truth is what transformers made of a checkpoint; testdata/make.py.
type truth struct {
	Text      string
	IDs       []int32
	Plain     []int32 // without BOS
	Messages  []chat.Message
	Prompt    string
	PromptIDs []int32 `json:"prompt_ids"`

	ids    []int32
	logits []float32 // (len(ids), vocab)
}

func readTruth(t *testing.T, name string) truth {
	t.Helper()
	var w truth
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join("testdata", name+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ids := f.Tensor("ids")
	for i := range ids.Len() {
		w.ids = append(w.ids, int32(ids.Data[8*i])|int32(ids.Data[8*i+1])<<8)
	}
	w.logits = make([]float32, f.Tensor("logits").Len())
	tensor.F32.Decode(w.logits, f.Tensor("logits").Data)
	return w
}

// checkpoints are the names of those in testdata.
func checkpoints(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) < 2 {
		t.Fatalf("%d checkpoints in testdata (%v)", len(paths), err)
	}
	for i, p := range paths {
		paths[i] = strings.TrimSuffix(filepath.Base(p), ".json")
	}
	return paths
}

func open(t *testing.T, name string) *gguf.File {
	t.Helper()
	f, err := checkpoint.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// bound is how far off logits may be: what rounding does to sums, and to weights
// of 8 bits times their scales, which are held in 11 bits, or to what is
// multiplied with packed ones.
func bound(name string) float64 {
	if packed(name) || strings.Contains(name, "fp8") {
		return 2e-3
	}
	return 1e-4
}

// packed says whether a checkpoint's weights are those of bitsandbytes.
func packed(name string) bool {
	return strings.Contains(name, "nf4") || strings.Contains(name, "fp4") || strings.Contains(name, "int8")
}

// TestLogits: each checkpoint gives transformers' logits.
func TestLogits(t *testing.T) {
	for _, name := range checkpoints(t) {
		t.Run(name, func(t *testing.T) {
			w := readTruth(t, name)
			m, err := engine.LoadFile(t.Context(), open(t, name), engine.Options{ExactCache: true})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			s, err := m.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			err = s.EvalAll(t.Context(), w.ids, func(pos int, got []float32) {
				var diff, sum float64
				for i, want := range w.logits[pos*len(got):][:len(got)] {
					diff += math.Pow(float64(got[i])-float64(want), 2)
					sum += math.Pow(float64(want), 2)
				}
				if off := math.Sqrt(diff / sum); !(off <= bound(name)) {
					t.Errorf("logits after token %d are %.2g off, want at most %g", pos, off, bound(name))
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTokens: ids and prompts are transformers'.
func TestTokens(t *testing.T) {
	for _, name := range checkpoints(t) {
		t.Run(name, func(t *testing.T) {
			w := readTruth(t, name)
			m, err := engine.LoadFile(t.Context(), open(t, name), engine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			tok := m.Tokenizer()
			for _, warning := range tok.Warnings() {
				t.Error(warning)
			}
			same := func(what string, got, want []int32) {
				t.Helper()
				for i := range max(len(got), len(want)) {
					if i >= len(got) || i >= len(want) || got[i] != want[i] {
						t.Fatalf("%s: from token %d on %v, want %v", what, i, got[min(i, len(got)):min(i+8, len(got))], want[min(i, len(want)):min(i+8, len(want))])
					}
				}
			}
			same("text", tok.Encode(w.Text, tokenizer.Options{Special: true}), w.IDs)
			same("plain", tok.Encode(w.Text, tokenizer.Options{Special: true, NoBOS: true, NoEOS: true}), w.Plain)
			if w.Messages == nil {
				return
			}
			tmpl, err := chat.NewTemplate(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tmpl.Render(w.Messages, nil, chat.Options{AddGenerationPrompt: true})
			if err != nil || got != w.Prompt {
				t.Errorf("prompt %q, %v, want %q", got, err, w.Prompt)
			}
			same("prompt", tok.Encode(got, tokenizer.Options{Special: true, NoBOS: true, NoEOS: true}), w.PromptIDs)
		})
	}
}

// TestCheck: the view is a sound GGUF file, and stays the same when it is
// written and read again.
func TestCheck(t *testing.T) {
	for _, name := range checkpoints(t) {
		f := open(t, name)
		for _, p := range gguf.Check(f) {
			if p.Where != "phi3.attention.sliding_window" { // 0 is none, as the converter writes it
				t.Errorf("%s: %v", name, p)
			}
		}
		var b strings.Builder
		if err := f.Write(&b); err != nil {
			if !strings.Contains(err.Error(), "is no type of GGUF") || !packed(name) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		g, err := gguf.Parse([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Tensors {
			got := make([]byte, f.Tensors[i].Bytes())
			if err := f.Tensors[i].Read(got, 0); err != nil || !slices.Equal(got, g.Tensors[i].Data) {
				t.Errorf("%s: tensor %s written and read differs (%v)", name, f.Tensors[i].Name, err)
			}
		}
	}
}
