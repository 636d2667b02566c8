package demo_test

import (
	"crypto/sha256"
	"os"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/tensor"
)

// The limit: what a binary may carry without becoming a burden.
const maxBytes = 8_000_000

func TestOpen(t *testing.T) {
	if n := len(demo.Bytes()); n > maxBytes {
		t.Errorf("demo.gguf has %d bytes, want at most %d", n, maxBytes)
	}
	f, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for key, want := range map[string]string{
		"general.architecture": "llama",
		"general.name":         "llcuda demo",
		"general.license":      "mit",
		"tokenizer.ggml.model": "gpt2",
		"tokenizer.ggml.pre":   "gpt-2",
	} {
		if got, err := f.String(key); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", key, got, err, want)
		}
	}
	vocab, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	dim, err := f.Uint("llama.embedding_length")
	if err != nil {
		t.Fatal(err)
	}
	embd := f.Tensor("token_embd.weight")
	if embd == nil {
		t.Fatal("no token_embd.weight")
	}
	if want := []int{len(vocab), int(dim)}; !slices.Equal(embd.Shape, want) {
		t.Errorf("token_embd.weight: shape %v, want %v", embd.Shape, want)
	}
	for _, x := range f.Tensors {
		if len(x.Shape) == 2 && (x.Shape[1]%256 != 0 || x.DType != tensor.Q8_0) {
			t.Errorf("%s: %v of %v, want rows of a multiple of 256 in q8_0", x.Name, x.DType, x.Shape)
		}
	}
}

// Two opened files do not disturb each other, nor the embedded bytes.
func TestOpenTwice(t *testing.T) {
	before := sha256.Sum256(demo.Bytes())
	for range 2 {
		f, err := demo.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if sha256.Sum256(demo.Bytes()) != before {
		t.Error("opening and closing changed the model")
	}
	if disk, err := os.ReadFile("demo.gguf"); err != nil || sha256.Sum256(disk) != before {
		t.Errorf("the embedded model is not demo.gguf (%v); build again", err)
	}
}
