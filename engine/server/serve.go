package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
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
	g := newGate(l, s.connections)
	h := &http.Server{Handler: s, ConnState: g.state, ConnContext: g.context, ReadHeaderTimeout: s.headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(g) }()
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
