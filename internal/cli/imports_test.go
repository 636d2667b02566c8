package cli

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows is the picture of the packages: what each folder may import of
// llcuda, beside packages inside its own folder. A leaf has no arrow.
var arrows = map[string][]string{
	"":                     {"internal/cli"},
	"internal/cli":         {"install", "jupyter", "magics", "engine", "gguf", "tensor", "kernels", "internal"},
	"install":              {},
	"jupyter":              {},
	"magics":               {"jupyter", "engine", "gguf", "tensor", "internal"},
	"engine":               {"gguf", "tensor", "internal/jinja", "internal/lora", "internal/openai"},
	"gguf":                 {"tensor"},
	"kernels":              {"tensor", "internal/cuda"},
	"tensor":               {},
	"internal/nvml":        {},
	"internal/cuda":        {},
	"notebooks":            {},
	"internal/hub":         {"internal/disk"},
	"internal/disk":        {},
	"internal/quantize":    {"gguf", "tensor"},
	"internal/export":      {"gguf", "internal/disk"},
	"internal/catalog":     {"gguf", "internal/checkpoint", "internal/edit", "internal/hub", "internal/lora", "internal/safetensors"},
	"internal/edit":        {},
	"internal/jinja":       {},
	"internal/openai":      {},
	"internal/sysmem":      {},
	"internal/lora":        {"gguf", "tensor", "internal/checkpoint", "internal/safetensors"},
	"internal/verify":      {"engine", "gguf"},
	"internal/safetensors": {"gguf"},
	"internal/checkpoint":  {"gguf", "tensor", "internal/safetensors"},
}

// TestImports holds the imports to the picture.
func TestImports(t *testing.T) {
	const module = "github.com/llcuda/llcuda"
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := folder(strings.TrimPrefix(strings.TrimPrefix(words[0], module), "/"))
		allowed, drawn := arrows[from]
		if !drawn {
			t.Errorf("%s is not in the picture", from)
		}
		for _, w := range words[1:] {
			path, ours := strings.CutPrefix(w, module+"/")
			if to := folder(path); ours && to != from && !slices.Contains(allowed, to) &&
				!slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(to, a+"/") }) {
				t.Errorf("%s imports %s: no such arrow", words[0], path)
			}
		}
	}
}

// folder is the top folder of a package, or the two top ones below internal.
func folder(path string) string {
	parts := strings.Split(path, "/")
	if parts[0] == "internal" && len(parts) > 1 {
		return strings.Join(parts[:2], "/")
	}
	return parts[0]
}
