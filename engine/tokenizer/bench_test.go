package tokenizer

import (
	"strings"
	"testing"
)

// The texts of the benchmarks: prose as people write it, and the mixed text, where hardly a word comes twice.
func BenchmarkEncode(b *testing.B) {
	texts := map[string]string{"prose": strings.Repeat(prose, 20), "mixed": mixed(1 << 20)}
	for _, name := range []string{"llama-bpe", "gpt-2", "llama-spm", "qwen2", "gemma-3"} {
		b.Run(name, func(b *testing.B) {
			var tok *Tokenizer
			switch name {
			case "qwen2":
				tok = load(b, modelPath(b, "ggml-vocab-qwen2.gguf"))
			case "gemma-3":
				tok = load(b, modelPath(b, "gemma-3-270m-q4_k_m.gguf"))
			default:
				tok = fixture(b, name)
			}
			for kind, text := range texts {
				b.Run(kind, func(b *testing.B) {
					b.SetBytes(int64(len(text)))
					for b.Loop() {
						tok.Encode(text, Options{})
					}
				})
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	loadClasses()
	texts := map[string]string{"prose": strings.Repeat(prose, 20), "mixed": string([]rune(mixed(1 << 20)))}
	for _, name := range []string{"llama-bpe", "qwen2", "gpt-2", "smollm", "tekken", "deepseek-v3", "deepseek-llm"} {
		p, err := preTokenizer(name)
		if err != nil {
			b.Fatal(err)
		}
		for kind, text := range texts {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				words := 0
				split := chain(p.stages, func(string) { words++ })
				for b.Loop() {
					split(text)
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, name := range []string{"llama-bpe", "llama-spm"} {
		v := loadVocab(b, "testdata/ggml-vocab-"+name+".gguf.gz")
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := New(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
