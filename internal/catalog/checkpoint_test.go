package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/safetensors"
)

// TestCheckpoint: a folder of transformers or PEFT is refused with what is in
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
		{"model", map[string]string{"config.json": `{"architectures":["LlamaForCausalLM"],"model_type":"llama","rope_scaling":null}`},
			[]safetensors.DType{"BF16"},
			" is a checkpoint of transformers or PEFT (LlamaForCausalLM), with 1 tensor of BF16 (8 numbers); these are not loaded yet: save it as GGUF (Unsloth: model.save_pretrained_gguf) and load that file"},
		{"shards in 4 bits", map[string]string{"config.json": `{"model_type":"qwen3","quantization_config":{"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_quant_type":"nf4"}}`},
			[]safetensors.DType{"U8", "F16"},
			" (qwen3, quantised by bitsandbytes as nf4), with 2 tensors of F16, U8 (32 numbers); these"},
		{"adapter", map[string]string{"adapter_config.json": `{"peft_type":"LORA","r":16,"base_model_name_or_path":"unsloth/Llama-3.2-1B"}`, "config.json": "{}"},
			[]safetensors.DType{"F32"},
			" is an adapter of PEFT (LORA, rank 16) for unsloth/Llama-3.2-1B, with 1 tensor of F32 (8 numbers); adapters of this form are not loaded yet: merge it into its base and save it as GGUF"},
		{"weights alone", map[string]string{"README.md": ""}, []safetensors.DType{"F64"},
			" (architecture unknown), with 1 tensor of F64 (8 numbers); these"},
		{"pickle", map[string]string{"config.json": "{}", "pytorch_model.bin": ""}, nil,
			" (architecture unknown), whose weights are pickles, which can run code (pytorch_model.bin); these"},
		{"broken weights", map[string]string{"config.json": "{}", "model.safetensors": "x"}, nil,
			"model.safetensors: has 1 bytes, want 8 at least); these"},
		{"fields of other types", map[string]string{"config.json": `{"architectures":"x","model_type":7}`}, nil, " (architecture unknown), without weights; these"},
		{"no JSON", map[string]string{"config.json": "\x00"}, nil, " (architecture unknown), without weights; these"},
		{"hostile words", map[string]string{"config.json": `{"model_type":"\u001b[31ma\nb` + strings.Repeat("x", 5000) + `"}`}, nil,
			" ([31mab" + strings.Repeat("x", 94) + "...), without weights"},
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
			if path != "" || err == nil || !strings.HasPrefix(err.Error(), dir+" is a") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v, want %s", path, err, c.want)
			}
		})
	}
}
