package server

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/openai"
)

func (s *Server) embeddings(w *response, r *http.Request) error {
	var q openai.EmbeddingRequest
	if err := s.read(w, r, &q, func() error { return s.checkEmbedding(&q) }); err != nil {
		return err
	}
	texts := q.Input.Texts
	if err := s.embedding.enter(1); err != nil {
		return err
	}
	defer s.embedding.leave(1)
	out := openai.EmbeddingResponse{Object: "list", Model: s.o.Name}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.halted, cancel)()
	for part := range slices.Chunk(texts, embedAtOnce) {
		err := s.embedding.run(ctx, func() error { return s.embed(ctx, part, &q, &out) })
		if n := len(out.Data); errors.Is(err, engine.ErrContextFull) && n > 0 { // err counts from there
			return openai.Invalid("input", openai.CodeContextLength, "Behind text %d: %v", n, err)
		} else if errors.Is(err, engine.ErrContextFull) {
			return openai.Invalid("input", openai.CodeContextLength, "%v", err)
		} else if err != nil {
			return err
		}
	}
	return w.json(http.StatusOK, out)
}

// checkEmbedding refuses what cannot be embedded.
func (s *Server) checkEmbedding(q *openai.EmbeddingRequest) error {
	if err := q.Check(); err != nil {
		return err
	}
	if err := s.known(q.Model); err != nil {
		return err
	}
	if s.o.Embedder == nil {
		return openai.Invalid("model", openai.CodeUnsupported, "%s makes no embeddings; llcuda serve --embeddings has any model make them, and those of the BERT family always do.", s.o.Name)
	}
	if len(q.Input.Tokens) > 0 {
		return openai.Invalid("input", openai.CodeUnsupported, "Tokens are not supported as 'input', since those of another tokenizer would mean something else; send texts.")
	}
	for i, t := range q.Input.Texts {
		if t == "" {
			return openai.Invalid("input", "invalid_value", "Invalid 'input': text %d is empty.", i)
		}
		if s.o.Model != nil {
			if err := s.fits("input", len(t)); err != nil {
				return err
			}
		}
	}
	if q.Dimensions != nil && *q.Dimensions > s.o.Embedder.Dim() {
		return openai.Invalid("dimensions", "invalid_value", "Invalid 'dimensions': %d; the model's vectors have %d numbers.", *q.Dimensions, s.o.Embedder.Dim())
	}
	return nil
}

// embedAtOnce is how many texts of a request are embedded before it is
// another's turn.
const embedAtOnce = 16

// embed appends the vectors of texts.
func (s *Server) embed(ctx context.Context, texts []string, q *openai.EmbeddingRequest, out *openai.EmbeddingResponse) error {
	vectors, tokens, err := s.o.Embedder.Embed(ctx, texts)
	if err != nil {
		return err
	}
	s.metrics.promptTokens.Add(int64(tokens))
	out.Usage.PromptTokens += tokens
	out.Usage.TotalTokens += tokens
	for _, v := range vectors {
		out.Data = append(out.Data, openai.Embedding{Object: "embedding", Index: len(out.Data),
			Embedding: openai.Vector{Values: shorten(v, q.Dimensions), Base64: q.EncodingFormat == "base64"}})
	}
	return nil
}

// shorten keeps the first numbers of a vector and makes its length 1 again, as
// models that are trained so (Kusupati et al. 2022, Matryoshka) need it.
func shorten(v []float32, dimensions *int) []float32 {
	if dimensions == nil || *dimensions == len(v) {
		return v
	}
	sum := 0.0
	for _, x := range v[:*dimensions] {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return v[:*dimensions]
	}
	out := make([]float32, *dimensions)
	for i := range out {
		out[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return out
}
