package engine_test

import (
	"context"
	"fmt"
	"log"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

func Example() {
	ctx := context.Background()
	m, err := engine.Load(ctx, "testdata/llama.gguf", engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	prompt := m.Tokenizer().Encode("a b c", tokenizer.Options{})
	var stats engine.Stats
	o := engine.GenerateOptions{MaxTokens: 8, Sampler: engine.DefaultSampler(), IgnoreEOG: true, Stats: &stats}
	text := ""
	for t, err := range s.Generate(ctx, prompt, o) {
		if err != nil {
			log.Fatal(err)
		}
		text += t.Text // or show it at once
	}
	fmt.Println(len(text) > 0, stats.NewTokens, stats.StopReason)
	// Output: true 8 length
}
