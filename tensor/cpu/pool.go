package cpu

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A pool is the workers of a device. Worker 0 is whoever calls run; the others
// are goroutines that wait for the next program: first spinning, because the
// next token's program comes soon, then asleep.
//
// Nobody waits for a worker, only for work: a program goes on as soon as all
// pieces so far are done, and who comes late, because its core is busy with
// something else, finds them done and walks on.
type pool struct {
	threads int
	running bool
	workers []worker
	job     *program // what start was opened for; nil ends the goroutines
	ended   sync.WaitGroup
	failed  atomic.Pointer[error] // the job's first failure

	_       [64]byte
	start   gate // jobs so far
	_       [64]byte
	done    gate // pieces of the job that are done
	_       [64]byte
	members atomic.Int64 // goroutines that walk the job; below zero: no job
	_       [64]byte
}

// closed is members' value when there is no job and nobody walks.
const closed = -1 << 32

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
	p.done.init()
	p.members.Store(closed)
	for i := range p.workers {
		w := &p.workers[i]
		w.id, w.rng = i, rand.New(&w.pcg)
	}
	return p
}

// run walks j with all workers that come, or with the caller alone when there
// is nothing to share. It returns the first failure, and when nobody works on
// j any more.
func (p *pool) run(j *program) error {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	p.failed.Store(nil)
	p.done.value.Store(0)
	if p.threads == 1 || !j.shared {
		j.walk(&p.workers[0])
	} else {
		p.launch()
		p.job = j
		p.members.Add(-closed)
		p.start.add(1)
		j.walk(&p.workers[0])
		p.members.Add(closed)
		for r := 0; p.members.Load() != closed; r++ { // the last ones are on their way out
			linger(r)
		}
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
	for i := 1; i < p.threads; i++ {
		p.ended.Add(1)
		go p.serve(&p.workers[i], p.start.value.Load())
	}
}

func (p *pool) serve(w *worker, seen int64) {
	defer p.ended.Done()
	debug.SetPanicOnFault(true)
	for {
		p.start.wait(seen+1, nil)
		seen = p.start.value.Load()
		if p.members.Add(1) > 0 {
			if p.job == nil {
				p.members.Add(-1)
				return
			}
			p.job.walk(w)
		}
		p.members.Add(-1)
	}
}

func (p *pool) stop() {
	if p.running {
		p.job = nil
		p.members.Add(-closed)
		p.start.add(1)
		p.ended.Wait()
		p.members.Add(closed)
		p.running = false
	}
}

// fail keeps the job's first failure, and wakes who waits for pieces that will
// not be done.
func (p *pool) fail(err error) {
	p.failed.CompareAndSwap(nil, &err)
	p.done.wake()
}

// A gate is a number that grows, and goroutines that wait for it to do so.
type gate struct {
	value    atomic.Int64
	sleepers atomic.Int32
	wanted   atomic.Int64 // by the sleepers, who all wait for the same
	mu       sync.Mutex
	cond     sync.Cond
}

func (g *gate) init() { g.cond.L = &g.mu }

func (g *gate) add(n int64) {
	v := g.value.Add(n)
	if g.sleepers.Load() > 0 && v >= g.wanted.Load() { // a sleeper announces itself before it looks at value a last time
		g.wake()
	}
}

func (g *gate) wake() {
	g.mu.Lock()
	g.cond.Broadcast()
	g.mu.Unlock()
}

// How long wait is awake. Most waits are over within a microsecond. Later
// rounds let other goroutines have the core in between; in the end the thread
// sleeps, because the core that does our work may be busy with something else
// for a time slice.
const (
	spins  = 64
	rounds = 100
)

// wait returns when value has reached want, or when failed says that it will not.
func (g *gate) wait(want int64, failed *atomic.Pointer[error]) {
	for r := range rounds {
		for range spins {
			if g.value.Load() >= want {
				return
			}
			pause()
		}
		if r > 0 {
			runtime.Gosched()
		}
		if failed != nil && failed.Load() != nil {
			return
		}
	}
	g.mu.Lock()
	g.wanted.Store(want)
	g.sleepers.Add(1)
	for g.value.Load() < want && (failed == nil || failed.Load() == nil) {
		g.cond.Wait()
	}
	g.sleepers.Add(-1)
	g.mu.Unlock()
}

// linger passes the time of round r of a wait that nobody wakes us from.
func linger(r int) {
	switch {
	case r < spins:
		pause()
	case r < 2*spins:
		runtime.Gosched()
	default:
		time.Sleep(20 * time.Microsecond)
	}
}

// scratch is the worker's own memory.
func (w *worker) scratch() []byte { return w.dev.scratch[w.id] }
