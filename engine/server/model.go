package server

import (
	"cmp"
	"errors"

	"github.com/llcuda/llcuda/engine"
)

// ForModel is New with a Batcher of m for o.Parallel texts, or, where m is an
// encoder, with an Embedder; embed asks for both. exact keeps the last bits of
// answers from depending on what else is asked. release frees what was made,
// and not m.
func ForModel(m *engine.Model, o Options, embed, exact bool) (s *Server, release func() error, err error) {
	var close []func() error
	release = func() (err error) {
		for _, f := range close {
			err = errors.Join(err, f())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	if info := m.Info(); !info.Encoder {
		b, err := m.NewBatcher(engine.BatcherOptions{Texts: o.Parallel, ReuseGenerated: !exact, Lone: !exact})
		if err != nil {
			return nil, release, err
		}
		close = append(close, b.Close)
		o.Model, o.Generator = m, b
	} else {
		embed = true
		o.Parallel = cmp.Or(o.Parallel, 1)
	}
	if embed {
		e, err := m.NewEmbedder(engine.EmbedOptions{})
		if err != nil {
			return nil, release, err
		}
		close = append(close, e.Close)
		o.Embedder = e
	}
	s, err = New(o)
	return s, release, err
}
