package hub

import (
	"slices"
	"testing"
)

// TestCheckpointModel: a repository without GGUF files has the checkpoint at its
// root, if that is whole.
func TestCheckpointModel(t *testing.T) {
	for _, c := range []struct {
		name        string
		files, want []string
	}{
		{"one file", []string{"README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "optimizer.pt", "special_tokens_map.json"},
			[]string{"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"}},
		{"shards", []string{"config.json", "model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.model",
			"consolidated.safetensors", "chat_template.jinja", "additional_chat_templates/tool_use.jinja"},
			[]string{"model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json", "chat_template.jinja",
				"tokenizer.model", "additional_chat_templates/tool_use.jinja"}},
		{"a shard misses", []string{"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"}, nil},
		{"no config", []string{"model.safetensors"}, nil},
		{"below", []string{"a/config.json", "a/model.safetensors"}, nil},
		{"pickles", []string{"config.json", "pytorch_model.bin"}, nil},
		{"adapter", []string{"adapter_config.json", "adapter_model.safetensors"}, nil},
		{"GGUF beside", []string{"config.json", "model.safetensors", "m-Q8_0.gguf"}, []string{"m-Q8_0.gguf"}},
	} {
		r := repoOf(c.files...)
		var got []string
		for _, m := range r.Models() {
			for _, f := range m.Files {
				got = append(got, f.Path)
			}
			if m.Size != int64(10*len(m.Files)) || len(c.want) > 1 && m.Name != "name" {
				t.Errorf("%s: %+v", c.name, m)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
