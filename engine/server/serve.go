package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of connections, whatever they carry.
const (
	headerTimeout  = 10 * time.Second // to send a request's head
	idleTimeout    = 2 * time.Minute  // between requests
	maxHeader      = 64 << 10         // bytes
	maxConnections = 1024
)

// Serve answers on l until ctx ends. Then it takes no more requests, lets
// running answers finish for up to grace or until Close, and cancels the rest.
// When it returns nothing uses the model any more.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	defer s.leave()
	h := &http.Server{Handler: s, ReadHeaderTimeout: s.headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(limit(l, maxConnections)) }()
	select {
	case err := <-failed:
		s.halt()
		return errors.Join(err, h.Close())
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	defer context.AfterFunc(s.halted, cancel)()
	if err := h.Shutdown(wait); err == nil {
		s.halt()
		return nil
	}
	s.halt()
	soon, cancel := context.WithTimeout(context.Background(), time.Second) // answers end with an error that clients read
	defer cancel()
	if err := h.Shutdown(soon); err != nil {
		return h.Close()
	}
	return nil
}

// leave waits for handlers, which may go on after their connections were
// closed: in the middle of a long text's tokens, say.
func (s *Server) leave() {
	s.halt()
	s.handling.Lock()
	defer s.handling.Unlock()
	s.left = true
}

// limit lets a listener have so many connections; others wait unaccepted.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

func (c *placed) Close() error {
	c.leave()
	return c.Conn.Close()
}
