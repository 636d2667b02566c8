package engine

import (
	"fmt"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
)

// readTokenizer makes the tokenizer of a file's metadata.
func readTokenizer(f *gguf.File) (*tokenizer.Tokenizer, error) {
	v, err := tokenizer.ReadVocab(f)
	if err != nil {
		return nil, fmt.Errorf("engine: %w: %w", ErrModel, err)
	}
	t, err := tokenizer.New(v)
	if err != nil {
		return nil, fmt.Errorf("engine: %w: %w", ErrModel, err)
	}
	return t, nil
}
