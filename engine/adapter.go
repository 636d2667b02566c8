package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/tensor"
)

// An Adapter is low-rank changes of a model's weights (LoRA), which stay beside
// the weights: those may be quantised and are not changed. It does nothing
// until a session, a batcher or the model is told to use it.
type Adapter struct {
	m       *Model
	f       *gguf.File
	info    AdapterInfo
	changes *lora.Adapter
	lengths map[string]*lora.Lengths // of DoRA's weights
}

// AdapterInfo says what an adapter is.
type AdapterInfo struct {
	Name    string
	Base    string // what its base is called, or ""
	Doubt   string // why the model may not be that base; "" is no doubt
	MinRank int
	MaxRank int   // 0: no weight is changed by a product of two
	Changed int   // weights that are
	Whole   int   // weights, biases and norms that it replaces
	Params  int64 // numbers in all its tensors
	DoRA    bool
}

// A Scaled is an adapter and how much of it: 1 is as it was trained. With 0 it
// has no part.
type Scaled struct {
	*Adapter
	Scale float32
}

// Attach reads an adapter in GGUF's form and checks that it is one for the
// model; the error is a *lora.MismatchError if it isn't. DoRA's lengths are
// computed from all of the weights that it changes. f becomes the model's, which
// closes it when the adapter is detached, or with the model, or with an error.
func (m *Model) Attach(ctx context.Context, f *gguf.File, name string) (*Adapter, error) {
	a, err := m.attach(ctx, f, name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

func (m *Model) attach(ctx context.Context, f *gguf.File, name string) (*Adapter, error) {
	changes, err := lora.Read(f)
	if err != nil {
		return nil, fmt.Errorf("engine: attach: %w", err)
	}
	name = cmp.Or(name, changes.Name, "adapter")
	if err := changes.Check(m.source, name); err != nil {
		return nil, fmt.Errorf("engine: attach: %w", err)
	}
	a := &Adapter{m: m, f: f, changes: changes, lengths: map[string]*lora.Lengths{}}
	a.info = AdapterInfo{Name: name, Base: changes.Base, Doubt: changes.Doubt(m.source), Changed: len(changes.Deltas),
		Whole: len(changes.Whole), Params: f.Params(), DoRA: changes.DoRA()}
	a.info.MinRank, a.info.MaxRank = changes.Ranks()
	for i := range changes.Deltas {
		d := &changes.Deltas[i]
		if m.homes(d.Name) == nil {
			return nil, fmt.Errorf("engine: attach %s: it changes %q, which is not possible beside the model; merge it instead", name, d.Name)
		}
		if d.Magnitude == nil {
			continue
		}
		if a.lengths[d.Name], err = d.Lengths(ctx, a.under(d.Name)); err != nil {
			return nil, fmt.Errorf("engine: attach %s: %w", name, err)
		}
	}
	for _, t := range changes.Whole {
		if m.homes(t.Name) == nil {
			return nil, fmt.Errorf("engine: attach %s: it has a %q of its own, which is not possible beside the model; merge it instead", name, t.Name)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("engine: attach: the model is closed")
	}
	m.adapters = append(m.adapters, a)
	return a, nil
}

// under is the weight that the adapter's change of that name applies to.
func (a *Adapter) under(name string) *gguf.Tensor {
	for _, t := range a.changes.Whole {
		if t.Name == name {
			return t
		}
	}
	return lora.Target(a.m.source, name)
}

// Info is what the adapter is.
func (a *Adapter) Info() AdapterInfo { return a.info }

// Adapters are those that are attached, in the order in which they came.
func (m *Model) Adapters() []*Adapter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.adapters)
}

// Detach forgets an adapter, which nobody may use any more.
func (m *Model) Detach(a *Adapter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.blends {
		if b.uses > 0 && slices.ContainsFunc(b.of, func(s Scaled) bool { return s.Adapter == a }) {
			return fmt.Errorf("engine: detach %s: it is in use; switch it off first", a.info.Name)
		}
	}
	n := len(m.adapters)
	if m.adapters = slices.DeleteFunc(m.adapters, func(other *Adapter) bool { return other == a }); len(m.adapters) == n {
		return nil
	}
	return a.f.Close()
}

// SetAdapters says what sessions, batchers and embedders begin with that are
// made from now on. None is the base alone.
func (m *Model) SetAdapters(set ...Scaled) error {
	b, err := m.blend(set)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leave(m.initial)
	m.initial = b
	return nil
}

// SetAdapters changes what the session's text is read and continued with. The
// text stays; its keys and values are computed again with the next call, unless
// nothing changed.
func (s *Session) SetAdapters(set ...Scaled) error {
	if s.closed {
		return errors.New("engine: set adapters: the session is closed")
	}
	b, err := s.m.blend(set)
	if err != nil {
		return err
	}
	if b == s.blend {
		s.m.drop(b)
		return nil
	}
	fresh, err := b.workings(s.m.parts, s.m.batch, 1)
	if err != nil {
		s.m.drop(b)
		return fmt.Errorf("engine: set adapters: %w; take a smaller batch or context", err)
	}
	err = s.sync() // a step may be on its way
	s.cached, s.reach, s.fed, s.flying = 0, 0, -1, -1
	for i, st := range s.stages {
		st.adapt(fresh[i])
	}
	s.m.drop(s.blend)
	s.blend, s.net = b, s.m.network(b)
	return err
}

// Adapters are what the session uses.
func (s *Session) Adapters() []Scaled { return slices.Clone(s.blend.parts()) }

// normal is a set as it is compared: without parts of 0, parts of the same
// adapter summed.
func (m *Model) normal(set []Scaled) (all []Scaled, err error) {
	for _, s := range set {
		switch {
		case s.Adapter == nil || !slices.Contains(m.adapters, s.Adapter):
			return nil, fmt.Errorf("engine: set adapters: one is not attached to %s", m.info.Name)
		case math.IsNaN(float64(s.Scale)) || math.IsInf(float64(s.Scale), 0):
			return nil, fmt.Errorf("engine: set adapters: scale %g of %s: want a number", s.Scale, s.info.Name)
		}
		i := slices.IndexFunc(all, func(o Scaled) bool { return o.Adapter == s.Adapter })
		if i < 0 {
			all = append(all, s)
		} else {
			all[i].Scale += s.Scale
		}
	}
	return slices.DeleteFunc(all, func(s Scaled) bool { return s.Scale == 0 }), nil
}

// A home is where rows of a tensor of the file went: a field of the network or
// of one of its layers.
type home struct {
	dst  **tensor.Tensor
	row  int // the first one in the tensor
	rows int
}

// settle remembers where the weights went.
func (m *Model) settle(weights []weight) {
	m.where = map[string][]home{}
	for i := range weights {
		w := &weights[i]
		rows := 1
		if len(w.shape) > 1 {
			rows = w.shape[0]
		}
		for _, dst := range w.dst {
			name := w.name
			if dst == &m.net.output { // the embedding's, where it is tied
				name = "output.weight"
			}
			m.where[name] = append(m.where[name], home{dst, w.row, rows})
		}
	}
}

// homes are where a tensor is, nil for none that adapters can change.
func (m *Model) homes(name string) []home { return m.where[name] }
