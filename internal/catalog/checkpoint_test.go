package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/safetensors"
)

// TestFindCheckpoint: a folder, its weights, and its name among the folders mean
// the checkpoint.
func TestFindCheckpoint(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "my-model")
	for name, text := range map[string]string{"config.json": `{"model_type":"llama"}`, "model-00001-of-00002.safetensors": "123", "model-00002-of-00002.safetensors": "4567"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &Catalog{Folders: []string{root}}
	for name, want := range map[string]string{dir: dir, dir + "/": dir + "/", "my-model": dir, "MY-model": dir, "my-mo": dir,
		filepath.Join(dir, "model-00001-of-00002.safetensors"): filepath.Join(dir, "model-00001-of-00002.safetensors")} {
		f, err := c.FindLocal(Query{Name: name})
		if err != nil || f.Path != want || f.Name != "my-model" || f.Size != 7 || f.Source != Folder {
			t.Errorf("%s: %+v, %v, want %s", name, f, err, want)
		}
	}
	if all := c.Local(); len(all) != 1 || all[0].Name != "my-model" {
		t.Errorf("lists %v", all)
	}
	// A GGUF export beside the checkpoint is the same model, ready to be read.
	gguf := filepath.Join(dir, "my-model-Q4_K_M.gguf")
	if err := os.WriteFile(gguf, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := c.FindLocal(Query{Name: dir}); err != nil || f.Path != gguf {
		t.Errorf("with a GGUF file: %+v, %v", f, err)
	}
}

// TestCheckpoint: what of a folder cannot be loaded is refused with what is in
// it and what to do.
func TestCheckpoint(t *testing.T) {
	weights := func(dir string, types ...safetensors.DType) {
		var all []safetensors.Source
		for i, d := range types {
			all = append(all, safetensors.Bytes(string(rune('a'+i)), d, []int{8 * len(types)}, make([]byte, d.Bits()*len(types))))
		}
		if err := safetensors.WriteFolder(dir, "model", nil, all, 16); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		types []safetensors.DType
		want  string // the error after the folder's name
	}{
		{"adapter", map[string]string{"adapter_config.json": `{"peft_type":"LORA","r":16,"base_model_name_or_path":"unsloth/Llama-3.2-1B"}`, "config.json": "{}"},
			[]safetensors.DType{"F32"},
			" is an adapter of PEFT (LORA, rank 16) for unsloth/Llama-3.2-1B, with 1 tensor of F32 (8 numbers); give its base, and the folder with --adapter"},
		{"adapter of other types", map[string]string{"adapter_config.json": `{"peft_type":7,"r":"x"}`, "adapter_model.bin": ""}, nil,
			" is an adapter of PEFT that names no base model, whose weights are pickles, which can run code (adapter_model.bin); give"},
		{"broken adapter", map[string]string{"adapter_config.json": "\x00", "model.safetensors": "x"}, nil,
			"model.safetensors: has 1 bytes, want 8 at least); give"},
		{"hostile words", map[string]string{"adapter_config.json": `{"peft_type":"\u001b[31ma\nb` + strings.Repeat("x", 5000) + `"}`}, nil,
			" ([31mab" + strings.Repeat("x", 94) + "...) that names no base model, without weights"},
		{"weights alone", map[string]string{"README.md": ""}, []safetensors.DType{"F64"}, " has weights, but no config.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.types != nil {
				weights(dir, c.types...)
			}
			path, err := pathOf(dir)
			if path != "" || err == nil || !strings.HasPrefix(err.Error(), dir+" ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v, want %s", path, err, c.want)
			}
		})
	}
}
