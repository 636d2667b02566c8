package checkpoint_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/safetensors"
)

// FuzzOpen: whatever the files beside the weights say, Open returns a file or an
// *Error, never both, in memory bounded by their size and the vocabulary's. The
// file is one that the engine loads or refuses, and its rows can be made.
func FuzzOpen(f *testing.F) {
	names := []string{"llama", "mistral", "qwen2-window", "qwen3-fp8", "gemma2", "gemma3-vision", "phi3", "llama-nf4", "llama-linear"}
	var weights []*safetensors.File
	for i, name := range names {
		w, err := safetensors.Open(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { w.Close() })
		weights = append(weights, w)
		read := func(file string) []byte {
			b, _ := os.ReadFile(filepath.Join("testdata", name, file))
			return b
		}
		f.Add(byte(i), read("config.json"), read("tokenizer.json"), read("tokenizer_config.json"), read("tokenizer.model"))
		f.Add(byte(i), read("config.json"), []byte(smallTokenizer), read("tokenizer_config.json"), []byte{})
		f.Add(byte(i), read("config.json"), []byte{}, []byte(`{"added_tokens_decoder":{"9":{"content":"<x>","special":true,"rstrip":true}}}`),
			[]byte("\n\b\n\x01a\x15\x00\x00\x80?\n\x08\n\x02ab\x18\x04\x12\x02\x18\x02\x1a\x06\x18\x01 \x00(\x01"))
	}
	f.Fuzz(func(t *testing.T, i byte, config, tokens, tokenizerConfig, pieces []byte) {
		files := map[string][]byte{"config.json": config, "tokenizer_config.json": tokenizerConfig, "tokenizer.model": pieces}
		if len(tokens) > 0 {
			files["tokenizer.json"] = tokens
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		g, err := checkpoint.OpenFiles(files, weights[int(i)%len(weights)])
		runtime.ReadMemStats(&after)
		size := uint64(len(config) + len(tokens) + 2*len(tokenizerConfig) + len(pieces))
		if took := after.TotalAlloc - before.TotalAlloc; took > 200*size+4<<20 {
			t.Fatalf("%d bytes of memory for %d", took, size)
		}
		if err != nil {
			var fault *checkpoint.Error
			if g != nil || !errors.As(err, &fault) {
				t.Fatalf("%v beside %T %v", g, err, err)
			}
			return
		}
		for i := range g.Tensors {
			x := &g.Tensors[i]
			if err := x.Read(make([]byte, x.RowBytes()), 0); err != nil {
				t.Fatalf("tensor %q: %v", x.Name, err)
			}
		}
		gguf.Check(g)
		if v, err := tokenizer.ReadVocab(g); err == nil {
			if tok, err := tokenizer.New(v); err == nil {
				tok.Encode("Hello, \u4e16\u754c  1", tokenizer.Options{Special: true})
			}
		}
		if m, err := engine.LoadFile(t.Context(), g, engine.Options{Context: 16}); err == nil {
			m.Close()
		}
	})
}

// smallTokenizer is one that mutations find their way in.
const smallTokenizer = `{"added_tokens":[{"id":9,"content":"<s>","special":true,"lstrip":true}],"normalizer":{"type":"NFC"},
"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":false}]},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}]},
"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"Ġ":3},"merges":[["a","b"]]}}`
