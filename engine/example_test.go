package engine_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/demo"
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

func ExampleEmbedder() {
	ctx := context.Background()
	m, err := engine.Load(ctx, "testdata/encoders/bert-mean.gguf", engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	e, err := m.NewEmbedder(engine.EmbedOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()

	v, tokens, err := e.Embed(ctx, []string{"A cat.", "a CAT.", "war and peace"})
	if err != nil {
		log.Fatal(err)
	}
	cosine := func(a, b []float32) (sum float32) {
		for i := range a {
			sum += a[i] * b[i] // their lengths are 1
		}
		return sum
	}
	fmt.Printf("%d tokens, %s pooling, %d numbers: %.2f and %.2f\n", tokens, e.Pooling(), e.Dim(), cosine(v[0], v[1]), cosine(v[0], v[2]))
	// Output: 15 tokens, mean pooling, 32 numbers: 1.00 and 0.80
}

// Several texts at once: each goroutine continues its own.
func ExampleModel_NewBatcher() {
	f, err := demo.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	m, err := engine.LoadFile(context.Background(), f, engine.Options{Texts: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	b, err := m.NewBatcher(engine.BatcherOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	questions := []string{"What is AI?", "The sun"}
	answers := make([]string, len(questions))
	var wg sync.WaitGroup
	for i, q := range questions {
		wg.Go(func() {
			ids := m.Tokenizer().Encode(q, tokenizer.Options{})
			for token, err := range b.Generate(context.Background(), ids, engine.GenerateOptions{MaxTokens: 12}) {
				if err != nil {
					log.Fatal(err)
				}
				answers[i] += token.Text
			}
		})
	}
	wg.Wait()
	for i, q := range questions {
		fmt.Printf("%s%s\n", q, answers[i])
	}
	// Output:
	// What is AI?
	// Once upon a time, there was a little girl named
	// The sun Max lived in a cottage with a red door.
}
