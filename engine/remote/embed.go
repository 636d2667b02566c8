package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"

	"github.com/llcuda/llcuda/internal/openai"
)

// An EmbedRequest is texts whose vectors are wanted.
type EmbedRequest struct {
	Model  string
	Texts  []string
	Fields map[string]any // further fields of the API: "dimensions", …

	Parallel int            // requests at once; 0 is 4 for each server
	Progress func(done int) // told how many texts are done; one call at a time
}

// Bounds of one request: text-embeddings-inference takes 32 texts unless told
// otherwise, OpenAI 300,000 tokens.
const (
	embedTexts = 32
	embedBytes = 256 << 10
)

// Embed returns one vector of length 1 for each text, in their order, and how
// many tokens all have, which is 0 where the servers do not count. The texts go
// to all servers, in several requests, each of which is tried again as answers
// are.
func (p *Pool) Embed(ctx context.Context, q EmbedRequest) (vectors [][]float32, tokens int, err error) {
	type span struct{ lo, hi int }
	spans := make(chan span, len(q.Texts))
	for lo := 0; lo < len(q.Texts); {
		hi, size := lo+1, len(q.Texts[lo])
		for hi < len(q.Texts) && hi-lo < embedTexts && size+len(q.Texts[hi]) <= embedBytes {
			size += len(q.Texts[hi])
			hi++
		}
		spans <- span{lo, hi}
		lo = hi
	}
	close(spans)
	if q.Parallel == 0 {
		q.Parallel = 4 * len(p.servers)
	}
	all, cancel := context.WithCancel(ctx)
	defer cancel()
	vectors = make([][]float32, len(q.Texts))
	done := 0
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(q.Parallel, len(spans)) {
		workers.Go(func() {
			for s := range spans {
				some, n, e := p.embed(all, &q, q.Texts[s.lo:s.hi])
				mu.Lock()
				switch {
				case e == nil:
					copy(vectors[s.lo:], some)
					tokens += n
					if done += len(some); q.Progress != nil {
						q.Progress(done)
					}
				case err == nil:
					if err = e; len(q.Texts) > s.hi-s.lo {
						err = fmt.Errorf("%w (texts %d to %d of %d)", e, s.lo+1, s.hi, len(q.Texts))
					}
					cancel()
				}
				mu.Unlock()
				if e != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	if err != nil {
		return nil, 0, err
	}
	for i, v := range vectors {
		if len(v) != len(vectors[0]) {
			return nil, 0, fmt.Errorf("remote: text %d got a vector of %d numbers, the first one of %d: the servers have different models", i+1, len(v), len(vectors[0]))
		}
	}
	return vectors, tokens, nil
}

// embed is one request.
func (p *Pool) embed(ctx context.Context, q *EmbedRequest, texts []string) (vectors [][]float32, tokens int, err error) {
	m := map[string]any{"model": q.Model, "input": texts}
	maps.Copy(m, q.Fields)
	body, err := json.Marshal(m)
	if err != nil {
		return nil, 0, fmt.Errorf("remote: request: %w", err)
	}
	err = p.call(ctx, func(s *server) (err error) {
		vectors, tokens, err = s.embed(ctx, body, len(texts))
		return err
	})
	return vectors, tokens, err
}

// embed asks the server for so many vectors.
func (c *Client) embed(ctx context.Context, body []byte, texts int) (vectors [][]float32, tokens int, err error) {
	r, err := c.send(ctx, "/embeddings", body)
	if err != nil {
		return nil, 0, err
	}
	defer r.Body.Close()
	data, err := readWhole(r.Body)
	if err != nil {
		return nil, 0, fmt.Errorf("remote: %s: reading vectors: %w", c.base.Host, err)
	}
	return c.vectors(data, texts)
}

// vectors reads an answer that has so many.
func (c *Client) vectors(data []byte, texts int) (vectors [][]float32, tokens int, err error) {
	var answer struct {
		openai.EmbeddingResponse
		Error json.RawMessage
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, 0, fmt.Errorf("remote: %s: the answer is %w: %v", c.base.Host, errNotAPI, err)
	}
	if len(answer.Error) > 0 && string(answer.Error) != "null" {
		return nil, 0, c.parseError(0, data)
	}
	vectors = make([][]float32, texts)
	for _, d := range answer.Data {
		if d.Index < 0 || d.Index >= texts || vectors[d.Index] != nil {
			return nil, 0, fmt.Errorf("remote: %s: vector %d of %d texts, or twice, is %w", c.base.Host, d.Index, texts, errNotAPI)
		}
		if vectors[d.Index], err = unit(d.Embedding.Values); err != nil {
			return nil, 0, fmt.Errorf("remote: %s: vector %d %w", c.base.Host, d.Index, err)
		}
	}
	if len(answer.Data) != texts {
		return nil, 0, fmt.Errorf("remote: %s: %d vectors of %d texts are %w", c.base.Host, len(answer.Data), texts, errNotAPI)
	}
	return vectors, answer.Usage.PromptTokens, nil
}

// unit gives a vector the length 1; one of zeros stays.
func unit(v []float32) ([]float32, error) {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	switch {
	case len(v) == 0:
		return nil, fmt.Errorf("without numbers is %w", errNotAPI)
	case math.IsNaN(sum) || math.IsInf(sum, 0):
		return nil, errors.New("is not finite")
	case sum == 0:
		return v, nil
	}
	for i, x := range v {
		v[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return v, nil
}
