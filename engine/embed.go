package engine

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/tensor"
)

// A Pooling is how the vector of a text is made of those of its tokens. The
// numbers are those of the key pooling_type; 0 is what the model's file says,
// or else the mean for an encoder and the last token for other models.
type Pooling int

const (
	MeanPooling Pooling = iota + 1 // of all tokens
	CLSPooling                     // the first token
	LastPooling                    // the last token
)

var poolingNames = [...]string{MeanPooling: "mean", CLSPooling: "cls", LastPooling: "last"}

func (p Pooling) String() string {
	if p > 0 && int(p) < len(poolingNames) {
		return poolingNames[p]
	}
	return "auto"
}

// ParsePooling reads the name of a Pooling; "" and "auto" are the model's.
func ParsePooling(name string) (Pooling, error) {
	if name == "" || name == "auto" {
		return 0, nil
	}
	for p, s := range poolingNames {
		if s == name {
			return Pooling(p), nil
		}
	}
	return 0, fmt.Errorf("engine: pooling %q: want mean, cls, last or auto", name)
}

// EmbedOptions say how texts become vectors. The zero value is right for
// retrieval: the model's pooling, vectors of length 1.
type EmbedOptions struct {
	Pooling Pooling
	Raw     bool // leave the vectors' lengths as they are

	// Cut allows texts that are too long for the model: the end is cut off,
	// and Cut told which text it was and how many tokens it had. Without it
	// they are an error.
	Cut func(text, tokens int)

	// Progress is called with how many texts are done.
	Progress func(done int)
}

// An Embedder turns texts into vectors whose cosines say how alike the texts
// are. Encoders (BERT) are made for it; other models give the vectors that they
// would choose the next token by. Several texts at a time go through the model.
// Of a model that generates, the vector of a text does not depend, in one bit,
// on its company. Goroutines may share an Embedder: one call computes at a time.
type Embedder struct {
	m       *Model
	turn    chan struct{} // holds something while a call computes
	s       *Session      // working memory; of an encoder no text is ever in it
	o       EmbedOptions
	pooling Pooling
	rows    []float32 // hidden states on the host

	// Of a model that generates, whose caches several texts share.
	seq  []*tensor.Tensor // of each stage, (batch) i32: whose tokens they are
	room int              // rows of the smallest cache
}

// NewEmbedder allocates the working memory.
func (m *Model) NewEmbedder(o EmbedOptions) (*Embedder, error) {
	if o.Pooling < 0 || o.Pooling > LastPooling {
		return nil, fmt.Errorf("engine: embed: pooling %d: want 1 to %d, or 0 for the model's", o.Pooling, LastPooling)
	}
	s, err := m.newSession()
	if err != nil {
		return nil, err
	}
	e := &Embedder{m: m, turn: make(chan struct{}, 1), s: s, o: o, pooling: o.Pooling}
	if e.pooling == 0 {
		e.pooling = m.net.pooling
	}
	if !m.net.encoder {
		if err := e.share(); err != nil {
			return nil, errors.Join(fmt.Errorf("engine: new embedder of %s: %w", m.info.Name, err), s.Close())
		}
	}
	return e, nil
}

// Close gives back the working memory, once a call that computes has ended.
func (e *Embedder) Close() error {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	return e.s.Close()
}

// Pooling is how vectors are made.
func (e *Embedder) Pooling() Pooling { return e.pooling }

// Dim is how many numbers a vector has.
func (e *Embedder) Dim() int { return e.m.net.dim }

// Embed returns one vector for each text, and how many tokens all have. A text
// that is too long is an ErrContextFull, unless the options allow to cut it.
func (e *Embedder) Embed(ctx context.Context, texts []string) (vectors [][]float32, tokens int, err error) {
	ids := make([][]int32, len(texts))
	for i, text := range texts {
		if ctx.Err() != nil {
			return nil, 0, fmt.Errorf("engine: embed: %w", context.Cause(ctx))
		}
		ids[i] = e.tokens(text)
	}
	return e.EmbedTokens(ctx, ids)
}

// tokens are those of a text, with what the model wants at both ends.
func (e *Embedder) tokens(text string) []int32 {
	return e.m.tokenizer.Encode(text, tokenizer.Options{})
}

// EmbedTokens is Embed for texts that are tokens already, with those that the
// model wants at both ends. It does not change them.
func (e *Embedder) EmbedTokens(ctx context.Context, texts [][]int32) (vectors [][]float32, tokens int, err error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("engine: embed: %w", context.Cause(ctx))
	}
	texts, err = e.fit(texts)
	if err != nil {
		return nil, 0, err
	}
	for _, ids := range texts {
		tokens += len(ids)
	}
	if e.m.net.encoder {
		vectors, err = e.encode(ctx, texts)
	} else {
		vectors, err = e.continued(ctx, texts)
	}
	if err != nil {
		e.s.sync() // forget the streams' errors: err has the first
		return nil, 0, err
	}
	for i, v := range vectors {
		if err := e.finish(v); err != nil {
			return nil, 0, fmt.Errorf("engine: embed: text %d of %d: %w", i+1, len(vectors), err)
		}
	}
	return vectors, tokens, nil
}

// fit checks texts, and cuts those that are too long.
func (e *Embedder) fit(texts [][]int32) ([][]int32, error) {
	if e.s.closed {
		return nil, errors.New("engine: embed: the embedder is closed")
	}
	n := e.m.net
	fitting := make([][]int32, len(texts))
	for i, ids := range texts {
		switch {
		case len(ids) == 0:
			return nil, fmt.Errorf("engine: embed: text %d of %d has no tokens; leave it out", i+1, len(texts))
		case len(ids) > n.context && e.o.Cut == nil:
			return nil, fmt.Errorf("engine: embed: %w: text %d of %d has %d tokens, at most %d allowed; split it, or allow to cut it off",
				ErrContextFull, i+1, len(texts), len(ids), n.context)
		case len(ids) > n.context:
			e.o.Cut(i, len(ids))
			ids = append([]int32(nil), ids[:n.context]...)
			if end, ok := e.m.tokenizer.EOS(); ok && texts[i][len(texts[i])-1] == end {
				ids[n.context-1] = end
			}
		}
		for _, id := range ids {
			if id < 0 || int(id) >= n.vocab {
				return nil, fmt.Errorf("engine: embed: text %d of %d: token %d: the vocabulary has 0 to %d", i+1, len(texts), id, n.vocab-1)
			}
		}
		fitting[i] = ids
	}
	return fitting, nil
}

// finish gives a vector its length.
func (e *Embedder) finish(v []float32) error {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return errors.New("the vector is not finite; the model's file may be damaged")
	}
	if e.o.Raw || sum == 0 {
		return nil
	}
	scale := 1 / math.Sqrt(sum)
	for i := range v {
		v[i] = float32(float64(v[i]) * scale)
	}
	return nil
}

// encode takes as many texts as a batch holds through an encoder at a time.
func (e *Embedder) encode(ctx context.Context, texts [][]int32) (vectors [][]float32, err error) {
	for len(texts) > 0 {
		var ids, pos, last []int32
		var ends []int
		for _, text := range texts {
			if len(ids)+len(text) > e.m.batch {
				break
			}
			for i := range text {
				pos, last = append(pos, int32(i)), append(last, int32(len(text)-1))
			}
			ids = append(ids, text...)
			ends = append(ends, len(ids))
		}
		s, n := e.s, len(ids)
		if err := s.put(s.stages[0].b.ids.Slice(0, n), n, func(i int) int32 { return ids[i] }); err != nil {
			return nil, err
		}
		for _, st := range s.stages {
			st.b.ends = ends
			if err := s.put(st.b.pos.Slice(0, n), n, func(i int) int32 { return pos[i] }); err != nil {
				return nil, err
			}
			if err := s.put(st.b.last.Slice(0, n), n, func(i int) int32 { return last[i] }); err != nil {
				return nil, err
			}
		}
		if err := s.through(n, stopper(ctx)); err != nil {
			return nil, err
		}
		lo := 0
		for _, hi := range ends {
			p := newPool(e, hi-lo)
			if err := p.add(0, s.last().b.x.Slice(lo, hi)); err != nil {
				return nil, err
			}
			vectors = append(vectors, p.vector())
			lo = hi
		}
		texts = texts[len(ends):]
		e.progress(len(vectors))
	}
	return vectors, nil
}

func (e *Embedder) progress(done int) {
	if e.o.Progress != nil {
		e.o.Progress(done)
	}
}
