package catalog

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/hub"
)

// TestRegistry: each entry is whole, of an architecture that engine runs, and no
// name finds two.
func TestRegistry(t *testing.T) {
	of := map[string]string{}
	for _, e := range Registry() {
		if !slices.Contains([]string{"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "bert", "nomic-bert"}, e.Arch) {
			t.Errorf("%s: architecture %s", e.Name, e.Arch)
		}
		if strings.HasSuffix(e.Arch, "bert") != (e.KVHeads == 0) {
			t.Errorf("%s: %d heads of keys", e.Name, e.KVHeads)
		}
		if e.Params < 0.02 || e.Params > 15 || e.Layers < 12 || e.Layers > 64 || e.KVHeads > 32 || e.HeadDim < 32 ||
			e.HeadDim > 256 || (e.Window == 0) != (e.FullLayers == 0) || e.FullLayers > e.Layers || len(e.Repos) == 0 {
			t.Errorf("%+v", e)
		}
		for _, repo := range e.Repos {
			if !repository.MatchString(repo) || !strings.EqualFold(repo[max(0, len(repo)-5):], "-GGUF") {
				t.Errorf("%s: repository %s", e.Name, repo)
			}
		}
		for _, q := range e.Quants {
			if hub.QuantOf("x-"+q) != q {
				t.Errorf("%s: quantisation %s", e.Name, q)
			}
		}
		for _, n := range e.names() {
			if n != strings.ToLower(n) || of[n] != "" && of[n] != e.Name {
				t.Errorf("%s is of %s and %s", n, of[n], e.Name)
			}
			of[n] = e.Name
			if _, quant := hub.CutQuant(n); quant != "" {
				t.Errorf("%s ends in a quantisation", n)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	for _, c := range []struct{ name, entry, quant string }{
		{"gemma-3-1b", "gemma-3-1b", ""},
		{"Gemma-3-1B-IT", "gemma-3-1b", ""},
		{"gemma-3-1b-Q4_K_M", "gemma-3-1b", "Q4_K_M"},
		{"gemma-3-1b:q4_k_m", "gemma-3-1b", "Q4_K_M"},
		{"gemma-3-1b-it-Q4_K_M.gguf", "gemma-3-1b", "Q4_K_M"},
		{"gemma-3-1b-UD-Q4_K_XL", "gemma-3-1b", "UD-Q4_K_XL"},
		{"gemma-3-1b.fp16", "gemma-3-1b", "F16"},
		{"llama3.2:1b", "llama-3.2-1b", ""},
		{"qwen2.5-7b-instruct:Q5_K_M", "qwen2.5-7b", "Q5_K_M"},
		{"DeepSeek-R1-Distill-Qwen-1.5B-Q8_0", "deepseek-r1-distill-qwen-1.5b", "Q8_0"},
		{"gemma-3-2b", "", ""},
		{"gemma-3-1b-Q4", "", ""},
		{"", "", ""},
	} {
		e, quant := lookup(c.name)
		got := ""
		if e != nil {
			got = e.Name
		}
		if got != c.entry || quant != c.quant {
			t.Errorf("%q: %q %q, want %q %q", c.name, got, quant, c.entry, c.quant)
		}
	}
}

// TestCacheEstimate compares the registry's shapes with what engine makes of the
// models' files.
func TestCacheEstimate(t *testing.T) {
	for file, name := range map[string]string{"gemma-3-270m-q4_k_m": "gemma-3-270m", "smollm2-135m-q4_1": "smollm2-135m"} {
		path := filepath.Join(os.Getenv("LLCUDA_MODELS"), file+".gguf")
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%v: make testdata fetches it", err)
		}
		for _, tokens := range []int{256, 2048} {
			m, err := engine.Load(context.Background(), path, engine.Options{Context: tokens})
			if err != nil {
				t.Fatal(err)
			}
			info := m.Info()
			m.Close()
			e, _ := lookup(name)
			if got, want := e.cache(tokens, 0), info.CacheBytes; got < want || float64(got) > 1.25*float64(want) {
				t.Errorf("%s at %d tokens: estimate %d, engine takes %d", name, tokens, got, want)
			}
			if info.ScratchBytes > spare {
				t.Errorf("%s at %d tokens: scratch %d, more than %d", name, tokens, info.ScratchBytes, spare)
			}
			if got, want := e.Params*1e9, float64(info.Params); got < 0.97*want || got > 1.03*want || e.Layers != info.Layers || e.Arch != info.Arch {
				t.Errorf("%s: %+v, engine says %+v", name, e, info)
			}
		}
	}
}
