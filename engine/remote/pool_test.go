package remote

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// named answers with the server's own number, after hold is closed.
func named(n int, hold chan bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		<-hold
		streams(text(fmt.Sprint(n), "stop"), done)(w, r)
	}
}

func pool(t *testing.T, servers ...*fake) *Pool {
	var clients []*Client
	for _, f := range servers {
		clients = append(clients, f.client(t, Options{}))
	}
	p := NewPool(clients...)
	p.Backoff = time.Millisecond
	return p
}

// Calls go to the server with the fewest under way.
func TestPoolSpreads(t *testing.T) {
	slow, free := make(chan bool), make(chan bool)
	close(free)
	a, b, c := newFake(t, named(0, slow)), newFake(t, named(1, free)), newFake(t, named(2, free))
	p := pool(t, a, b, c)
	var wait sync.WaitGroup
	for range 3 { // one at each
		wait.Go(func() { generate(t.Context(), p, prompt, nil) })
	}
	waitFor(t, func() bool { return len(a.seen()) == 1 && p.under() == 1 })
	for range 20 { // one by one, a is busy
		if got, err := generate(t.Context(), p, prompt, nil); err != nil || got.Text == "0" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if x, y := len(b.seen()), len(c.seen()); len(a.seen()) != 1 || x != 11 || y != 11 {
		t.Errorf("%d, %d and %d calls, want 1, 11 and 11", len(a.seen()), x, y)
	}
	close(slow)
	wait.Wait()
}

// under is how many calls are under way.
func (p *Pool) under() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		n += s.calls
	}
	return n
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for range 5000 {
		if what() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not happen")
}

// A dead server costs one try; it is left out, said, asked again by one call
// at a time, and said to be back.
func TestPoolDead(t *testing.T) {
	free := make(chan bool)
	close(free)
	dead := true
	var mu sync.Mutex
	set := func(d bool) { mu.Lock(); dead = d; mu.Unlock() }
	a := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		d := dead
		mu.Unlock()
		if d {
			panic(http.ErrAbortHandler)
		}
		named(0, free)(w, r)
	})
	b := newFake(t, named(1, free))
	p := pool(t, a, b)
	p.Backoff = time.Hour
	var told []Notice
	p.Notify = func(n Notice) { mu.Lock(); told = append(told, n); mu.Unlock() }
	for range 10 {
		if got, err := generate(t.Context(), p, prompt, nil); err != nil || got.Text != "1" {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	host := strings.TrimPrefix(a.URL, "http://")
	if len(a.seen()) != 1 || len(told) != 1 || told[0].Server != host || told[0].Err == nil || told[0].Out < time.Hour*3/4 {
		t.Errorf("%d calls to the dead one, told %+v", len(a.seen()), told)
	}
	if out := p.Out(); len(out) != 1 || out[0] != host {
		t.Errorf("left out: %q", out)
	}
	p.mu.Lock()
	p.servers[0].until = time.Now() // the hour is over
	p.mu.Unlock()
	set(false)
	if got, err := generate(t.Context(), p, prompt, nil); err != nil || got.Text != "0" || len(told) != 2 || told[1] != (Notice{Server: host}) || len(p.Out()) != 0 {
		t.Errorf("got %+v, %v, told %+v", got, err, told)
	}
}

// Many calls to a server that fails do not all ask it again: one does.
func TestPoolProbes(t *testing.T) {
	hold := make(chan bool)
	f := newFake(t, says(503, ""), named(0, hold))
	p := f.pool(t, Options{})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if got, err := generate(t.Context(), p, prompt, nil); err != nil || got.Text != "0" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
		waitFor(t, func() bool { return len(f.seen()) >= 2 })
	}
	time.Sleep(20 * time.Millisecond)
	if n := len(f.seen()); n != 2 {
		t.Errorf("%d calls while one asks whether it is back, want 2", n)
	}
	close(hold)
	wait.Wait()
	if n := len(f.seen()); n != 9 {
		t.Errorf("%d calls, want 9", n)
	}
}

// A server that goes ends many calls at once, which are one failure of it: it
// is not left out for as long as after so many.
func TestPoolOneOutage(t *testing.T) {
	const calls = 16
	var come sync.WaitGroup
	come.Add(calls)
	dies := func(http.ResponseWriter, *http.Request) {
		come.Done()
		come.Wait()
		panic(http.ErrAbortHandler)
	}
	free := make(chan bool)
	close(free)
	scripts := slices.Repeat([]http.HandlerFunc{dies}, calls)
	f := newFake(t, append(scripts, named(0, free))...)
	p := f.pool(t, Options{})
	p.Backoff = time.Second // the calls end within
	var mu sync.Mutex
	var told []Notice
	p.Notify = func(n Notice) { mu.Lock(); told = append(told, n); mu.Unlock() }
	var wait sync.WaitGroup
	for range calls {
		wait.Go(func() {
			if got, err := generate(t.Context(), p, prompt, nil); err != nil || got.Text != "0" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wait.Wait()
	if len(told) != 1 || told[0].Out > 5*p.Backoff/4 {
		t.Errorf("told %+v, want one failure, and to wait as after the first", told)
	}
}

// Where all servers are gone, the error comes after so many tries, and a
// cancelled call does not wait for them.
func TestPoolAllDead(t *testing.T) {
	var clients []*Client
	for range 2 {
		c, err := New(closedAddress(t), Options{})
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	p := NewPool(clients...)
	p.Backoff = time.Millisecond
	var s Stats
	_, err := generate(t.Context(), p, prompt, &s)
	contains(t, err, "connection refused", "(tried 6 times)")
	p.Backoff, p.Patience = time.Minute, 1000*time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := generate(ctx, p, prompt, &s); err != context.DeadlineExceeded || time.Since(start) > 10*time.Second {
		t.Errorf("got %v", err)
	}
}

// A server that lets all wait for too long is given up for another one.
func TestPoolSilent(t *testing.T) {
	free := make(chan bool)
	close(free)
	a, b := newFake(t, streams("HANG")), newFake(t, named(1, free))
	p := pool(t, a, b)
	p.servers[0].firstByte = 50 * time.Millisecond
	p.Backoff = time.Hour
	for range 3 {
		if got, err := generate(t.Context(), p, prompt, nil); err != nil || got.Text != "1" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if n := len(a.seen()); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}
