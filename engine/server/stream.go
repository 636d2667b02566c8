package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/llcuda/llcuda/internal/openai"
)

// maxPending bounds what is written and not yet taken by the reader. The
// system's buffers hold some megabytes more.
const maxPending = 256 << 10

// errSlow ends a stream that nobody reads.
var errSlow = errors.New("server: the client reads too slowly")

// A stream sends server-sent events. Any goroutine puts them in, without
// waiting for the network: a text that is generated must not wait for a reader,
// as others are computed together with it.
type stream struct {
	w      *response
	named  bool // events carry the name that their type is: the responses API
	cancel context.CancelCauseFunc
	ready  chan struct{} // something is pending

	mu      sync.Mutex
	pending []byte
}

// newStream begins a stream whose context ends with the request's, or when its
// client does not read.
func (s *Server) newStream(w *response, r *http.Request) (*stream, context.Context) {
	ctx, cancel := context.WithCancelCause(r.Context())
	return &stream{w: w, cancel: cancel, ready: make(chan struct{}, 1)}, ctx
}

// send puts an event in.
func (st *stream) send(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		st.cancel(fmt.Errorf("server: event: %w", err))
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.pending)+len(data) > maxPending && len(st.pending) > 0 {
		st.cancel(errSlow)
		return
	}
	if st.named {
		st.pending = fmt.Appendf(st.pending, "event: %s\n", name)
	}
	st.pending = fmt.Appendf(st.pending, "data: %s\n\n", data)
	select {
	case st.ready <- struct{}{}:
	default:
	}
}

// run does work and writes what it sends, until it is done. The header goes
// out with the first event, or when there is none for long: what fails before
// is an error with a status of its own.
func (st *stream) run(ctx context.Context, work func() error) error {
	defer st.cancel(nil)
	done := make(chan error, 1)
	go func() { done <- st.w.server.safely(work) }()
	silent := time.NewTimer(st.w.server.o.KeepAlive)
	defer silent.Stop()
	for {
		select {
		case <-st.ready:
			st.flush(nil)
		case <-silent.C:
			st.flush([]byte(": keep-alive\n\n"))
		case err := <-done:
			return st.end(ctx, err)
		}
		silent.Reset(st.w.server.o.KeepAlive)
	}
}

// end writes what is left, and what went wrong.
func (st *stream) end(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	st.mu.Lock()
	nothing := st.w.status == 0 && len(st.pending) == 0
	st.mu.Unlock()
	if err != nil && nothing {
		return err
	}
	if errors.Is(err, errSlow) || errors.Is(err, errUnsent) { // nobody would read it
		return err
	}
	var last bytes.Buffer
	if err != nil {
		body, _ := json.Marshal(st.w.server.wireError(err))
		if st.named {
			e := st.w.server.wireError(err)
			body, _ = json.Marshal(openai.ResponseEvent{Type: "error", Code: e.Code, Message: e.Message})
			last.WriteString("event: error\n")
		}
		fmt.Fprintf(&last, "data: %s\n\n", body)
	}
	if !st.named {
		fmt.Fprintf(&last, "data: %s\n\n", openai.Done)
	}
	st.flush(last.Bytes())
	return err
}

// errUnsent ends a stream whose client cannot be reached.
var errUnsent = errors.New("server: the client is gone")

// flush writes what is pending, and then more.
func (st *stream) flush(more []byte) {
	st.mu.Lock()
	data := append(st.pending, more...)
	st.pending = nil
	st.mu.Unlock()
	if len(data) == 0 {
		return
	}
	if st.w.status == 0 {
		h := st.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // nginx would keep it back
	}
	_, err := st.w.Write(data)
	if err == nil {
		err = st.w.control.Flush()
	}
	if err != nil {
		st.cancel(errUnsent)
	}
}
