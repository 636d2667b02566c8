package server

import (
	"errors"
	"math"
	"net/http"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/openai"
)

func (s *Server) embeddings(w *response, r *http.Request) error {
	var q openai.EmbeddingRequest
	if err := s.read(w, r, &q); err != nil {
		return err
	}
	if err := q.Check(); err != nil {
		return err
	}
	if err := s.known(q.Model); err != nil {
		return err
	}
	if s.o.Embedder == nil {
		return openai.Invalid("model", openai.CodeUnsupported, "%s makes no embeddings; llcuda serve --embeddings has any model make them, and those of the BERT family always do.", s.o.Name)
	}
	texts := q.Input.Texts
	if len(q.Input.Tokens) > 0 {
		return openai.Invalid("input", openai.CodeUnsupported, "Tokens are not supported as 'input', since those of another tokenizer would mean something else; send texts.")
	}
	for i, t := range texts {
		if t == "" {
			return openai.Invalid("input", "invalid_value", "Invalid 'input': text %d is empty.", i)
		}
	}
	if err := s.queue.enter(1); err != nil {
		return err
	}
	defer s.queue.leave(1)
	out := openai.EmbeddingResponse{Object: "list", Model: s.o.Name}
	err := s.queue.run(r.Context(), func() error {
		vectors, tokens, err := s.o.Embedder.Embed(r.Context(), texts)
		if errors.Is(err, engine.ErrContextFull) {
			return openai.Invalid("input", openai.CodeContextLength, "%v", err)
		}
		if err != nil {
			return err
		}
		s.metrics.promptTokens.Add(int64(tokens))
		out.Usage = openai.Usage{PromptTokens: tokens, TotalTokens: tokens}
		for i, v := range vectors {
			if v, err = shorten(v, q.Dimensions); err != nil {
				return err
			}
			out.Data = append(out.Data, openai.Embedding{Object: "embedding", Index: i, Embedding: openai.Vector{Values: v, Base64: q.EncodingFormat == "base64"}})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.json(http.StatusOK, out)
}

// shorten keeps the first numbers of a vector and makes its length 1 again, as
// models that are trained so (Kusupati et al. 2022, Matryoshka) need it.
func shorten(v []float32, dimensions *int) ([]float32, error) {
	if dimensions == nil || *dimensions == len(v) {
		return v, nil
	}
	if *dimensions > len(v) {
		return nil, openai.Invalid("dimensions", "invalid_value", "Invalid 'dimensions': %d; the model's vectors have %d numbers.", *dimensions, len(v))
	}
	sum := 0.0
	for _, x := range v[:*dimensions] {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return v[:*dimensions], nil
	}
	out := make([]float32, *dimensions)
	for i := range out {
		out[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return out, nil
}
