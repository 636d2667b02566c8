package cpu

import (
	"fmt"
	"sync/atomic"

	"github.com/llcuda/llcuda/tensor"
)

// A program is a list of phases. Each worker walks the whole list, takes
// pieces of each phase that it meets until none is left, and waits for the
// others only before a phase that needs what another phase since the last wait
// has written (or would overwrite what it reads). So the products of q, k and
// v run into each other without a wait, and so do the turns of q and k and
// their stores.
//
// A phase of one piece belongs to worker 0, which makes any number of them in
// a row free of waits: between two products of a decoded token there is one
// wait for all the small operations together.
type program struct {
	dev    *Device
	phases []phase
	taken  []atomic.Int64 // pieces taken of each phase; side by side: cleared for each run
	shared bool           // some phase has more than one piece
	freed  bool

	// While building:
	open     []access // memory used since the last wait
	prepared [lastBuffer - preparedBuffer]prepared
	tables   []*ropeTable
}

// A phase is a loop whose pieces are independent of each other.
type phase struct {
	op     string // for errors
	pieces int
	chunk  int  // pieces that a worker takes at a time
	wait   bool // for all phases before
	run    func(w *worker, lo, hi int) error
}

// An access is memory that a phase reads or writes.
type access struct {
	lo, hi uintptr
	write  bool
	solo   bool // by a phase of one piece
}

func reads(b []byte) access  { return access{addr(b), addr(b) + uintptr(len(b)), false, false} }
func writes(b []byte) access { return access{addr(b), addr(b) + uintptr(len(b)), true, false} }

// Shared buffers of the device move when they grow, so that they are told
// apart by addresses that no memory has.
func readsBuffer(role int) access  { return access{uintptr(role + 1), uintptr(role + 2), false, false} }
func writesBuffer(role int) access { return access{uintptr(role + 1), uintptr(role + 2), true, false} }

// emit appends a phase and decides whether it has to wait.
func (p *program) emit(ph phase, uses ...access) {
	if ph.pieces == 0 {
		return
	}
	ph.chunk = max(ph.chunk, 1)
	solo := ph.pieces <= ph.chunk
	if solo {
		ph.chunk = ph.pieces
	}
	for _, u := range uses {
		if u.write {
			p.forget(u)
		}
		for _, o := range p.open {
			if (u.write || o.write) && u.lo < o.hi && o.lo < u.hi && !(solo && o.solo) {
				ph.wait = true
			}
		}
	}
	if ph.wait {
		p.open = p.open[:0]
	}
	for _, u := range uses {
		u.solo = solo
		p.open = append(p.open, u)
	}
	p.shared = p.shared || !solo
	p.phases = append(p.phases, ph)
}

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
	p.emit(phase{op: op.Kind.String(), pieces: n, chunk: max(1, worth/max(cost, 1)), run: run}, uses...)
}

func (p *program) finish() {
	p.taken = make([]atomic.Int64, len(p.phases))
	p.open = nil
}

// build makes p the program of one operation, in the memory it has.
func (p *program) build(op *tensor.Op) error {
	p.phases, p.open, p.shared = p.phases[:0], p.open[:0], false
	p.prepared = [len(p.prepared)]prepared{}
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
	return p.dev.pool.run(p)
}

// Free drops the program's memory.
func (p *program) Free() {
	p.dev.mu.Lock()
	defer p.dev.mu.Unlock()
	*p = program{dev: p.dev, freed: true}
}

// walk is a worker's way through the program; team is nil when it is alone.
// After a failure the rest is passed over, but every barrier is kept.
func (p *program) walk(w *worker, team *pool) {
	w.dev = p.dev
	failed := &p.dev.pool.failed
	for i := range p.phases {
		ph := &p.phases[i]
		if ph.wait && team != nil {
			team.barrier()
		}
		if failed.Load() != nil {
			continue
		}
		switch {
		case team == nil:
			p.step(w, ph, 0, ph.pieces)
		case ph.pieces <= ph.chunk:
			if w.id == 0 {
				p.step(w, ph, 0, ph.pieces)
			}
		default:
			for {
				lo := int(p.taken[i].Add(int64(ph.chunk))) - ph.chunk
				if lo >= ph.pieces {
					break
				}
				p.step(w, ph, lo, min(lo+ph.chunk, ph.pieces))
			}
		}
	}
	if team != nil {
		team.barrier()
	}
}

// step runs pieces of a phase; a panic in them is the job's failure.
func (p *program) step(w *worker, ph *phase, lo, hi int) {
	defer func() {
		if r := recover(); r != nil {
			p.dev.pool.fail(failure(ph.op, r))
		}
	}()
	if err := ph.run(w, lo, hi); err != nil {
		p.dev.pool.fail(fmt.Errorf("cpu: %s: %w", ph.op, err))
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
	case tensor.OpConvert:
		return p.convert(op)
	case tensor.OpTranspose:
		return p.transpose(op)
	case tensor.OpFill:
		return p.fill(op)
	case tensor.OpRandom:
		return p.random(op)
	}
	return refuse(op, "this device does not know it")
}

// refuse says why the device does not have an operation.
func refuse(op *tensor.Op, why string, args ...any) error {
	return fmt.Errorf("cpu: %s: %s: %w", op.Kind, fmt.Sprintf(why, args...), tensor.ErrUnsupported)
}
