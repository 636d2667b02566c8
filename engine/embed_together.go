package engine

import (
	"context"

	"github.com/llcuda/llcuda/tensor"
)

// Vectors of a model that generates. Its caches hold one long text, or several
// short ones: then they are seen as those of so many sequences. Nothing of a
// text is needed once it has its vector.

// share lets several texts have the caches.
func (e *Embedder) share() error {
	e.room = e.m.net.context
	for _, st := range e.s.stages {
		st.s.Alike(tensor.AlikeMany)
		e.seq = append(e.seq, st.mem.new(tensor.I32, e.m.batch))
		if st.mem.err != nil {
			return st.mem.err
		}
		for i := st.lo; i < st.hi; i++ {
			e.room = min(e.room, st.b.cache[i].k.Rows())
		}
	}
	return nil
}

// continued takes as many texts as the batch and the caches hold through a
// model that generates at a time.
func (e *Embedder) continued(ctx context.Context, texts [][]int32) (vectors [][]float32, err error) {
	stop := stopper(ctx)
	for len(texts) > 0 {
		way, n := e.together, e.fitting(texts)
		if n == 1 {
			way = e.alone
		}
		some, err := way(texts[:n], stop)
		if err != nil {
			return nil, err
		}
		vectors, texts = append(vectors, some...), texts[n:]
		e.progress(len(vectors))
	}
	return vectors, nil
}

// fitting is how many of the first texts go together: 1 where the first one
// alone is as much as fits, or more.
func (e *Embedder) fitting(texts [][]int32) int {
	rows, longest := 0, 0
	for i, ids := range texts {
		rows, longest = rows+len(ids), max(longest, len(ids))
		if rows > e.m.batch || (i+1)*longest > e.room {
			return max(1, i)
		}
	}
	return len(texts)
}

// together takes texts through the model in one batch.
func (e *Embedder) together(texts [][]int32, stop func() error) (vectors [][]float32, err error) {
	var ids, pos, seq []int32
	longest := 0
	for i, text := range texts {
		for at := range text {
			pos, seq = append(pos, int32(at)), append(seq, int32(i))
		}
		ids = append(ids, text...)
		longest = max(longest, len(text))
	}
	s, n := e.s, len(ids)
	if err := s.put(s.stages[0].b.ids.Slice(0, n), n, func(i int) int32 { return ids[i] }); err != nil {
		return nil, err
	}
	for i, st := range s.stages {
		if err := s.put(st.b.pos.Slice(0, n), n, func(i int) int32 { return pos[i] }); err != nil {
			return nil, err
		}
		if err := s.put(e.seq[i].Slice(0, n), n, func(i int) int32 { return seq[i] }); err != nil {
			return nil, err
		}
		whole := st.b
		st.b = whole.split(e.seq[i], len(texts), longest)
		defer func() { st.b = whole }()
	}
	if err := s.through(n, stop); err != nil {
		return nil, err
	}
	h, err := e.states(0, n)
	if err != nil {
		return nil, err
	}
	lo := 0
	for _, text := range texts {
		p := newPool(e, len(text))
		if err := p.add(0, h.Slice(lo, lo+len(text))); err != nil {
			return nil, err
		}
		vectors, lo = append(vectors, p.vector()), lo+len(text)
	}
	return vectors, nil
}

// split is the batch with the first rows of its caches as those of so many
// texts of at most length tokens: no ring comes round.
func (b *batch) split(seq *tensor.Tensor, texts, length int) *batch {
	v := *b
	v.seq, v.seqs, v.cache = seq, texts, make([]cache, len(b.cache))
	for i, c := range b.cache {
		if c.k != nil { // it is on this device
			v.cache[i] = cache{c.k.Slice(0, texts*length), c.v.Slice(0, texts*length)}
		}
	}
	return &v
}

// alone takes the only text, of any length, through the model.
func (e *Embedder) alone(texts [][]int32, stop func() error) (vectors [][]float32, err error) {
	s, ids := e.s, texts[0]
	s.Reset()
	defer s.Reset()
	s.tokens = append(s.tokens, ids...)
	p := newPool(e, len(ids))
	for s.cached < len(ids) {
		n := min(len(ids)-s.cached, e.m.batch)
		if err := s.load(n); err != nil {
			return nil, err
		}
		s.reach = max(s.reach, s.cached+n)
		if err := s.through(n, stop); err != nil {
			return nil, err
		}
		if lo, hi := p.wanted(s.cached, n); lo < hi {
			h, err := e.states(lo, hi)
			if err != nil {
				return nil, err
			}
			if err := p.add(s.cached+lo, h); err != nil {
				return nil, err
			}
		}
		s.cached += n
	}
	return [][]float32{p.vector()}, nil
}

// states are those that the next token would be chosen by, of the rows lo to
// hi of the batch.
func (e *Embedder) states(lo, hi int) (*tensor.Tensor, error) {
	st := e.s.last()
	h := st.b.h.Slice(lo, hi)
	st.s.RMSNorm(h, st.b.x.Slice(lo, hi), e.s.net.outputNorm, e.s.net.eps)
	return h, st.s.Err()
}
