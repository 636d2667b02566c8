package lora

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/llcuda/llcuda/gguf"
)

const templateKey = "tokenizer.chat_template"

// Template is the chat template that an adapter's folder has: the one of its
// training, which need not be its base's. It is "" where there is none.
func Template(path string) (string, error) {
	dir, err := folder(path)
	if err != nil { // a GGUF file
		return "", nil
	}
	if text, err := readText(filepath.Join(dir, "chat_template.jinja")); text != nil || err != nil {
		return string(text), err
	}
	name := filepath.Join(dir, "tokenizer_config.json")
	text, err := readText(name)
	if text == nil || err != nil {
		return "", err
	}
	var config struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("lora: %s: %w", name, err)
	}
	var one string
	if config.Template == nil || json.Unmarshal(config.Template, &one) == nil {
		return one, nil
	}
	var several []struct{ Name, Template string }
	if err := json.Unmarshal(config.Template, &several); err != nil {
		return "", fmt.Errorf("lora: %s: chat_template: %w", name, err)
	}
	for _, t := range several {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", nil
}

// readText reads a file of an adapter's folder, nil where there is none.
func readText(path string) ([]byte, error) {
	if !exists(path) {
		return nil, nil
	}
	return readRegular(path, 32<<20)
}

// WithTemplate is base with another chat template; closing it closes base. It
// is base itself where that has the same, or template is "".
func WithTemplate(base *gguf.File, template string) (*gguf.File, error) {
	if old, _ := base.StringOr(templateKey, ""); template == "" || template == old {
		return base, nil
	}
	meta := slices.DeleteFunc(slices.Clone(base.Meta), func(kv gguf.KV) bool { return kv.Key == templateKey })
	f, err := gguf.New(append(meta, gguf.KV{Key: templateKey, Value: template}), slices.Clone(base.Tensors), base)
	if err != nil {
		return nil, err
	}
	f.Path = base.Path
	return f, nil
}
