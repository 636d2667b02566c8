// Package demo is the model that llcuda carries inside itself: a llama of 3.9
// million parameters that answers a prompt with a short story, so that the
// first cell of a notebook works without a download. README.md, beside it, is
// its data card; train makes it anew.
package demo

import (
	_ "embed"

	"github.com/llcuda/llcuda/gguf"
)

//go:embed demo.gguf
var model []byte

// Bytes is the model as a GGUF file. It is shared: do not write to it.
func Bytes() []byte { return model }

// Open parses the model. The tensors are views into the binary.
func Open() (*gguf.File, error) { return gguf.Parse(model) }
