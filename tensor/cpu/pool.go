package cpu

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A pool is the workers of a device. Worker 0 is whoever calls run; the others
// are goroutines that wait for the next program: first spinning, because the
// next token's program comes soon, then asleep.
type pool struct {
	threads int
	running bool
	workers []worker
	job     *program // what start has been opened for; nil ends the goroutines
	ended   sync.WaitGroup

	_       [64]byte
	start   gate // opened for each job
	_       [64]byte
	arrived atomic.Int32 // workers at the barrier
	_       [64]byte
	passed  gate // opened by the last of them

	failed atomic.Pointer[error] // the job's first failure
}

// A worker is what belongs to one thread.
type worker struct {
	id  int
	dev *Device
	pcg rand.PCG
	rng *rand.Rand
	_   [64]byte
}

func newPool(threads int) *pool {
	p := &pool{threads: threads, workers: make([]worker, threads)}
	p.start.init()
	p.passed.init()
	for i := range p.workers {
		w := &p.workers[i]
		w.id, w.rng = i, rand.New(&w.pcg)
	}
	return p
}

// run walks j with all workers, or with the caller alone when there is nothing
// to share. It returns the first failure.
func (p *pool) run(j *program) error {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	p.failed.Store(nil)
	if p.threads == 1 || !j.shared {
		j.walk(&p.workers[0], nil)
	} else {
		p.launch()
		p.job = j
		p.start.open()
		j.walk(&p.workers[0], p)
	}
	if e := p.failed.Load(); e != nil {
		return *e
	}
	return nil
}

func (p *pool) launch() {
	if p.running {
		return
	}
	p.running = true
	seen := p.start.now()
	for i := 1; i < p.threads; i++ {
		p.ended.Add(1)
		go p.serve(&p.workers[i], seen)
	}
}

func (p *pool) serve(w *worker, seen uint32) {
	defer p.ended.Done()
	debug.SetPanicOnFault(true)
	for {
		p.start.wait(seen)
		seen++
		if p.job == nil {
			return
		}
		p.job.walk(w, p)
	}
}

func (p *pool) stop() {
	if p.running {
		p.job = nil
		p.start.open()
		p.ended.Wait()
		p.running = false
	}
}

// barrier returns when all workers have come to it.
func (p *pool) barrier() {
	now := p.passed.now() // before arriving: nobody can open it without us
	if int(p.arrived.Add(1)) == p.threads {
		p.arrived.Store(0)
		p.passed.open()
		return
	}
	p.passed.wait(now)
}

func (p *pool) fail(err error) { p.failed.CompareAndSwap(nil, &err) }

// A gate is a counter that goroutines wait for to move on.
type gate struct {
	value    atomic.Uint32
	sleepers atomic.Int32
	mu       sync.Mutex
	cond     sync.Cond
}

func (g *gate) init()       { g.cond.L = &g.mu }
func (g *gate) now() uint32 { return g.value.Load() }

func (g *gate) open() {
	g.value.Add(1)
	if g.sleepers.Load() > 0 { // a sleeper announces itself before it looks at value a last time
		g.mu.Lock()
		g.cond.Broadcast()
		g.mu.Unlock()
	}
}

// How long wait is awake: most waits are over within the first microseconds.
// Later rounds let other goroutines have the core in between, and in the end
// the thread sleeps, because the core that we wait for may be busy with
// something else for a time slice.
const (
	spins  = 100
	rounds = 100
)

func (g *gate) wait(seen uint32) {
	for r := range rounds {
		for range spins {
			if g.value.Load() != seen {
				return
			}
			pause()
		}
		if r > 0 {
			runtime.Gosched()
		}
	}
	g.mu.Lock()
	g.sleepers.Add(1)
	for g.value.Load() == seen {
		g.cond.Wait()
	}
	g.sleepers.Add(-1)
	g.mu.Unlock()
}

// scratch is the worker's own memory.
func (w *worker) scratch() []byte { return w.dev.scratch[w.id] }
