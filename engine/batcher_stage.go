package engine

import (
	"errors"
	"time"

	"github.com/llcuda/llcuda/tensor"
)

// MaxTexts is how many texts a Batcher continues at most: as many rows as devices
// compute as few (tensor.AlikeFew, or AlikeSome).
const MaxTexts = 64

// batcherStages are the parts of the model on their devices, with the caches
// of all texts, and what follows the last layer.
type batcherStages struct {
	stages []*batcherStage
	mem    allocator      // of what follows, on the last stage's device
	last   *tensor.Tensor // (texts, dim): the residual stream of tokens that prompts end with
	lastH  *tensor.Tensor // (texts, dim): scratch memory of the head
	rowsOf *tensor.Tensor // (texts) i32: where they are in the batch
	out    *tensor.Tensor // (texts, vocab): logits
	best   *tensor.Tensor // (texts) i32: the likeliest tokens
	vals   *tensor.Tensor // (texts·MaxTopK) f32: logits of the likeliest
	ids    *tensor.Tensor // (texts·MaxTopK) i32
	border []float32      // the residual stream on its way to another device
	slack  int            // how far back rings remember
	host   []int32        // what goes to a device, and comes back
	values []float32
}

// A batcherStage is one part of the model. Its streams issue to one device;
// they differ in how the results of rows are alike: not at all in apart, which
// is for a text alone.
type batcherStage struct {
	part
	few, many, apart *tensor.Stream
	mem              allocator
	b                *batch
	steps            map[stepKey]tensor.Program
}

// A stepKey names a recorded step: of so many rows, with this ending; or of
// the text in a slot alone, with rows 0.
type stepKey struct {
	rows, slot int
	end        ending
}

// stepRows is the number of rows of the recorded step that n texts take.
func stepRows(n int) int {
	rows := 1
	for rows < n {
		rows *= 2
	}
	return rows
}

// allocate takes the memory of all stages.
func (b *Batcher) allocate(o *BatcherOptions) error {
	m, n := b.m, b.m.net
	rows, texts := max(o.Batch, stepRows(o.Texts)), stepRows(o.Texts)
	b.slack = maxContext
	for _, p := range m.parts {
		st := &batcherStage{part: p, few: tensor.NewStream(p.dev), many: tensor.NewStream(p.dev), apart: tensor.NewStream(p.dev),
			mem: allocator{dev: p.dev}, steps: map[stepKey]tensor.Program{}}
		b.stages = append(b.stages, st)
		st.few.Alike(tensor.AlikeFew)
		if o.Texts > 8 {
			st.few.Alike(tensor.AlikeSome)
		}
		st.many.Alike(tensor.AlikeMany)
		if st.b = newBatch(&st.mem, n, p.lo, p.hi, rows, o.Context, o.Texts, m.cacheType); st.mem.err != nil {
			return st.mem.err
		}
		a, err := b.blend.working(p, rows, texts)
		if err != nil {
			return err
		}
		st.b.adapt(a)
		for i := p.lo; i < p.hi; i++ {
			if have := st.b.cache[i].k.Rows() / o.Texts; have < o.Context {
				b.slack = min(b.slack, have-n.layers[i].attend.Window+1)
			}
		}
	}
	if len(b.stages) > 1 {
		b.border = make([]float32, rows*n.dim)
	}
	k := min(tensor.MaxTopK, n.vocab)
	b.host, b.values = make([]int32, max(rows, texts*k)), make([]float32, texts*k)
	a := &b.mem
	a.dev = b.final().dev
	b.last, b.lastH, b.rowsOf = a.new(tensor.F32, texts, n.dim), a.new(tensor.F32, texts, n.dim), a.new(tensor.I32, texts)
	b.out, b.best = a.new(tensor.F32, texts, n.vocab), a.new(tensor.I32, texts)
	b.vals, b.ids = a.new(tensor.F32, texts*k), a.new(tensor.I32, texts*k)
	return a.err
}

// reserve has devices take the memory that operations need for the largest piece of
// prompts and the largest step: where that grew later, all steps would be captured
// anew.
func (b *Batcher) reserve(texts int) error {
	record := func(st *batcherStage, s *tensor.Stream, rows int) error {
		p, err := s.Record(func() { b.net.forward(b.m.arch, s, st.b.first(rows), st.lo, st.hi, s.Err) })
		if err == nil {
			p.Free()
		}
		return err
	}
	for _, st := range b.stages {
		if err := errors.Join(record(st, st.many, b.rows), record(st, st.few, stepRows(texts))); err != nil {
			return err
		}
	}
	return nil
}

// free gives back what allocate and steps took.
func (b *Batcher) free() {
	for _, st := range b.stages {
		st.forget()
		st.b.adapt(nil)
		st.mem.free()
	}
	b.mem.free()
}

// forget drops the steps that were recorded.
func (st *batcherStage) forget() {
	for _, p := range st.steps {
		p.Free()
	}
	clear(st.steps)
}

// final is the stage that computes logits.
func (b *batcherStages) final() *batcherStage { return b.stages[len(b.stages)-1] }

// sync waits for all devices and forgets their streams' errors.
func (b *batcherStages) sync() {
	for _, st := range b.stages {
		st.few.Sync() // the first error is known already
		st.many.Sync()
		st.apart.Sync()
	}
}

// put writes n integers to a device.
func (b *batcherStages) put(t *tensor.Tensor, n int, value func(i int) int32) error {
	for i := range n {
		b.host[i] = value(i)
	}
	return t.Device.Write(t.Slice(0, n), bytesOf(b.host[:n]))
}

// A row is one token on its way through the model.
type row struct {
	id, pos int32
	seq     int32 // -1: none
}

// load writes rows to the devices.
func (b *batcherStages) load(rows []row) error {
	n := len(rows)
	if err := b.put(b.stages[0].b.ids, n, func(i int) int32 { return rows[i].id }); err != nil {
		return err
	}
	for _, st := range b.stages {
		if err := b.put(st.b.pos, n, func(i int) int32 { return rows[i].pos }); err != nil {
			return err
		}
		if err := b.put(st.b.seq, n, func(i int) int32 { return rows[i].seq }); err != nil {
			return err
		}
	}
	return nil
}

// cross brings the residual stream of n rows over the border before stage i,
// by way of the host.
func (b *batcherStages) cross(i, n int) error {
	if i == 0 {
		return nil
	}
	from, to := b.stages[i-1], b.stages[i]
	x := b.border[:n*from.b.x.Cols()]
	if err := from.dev.Read(bytesOf(x), from.b.x.Slice(0, n)); err != nil {
		return err
	}
	return to.dev.Write(to.b.x.Slice(0, n), bytesOf(x))
}

// run issues the step that key names through a stage. It is recorded the first
// time.
func (b *Batcher) run(st *batcherStage, key stepKey) error {
	final := st == b.final()
	if !final {
		key.end = allLogits // no stage but the last makes a difference
	}
	s, v := st.few, st.b
	if key.rows == 0 {
		s, v = st.apart, st.b.of(key.slot)
	}
	p := st.steps[key]
	if p == nil {
		var err error
		p, err = s.Record(func() {
			v = v.first(max(1, key.rows))
			b.net.forward(b.m.arch, s, v, st.lo, st.hi, s.Err)
			if final {
				b.head(s, v.x, v.h)
				b.rank(s, v.x.Rows(), key.end)
			}
		})
		if err != nil {
			return err
		}
		st.steps[key] = p
	}
	s.Run(p)
	return s.Err()
}

// of is the batch with the caches of one text alone.
func (b *batch) of(slot int) *batch {
	v := *b
	v.seq, v.seqs, v.cache = nil, 0, make([]cache, len(b.cache))
	for i, c := range b.cache {
		if c.k != nil { // it is on this device
			rows := c.k.Rows() / b.seqs
			v.cache[i] = cache{c.k.Slice(slot*rows, (slot+1)*rows), c.v.Slice(slot*rows, (slot+1)*rows)}
		}
	}
	return &v
}

// head issues the logits of the rows of x, with h of its shape as scratch.
func (b *Batcher) head(s *tensor.Stream, x, h *tensor.Tensor) {
	b.net.head(s, b.final().b.adapting, b.out.Slice(0, x.Rows()), x, h)
}

// rank issues what an ending wants of the first n rows of logits.
func (b *batcherStages) rank(s *tensor.Stream, n int, end ending) {
	switch {
	case end == likeliest:
		s.ArgMax(b.best.Slice(0, n), b.out.Slice(0, n))
	case end > 0:
		vals, ids := b.ranked(n, end)
		s.TopK(vals, ids, b.out.Slice(0, n))
	}
}

// ranked are the likeliest tokens of n rows, and their logits.
func (b *batcherStages) ranked(n int, end ending) (vals, ids *tensor.Tensor) {
	k := int(end)
	return b.vals.Slice(0, n*k).Reshape(n, k), b.ids.Slice(0, n*k).Reshape(n, k)
}

// fetch reads for each text what its own ending wants, of its row; ranking is
// what was issued for all rows besides logits. It says how long the host has
// waited.
func (b *batcherStages) fetch(texts []*text, ranking ending) (waited time.Duration, err error) {
	start, dev, n := time.Now(), b.final().dev, len(texts)
	k := max(0, int(ranking))
	switch {
	case ranking == likeliest:
		err = dev.Read(bytesOf(b.host[:n]), b.best.Slice(0, n))
	case k > 0:
		vals, ids := b.ranked(n, ranking)
		if err = dev.Read(bytesOf(b.values[:n*k]), vals); err == nil {
			err = dev.Read(bytesOf(b.host[:n*k]), ids)
		}
	}
	for i, t := range texts {
		logits := b.out.Slice(i, i+1)
		t.readLogits = func() error {
			if t.logits == nil {
				t.logits = make([]float32, logits.Cols())
			}
			return dev.Read(bytesOf(t.logits), logits)
		}
		switch end := t.g.ending(); {
		case err != nil:
			return 0, err
		case end == allLogits:
			err = t.readLogits()
		case k == 0:
			t.chosen = b.host[i]
		default:
			t.chosen, t.values, t.which = b.host[i*k], b.values[i*k:][:k], b.host[i*k:][:k]
		}
	}
	return time.Since(start), err
}
