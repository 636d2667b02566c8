package engine

import (
	"fmt"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
)

// readTokenizer makes the tokenizer of a file's metadata.
func readTokenizer(f *gguf.File) (*tokenizer.Tokenizer, error) {
	t, err := tokenizer.Read(f)
	if err != nil {
		return nil, fmt.Errorf("engine: %w: %w", ErrModel, err)
	}
	return t, nil
}

// readTemplates reads the chat templates of a file: the default one, and those
// whose names tokenizer.chat_templates lists.
func readTemplates(f *gguf.File) (map[string]string, error) {
	const key = "tokenizer.chat_template"
	templates := map[string]string{}
	names := []string{""}
	if _, ok := f.Value(key + "s"); ok {
		more, err := f.Strings(key + "s")
		if err != nil {
			return nil, fmt.Errorf("engine: %w: %w", ErrModel, err)
		}
		names = append(names, more...)
	}
	for _, name := range names {
		k := key
		if name != "" {
			k += "." + name
		}
		source, err := f.StringOr(k, "")
		if err != nil {
			return nil, fmt.Errorf("engine: %w: %w", ErrModel, err)
		}
		if source != "" {
			templates[name] = source
		}
	}
	return templates, nil
}
