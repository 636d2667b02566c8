package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// A Pool is one or several servers of one model.
type Pool struct {
	// Tries bounds how often one call is sent; 0 is 5 times, and once more for
	// each further server.
	Tries int
	// Backoff is how long a server is left out after its first failure; it
	// doubles with each further one, up to twenty times as long. Calls that
	// were under way when it was left out do not count. 0 is half a second.
	Backoff time.Duration
	// Patience is the longest that a call waits for a server that names a
	// time itself. 0 is two minutes.
	Patience time.Duration
	// Notify, if it is set, is told when a server is left out and when it is
	// back. It may be called from many goroutines.
	Notify func(Notice)

	mu      sync.Mutex
	servers []*server
	first   int           // looked at first, so that ties go round
	changed chan struct{} // closed when a server may have become free
}

// A Notice is that a server is left out for a while, or, with a nil Err, back.
type Notice struct {
	Server string
	Err    error
	Out    time.Duration
}

type server struct {
	*Client
	calls    int // under way
	failures int // on end
	until    time.Time
}

// NewPool returns the pool of these servers. It wants at least one.
func NewPool(clients ...*Client) *Pool {
	p := &Pool{changed: make(chan struct{})}
	for _, c := range clients {
		p.servers = append(p.servers, &server{Client: c})
	}
	return p
}

// Clients are the servers.
func (p *Pool) Clients() (all []*Client) {
	for _, s := range p.servers {
		all = append(all, s.Client)
	}
	return all
}

// Out lists the hosts that are left out at the moment.
func (p *Pool) Out() (hosts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		if s.until.After(time.Now()) {
			hosts = append(hosts, s.base.Host)
		}
	}
	return hosts
}

// Close closes the connections that are not in use.
func (p *Pool) Close() error {
	for _, s := range p.servers {
		s.Client.Close()
	}
	return nil
}

// Generate asks one of the servers and yields the answer as it comes. The
// sequence ends with the answer, or with one error. stats may be nil; it is
// filled on the way.
func (p *Pool) Generate(ctx context.Context, q Request, stats *Stats) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		if stats == nil {
			stats = new(Stats)
		}
		*stats = Stats{}
		err := p.generate(ctx, &q, stats, yield)
		switch {
		case err == nil:
			return
		case err == errLeft:
			stats.StopReason = "stop"
			return
		}
		stats.StopReason = "error"
		if ctx.Err() != nil {
			stats.StopReason, err = "cancelled", ctx.Err()
		}
		yield(Piece{}, err)
	}
}

func (p *Pool) generate(ctx context.Context, q *Request, stats *Stats, yield func(Piece, error) bool) error {
	unstreamed := false
	return p.call(ctx, func(s *server) error {
		a := answer{c: s.Client, stats: stats, unstreamed: &unstreamed, yield: func(piece Piece, err error) bool {
			p.alive(s)
			return yield(piece, err)
		}}
		return a.ask(ctx, q)
	})
}

// call has one of the servers asked, and asks again as long as that is worth
// another try.
func (p *Pool) call(ctx context.Context, ask func(s *server) error) error {
	tries := cmp.Or(p.Tries, 5) + len(p.servers) - 1
	for n := 1; ; n++ {
		s, err := p.acquire(ctx)
		if err != nil {
			return err
		}
		err = ask(s)
		again := p.release(s, err, ctx.Err() != nil)
		switch {
		case err == nil || !again || ctx.Err() != nil:
			return err
		case n >= tries:
			return fmt.Errorf("%w (tried %d times)", err, n)
		}
	}
}

// acquire waits for a server that takes a call.
func (p *Pool) acquire(ctx context.Context) (*server, error) {
	for {
		p.mu.Lock()
		s, wait := p.pick(time.Now())
		changed := p.changed
		p.mu.Unlock()
		if s != nil {
			return s, ctx.Err()
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-changed:
		}
		t.Stop()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// pick takes the server with the fewest calls under way, of those that are not
// left out. One that failed gets a single call until it has answered. When
// there is none, it says how long to wait.
func (p *Pool) pick(now time.Time) (best *server, wait time.Duration) {
	wait = time.Hour // or until changed
	for i := range p.servers {
		s := p.servers[(p.first+i)%len(p.servers)]
		switch {
		case s.until.After(now):
			wait = min(wait, s.until.Sub(now))
		case s.failures > 0 && s.calls > 0:
		case best == nil || s.calls < best.calls:
			best = s
		}
	}
	if best != nil {
		best.calls++
		p.first = (slices.Index(p.servers, best) + 1) % len(p.servers)
	}
	return best, wait
}

// alive is that a server answers.
func (p *Pool) alive(s *server) {
	p.mu.Lock()
	failed := s.failures > 0
	s.failures = 0
	if failed {
		p.wake()
	}
	p.mu.Unlock()
	if failed && len(p.servers) > 1 && p.Notify != nil {
		p.Notify(Notice{Server: s.base.Host})
	}
}

// wake lets those look again who wait in acquire.
func (p *Pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// release ends a call. It leaves a server out that failed, and says whether
// the call is worth another try.
func (p *Pool) release(s *server, err error, cancelled bool) (again bool) {
	failed := err != nil && err != errLeft && failure(err)
	if !failed && !cancelled {
		p.alive(s)
	}
	p.mu.Lock()
	s.calls--
	var out time.Duration
	known := s.until.After(time.Now())
	if failed && !cancelled {
		out, again = p.leaveOut(s, err)
	}
	p.wake()
	p.mu.Unlock()
	if out > 0 && !known && p.Notify != nil && (again || len(p.servers) > 1) {
		p.Notify(Notice{Server: s.base.Host, Err: err, Out: out})
	}
	return again
}

// leaveOut says for how long s is left out after err, and whether the call can
// be tried again, at another server or then.
func (p *Pool) leaveOut(s *server, err error) (out time.Duration, again bool) {
	backoff := cmp.Or(p.Backoff, time.Second/2)
	now := time.Now()
	if out = s.until.Sub(now); out <= 0 { // else it is the same failure, which ends all calls under way
		out = min(backoff<<min(s.failures, 5), 20*backoff)
		out += time.Duration((rand.Float64() - 0.5) / 2 * float64(out)) // many clients do not come back at once
		s.failures++
	}
	var e *APIError
	if errors.As(err, &e) && e.RetryAfter > 0 {
		out = e.RetryAfter
	}
	s.until = now.Add(out)
	soonest := out
	for _, o := range p.servers {
		soonest = min(soonest, max(o.until.Sub(now), 0))
	}
	var cut *CutError
	var late *TimeoutError
	switch {
	case errors.As(err, &cut): // a part is delivered
	case errors.As(err, &late) && soonest > 0: // it has waited long enough
	case soonest <= max(cmp.Or(p.Patience, 2*time.Minute), backoff):
		again = true
	}
	return out, again
}

// failure reports whether an error says something about the server, rather
// than about the request.
func failure(err error) bool {
	var e *APIError
	var redirect *RedirectError
	var untrusted *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.As(err, &e):
		return (e.Status == 408 || e.Status == 429 || e.Status >= 500 && e.Status != 501) && e.Code != "insufficient_quota"
	case errors.As(err, &redirect) || errors.As(err, &untrusted):
		return false
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.Is(err, errNotAPI):
		return false
	}
	return true
}
