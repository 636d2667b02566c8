package cpu

import (
	"fmt"
	"sync/atomic"

	"github.com/llcuda/llcuda/tensor"
)

// A program is a list of phases. Each worker walks the whole list, takes
// pieces of each phase that it meets until none is left, and waits only before
// a phase that needs what another phase since the last wait has written (or
// would overwrite what it reads). So the products of q, k and v run into each
// other without a wait, and so do the turns of q and k and their stores.
//
// Phases of one piece that need each other in a row are one phase: between two
// products of a decoded token all the small operations together are one piece.
type program struct {
	dev    *Device
	phases []phase
	taken  []atomic.Int64 // pieces taken of each phase; side by side: cleared for each run
	pieces int64          // of all phases
	shared bool           // some phase has more than one piece
	freed  bool

	// While building:
	open     []access // memory used since the last wait
	prepared [lastBuffer - preparedBuffer]prepared
	tables   []*ropeTable
	attends  []*attend
}

// A phase is a loop whose pieces are independent of each other.
type phase struct {
	pieces int
	chunk  int   // pieces that a worker takes at a time
	wait   bool  // for all phases before
	before int64 // pieces of all phases before
	stages []stage
}

// A stage is what is done with the pieces of a phase. Only phases of one chunk
// have more than one stage.
type stage struct {
	op     string // for errors
	pieces int
	run    func(w *worker, lo, hi int) error
}

// An access is memory that a phase reads or writes.
type access struct {
	lo, hi uintptr
	write  bool
	phase  int // index
}

func span(b []byte, write bool) access { return access{addr(b), addr(b) + uintptr(len(b)), write, 0} }
func reads(b []byte) access            { return span(b, false) }
func writes(b []byte) access           { return span(b, true) }

// Shared buffers of the device move when they grow, so that they are told
// apart by addresses that no memory has.
func readsBuffer(role int) access  { return access{uintptr(role + 1), uintptr(role + 2), false, 0} }
func writesBuffer(role int) access { return access{uintptr(role + 1), uintptr(role + 2), true, 0} }

// emit appends a loop of so many pieces, taken chunk at a time, and decides
// whether it has to wait.
func (p *program) emit(op string, pieces, chunk int, run func(w *worker, lo, hi int) error, uses ...access) {
	if pieces == 0 {
		return
	}
	last, solo := len(p.phases)-1, pieces <= max(chunk, 1)
	joins, waits := false, false
	for _, u := range uses {
		if u.write {
			p.forget(u)
		}
		for _, o := range p.open {
			if (u.write || o.write) && u.lo < o.hi && o.lo < u.hi {
				joins = joins || o.phase == last
				waits = waits || o.phase != last
			}
		}
	}
	if joins && !(solo && p.phases[last].solo()) {
		joins, waits = false, true
	}
	if waits {
		p.open = p.open[:0]
	}
	if joins && !waits {
		p.phases[last].stages = append(p.phases[last].stages, stage{op, pieces, run})
	} else {
		p.phases = append(p.phases, phase{pieces: pieces, chunk: max(chunk, 1), wait: waits, before: p.pieces,
			stages: []stage{{op, pieces, run}}})
		if solo {
			p.phases[last+1].pieces, p.phases[last+1].chunk = 1, 1
		}
		last++
		p.pieces += int64(p.phases[last].pieces)
	}
	for _, u := range uses {
		u.phase = last
		p.open = append(p.open, u)
	}
	p.shared = p.shared || !solo
}

func (ph *phase) solo() bool { return ph.pieces == 1 }

// forget drops derived forms of numbers that are about to change.
func (p *program) forget(w access) {
	for i := range p.prepared {
		if x := &p.prepared[i]; x.of.lo < w.hi && w.lo < x.of.hi {
			*x = prepared{}
		}
	}
	for _, t := range p.tables {
		if t.of.lo < w.hi && w.lo < t.of.hi {
			t.stale = true
		}
	}
}

// each emits the usual phase: n pieces of equal cost, in operations of a few
// float32 each, in chunks that are worth a worker's while.
func (p *program) each(op *tensor.Op, n, cost int, run func(w *worker, lo, hi int) error, uses ...access) {
	const worth = 8192 // about 2 µs
	p.emit(op.Kind.String(), n, max(1, worth/max(cost, 1)), run, uses...)
}

func (p *program) finish() {
	p.taken = make([]atomic.Int64, len(p.phases))
	p.open = nil
}

// build makes p the program of one operation, in the memory it has.
func (p *program) build(op *tensor.Op) error {
	p.phases, p.open, p.pieces, p.shared = p.phases[:0], p.open[:0], 0, false
	p.prepared, p.attends = [len(p.prepared)]prepared{}, p.attends[:0]
	for _, t := range p.tables {
		t.stale = true
	}
	if err := p.add(op); err != nil {
		return err
	}
	for len(p.taken) < len(p.phases) {
		p.taken = make([]atomic.Int64, len(p.phases)+8)
	}
	return nil
}

// Run executes the program. It allocates nothing.
func (p *program) Run() error {
	p.dev.mu.Lock()
	defer p.dev.mu.Unlock()
	if p.freed {
		return errFreed
	}
	return p.run()
}

func (p *program) run() error {
	for i := range p.phases {
		p.taken[i].Store(0)
	}
	err := p.dev.pool.run(p)
	if err != nil { // it may have stopped half way
		for _, a := range p.attends {
			a.reset()
		}
	}
	return err
}

// Free drops the program's memory.
func (p *program) Free() {
	p.dev.mu.Lock()
	defer p.dev.mu.Unlock()
	*p = program{dev: p.dev, freed: true}
}

// walk is a worker's way through the program. Worker 0 comes back when all is
// done, the others when there is nothing left for them to take.
func (p *program) walk(w *worker) {
	w.dev = p.dev
	team := p.dev.pool
	for i := range p.phases {
		ph := &p.phases[i]
		if ph.wait {
			team.done.wait(ph.before, &team.failed)
		}
		did := 0
		for {
			lo := int(p.taken[i].Add(int64(ph.chunk))) - ph.chunk
			if lo >= ph.pieces || team.failed.Load() != nil {
				break
			}
			hi := min(lo+ph.chunk, ph.pieces)
			p.step(w, ph, lo, hi)
			did += hi - lo
		}
		if did > 0 {
			team.done.add(int64(did))
		}
		if team.failed.Load() != nil {
			return
		}
	}
	if w.id == 0 {
		team.done.wait(p.pieces, &team.failed)
	}
}

// step runs pieces of a phase; a panic in them is the job's failure.
func (p *program) step(w *worker, ph *phase, lo, hi int) {
	var s *stage
	defer func() {
		if r := recover(); r != nil {
			p.dev.pool.fail(failure(s.op, r))
		}
	}()
	for i := range ph.stages {
		s = &ph.stages[i]
		if ph.solo() {
			hi = s.pieces
		}
		if err := s.run(w, lo, hi); err != nil {
			p.dev.pool.fail(fmt.Errorf("cpu: %s: %w", s.op, err))
			return
		}
	}
}

// add appends the phases of one operation.
func (p *program) add(op *tensor.Op) error {
	switch op.Kind {
	case tensor.OpMatMul:
		return p.matMul(op)
	case tensor.OpRows:
		return p.rows(op)
	case tensor.OpRMSNorm:
		return p.rmsNorm(op)
	case tensor.OpLayerNorm:
		return p.layerNorm(op)
	case tensor.OpRoPE:
		return p.rope(op)
	case tensor.OpStore:
		return p.store(op)
	case tensor.OpAttention:
		return p.attention(op)
	case tensor.OpGLU:
		return p.glu(op)
	case tensor.OpUnary:
		return p.unary(op)
	case tensor.OpBinary:
		return p.binary(op)
	case tensor.OpScale:
		return p.scale(op)
	case tensor.OpSoftmax:
		return p.softmax(op)
	case tensor.OpReduce:
		return p.reduce(op)
	case tensor.OpArgMax:
		return p.argMax(op)
	case tensor.OpTopK:
		return p.topK(op)
	case tensor.OpConvert:
		return p.convert(op)
	case tensor.OpTranspose:
		return p.transpose(op)
	case tensor.OpFill:
		return p.fill(op)
	case tensor.OpRandom:
		return p.random(op)
	case tensor.OpFork:
		return p.fork(op)
	}
	return refuse(op, "this device does not know it")
}

// refuse says why the device does not have an operation.
func refuse(op *tensor.Op, why string, args ...any) error {
	return fmt.Errorf("cpu: %s: %s: %w", op.Kind, fmt.Sprintf(why, args...), tensor.ErrUnsupported)
}
