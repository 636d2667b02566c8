package catalog

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/llcuda/llcuda/internal/hub"
)

// An Entry is a model of the registry: a short name for public repositories of
// GGUF files, all of architectures that engine runs; they are tuned for instructions, or make
// embeddings. The shape is that of the model's config.json.
type Entry struct {
	Name       string   `json:"name"`
	Also       []string `json:"also"` // other names, Ollama's among them
	Arch       string   `json:"arch"`
	Params     float64  `json:"params"` // billions
	Layers     int      `json:"layers"`
	KVHeads    int      `json:"kv_heads"` // 0: no cache
	HeadDim    int      `json:"head_dim"`
	Window     int      `json:"window"`      // tokens that the other layers than full_layers see; 0: all
	FullLayers int      `json:"full_layers"` // layers that see all, where there is a window
	Repos      []string `json:"repos"`       // the first that has what is asked for counts
	Quants     []string `json:"quants"`      // the usual ones; a repository's list counts
}

//go:embed registry.json
var registryJSON []byte

// Registry lists the short names, in the order of the file.
var Registry = sync.OnceValue(func() []*Entry {
	var all []*Entry
	if err := json.Unmarshal(registryJSON, &all); err != nil {
		panic(err) // a mistake in registry.json
	}
	return all
})

// names are all that find the entry, in lower case: also its repositories'
// names without -GGUF.
func (e *Entry) names() []string {
	names := append([]string{e.Name}, e.Also...)
	for _, repo := range e.Repos {
		names = append(names, strings.TrimSuffix(strings.ToLower(path.Base(repo)), "-gguf"))
	}
	return names
}

// is reports whether a file's name is that of the model, in some quantisation.
func (e *Entry) is(name string) bool {
	base, quant := hub.CutQuant(name)
	return quant != "" && slices.Contains(e.names(), strings.ToLower(base))
}

// Bytes estimates the size of the entry's file in a quantisation.
func (e *Entry) Bytes(quant string) int64 {
	return int64(e.Params * 1e9 * bits(quant) / 8)
}

// bits are those of a weight in files of llama-quantize, mixtures measured on
// 7B models (https://github.com/ggml-org/llama.cpp/tree/master/tools/quantize).
func bits(quant string) float64 {
	b := map[string]float64{"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9, "Q3_K_M": 3.9, "Q2_K": 3.2}[quant]
	return cmp.Or(b, 4.5)
}

// lookup finds the entry of a short name, with or without a quantisation:
// gemma-3-1b, gemma-3-1b-Q4_K_M, gemma-3-1b:q4_k_m.
func lookup(name string) (*Entry, string) {
	name, _ = cutSuffixFold(name, ".gguf")
	base, quant := hub.CutQuant(name)
	for _, v := range [][2]string{{name, ""}, {base, quant}} {
		for _, e := range Registry() {
			if slices.Contains(e.names(), strings.ToLower(v[0])) {
				return e, v[1]
			}
		}
	}
	return nil, ""
}

// Search lists the entries whose names, architecture or repositories hold all
// words of a text, in any case; "" lists all.
func Search(text string) []*Entry {
	found := []*Entry{}
	for _, e := range Registry() {
		all := strings.ToLower(strings.Join(append(e.names(), append(e.Repos, e.Arch)...), " "))
		if !slices.ContainsFunc(strings.Fields(strings.ToLower(text)), func(w string) bool { return !strings.Contains(all, w) }) {
			found = append(found, e)
		}
	}
	return found
}
