package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// A gate lets a listener have so many connections. Where there are more, the
// one goes that has let the server wait for the longest: between requests, in
// the middle of a head or of a body. So whoever holds connections open without
// using them, however many, keeps nobody out. Where all are being answered, new
// ones wait.
type gate struct {
	net.Listener
	most int

	mu     sync.Mutex
	room   *sync.Cond // a connection is closed, or waited for
	all    map[*conn]struct{}
	closed bool
}

// A conn is a connection that has passed the gate.
type conn struct {
	net.Conn
	gate  *gate
	since time.Time // the server waits for its client; zero: it does not
}

func newGate(l net.Listener, most int) *gate {
	g := &gate{Listener: l, most: most, all: map[*conn]struct{}{}}
	g.room = sync.NewCond(&g.mu)
	return g
}

func (g *gate) Accept() (net.Conn, error) {
	inner, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.all) >= g.most && !g.closed {
		if c := g.idlest(); c != nil {
			delete(g.all, c)
			go c.Conn.Close()
			continue
		}
		g.room.Wait()
	}
	if g.closed {
		inner.Close()
		return nil, net.ErrClosed
	}
	c := &conn{Conn: inner, gate: g, since: time.Now()}
	g.all[c] = struct{}{}
	return c, nil
}

// idlest is the connection that the server has waited for the longest, if any.
func (g *gate) idlest() (first *conn) {
	for c := range g.all {
		if !c.since.IsZero() && (first == nil || c.since.Before(first.since)) {
			first = c
		}
	}
	return first
}

func (g *gate) Close() error {
	g.mu.Lock()
	g.closed = true
	g.room.Broadcast()
	g.mu.Unlock()
	return g.Listener.Close()
}

func (c *conn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.all, c)
	c.gate.room.Broadcast()
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// waiting says whether the server waits for the client, from now on.
func (c *conn) waiting(yes bool) {
	if c == nil { // of no gate
		return
	}
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.since = (time.Time{}); yes {
		c.since = time.Now()
		c.gate.room.Broadcast()
	}
}

// state is http.Server's ConnState: a connection is active once a head is whole.
func (g *gate) state(inner net.Conn, s http.ConnState) {
	if c, ok := inner.(*conn); ok && (s == http.StateActive || s == http.StateIdle) {
		c.waiting(s == http.StateIdle)
	}
}

type connKey struct{}

// context is http.Server's ConnContext.
func (g *gate) context(ctx context.Context, inner net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, inner)
}

// connOf is the connection of a request; nil: it came through no gate.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}
