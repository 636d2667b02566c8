package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llcuda/llcuda/internal/openai"
)

// A handler answers, or returns an error before it has written anything. What
// it returns is an *openai.Error, or shown as a fault of the server.
type handler func(w *response, r *http.Request) error

// A response knows whether its header is out, and what was said.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int // 0: nothing written yet
	server  *Server
}

func (w *response) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.control.SetWriteDeadline(time.Now().Add(w.server.o.WriteTimeout)) // a writer without deadlines is none of a network
	return w.ResponseWriter.Write(b)
}

// json writes a whole body.
func (w *response) json(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // who cannot be reached is not told
	return nil
}

// route answers the methods of a path, and counts and logs what came of it.
func (s *Server) route(path string, methods map[string]handler) http.Handler {
	var allowed []string
	for m := range methods {
		allowed = append(allowed, m)
	}
	slices.Sort(allowed)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		w := &response{ResponseWriter: rw, control: http.NewResponseController(rw), server: s}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h := methods[method]
		switch {
		case methods == nil:
			h = func(*response, *http.Request) error {
				return &openai.Error{Status: http.StatusNotFound, Type: openai.InvalidRequest, Code: "unknown_url",
					Message: fmt.Sprintf("Unknown request URL: %s %.200s. /openapi.json lists what there is.", r.Method, r.URL.Path)}
			}
		case h == nil:
			h = func(w *response, _ *http.Request) error {
				w.Header().Set("Allow", strings.Join(allowed, ", "))
				return &openai.Error{Status: http.StatusMethodNotAllowed, Type: openai.InvalidRequest, Code: "method_not_supported",
					Message: fmt.Sprintf("Not allowed to %.20s on %s; allowed: %s.", r.Method, path, strings.Join(allowed, ", "))}
			}
		}
		err := s.safely(func() error { return h(w, r) })
		s.finish(w, r, path, err, time.Since(begin))
	})
}

// statusGone is what a log says of a client that left: nginx's number.
const statusGone = 499

// finish writes an error, and the books.
func (s *Server) finish(w *response, r *http.Request, path string, err error, took time.Duration) {
	status := w.status
	if err != nil {
		status = s.fail(w, r, err)
	}
	s.metrics.request(path, status)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	attrs := []any{"method", r.Method, "path", r.URL.Path, "status", status, "seconds", took.Seconds()}
	if err != nil {
		attrs = append(attrs, "error", err.Error())
	}
	s.o.Log.Log(context.Background(), level, "request", attrs...)
	if err != nil && status == statusGone && w.status != 0 {
		panic(http.ErrAbortHandler) // else the half of an answer would end as if it were whole
	}
}

// fail answers with an error and returns the status for the books.
func (s *Server) fail(w *response, r *http.Request, err error) int {
	var said *openai.Error // is worth a try: a body that comes too slowly has ended the context too
	if r.Context().Err() != nil && !errors.As(err, &said) || errors.Is(err, errSlow) || errors.Is(err, errUnsent) {
		return statusGone
	}
	e := s.wireError(err)
	if w.status != 0 { // a stream has told it
		return e.Status
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if err := w.json(e.Status, e); err != nil {
		s.o.Log.Error("error body", "error", err)
	}
	return e.Status
}

// wireError is err as clients see it.
func (s *Server) wireError(err error) *openai.Error {
	var e *openai.Error
	switch {
	case errors.As(err, &e):
		return e
	case s.halted.Err() != nil:
		return &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.ServerError, Message: "The server is shutting down."}
	}
	return &openai.Error{Status: http.StatusInternalServerError, Type: openai.ServerError, Message: err.Error()}
}

// Bodies up to smallBody are read at once; of larger ones only so many at a
// time, as each takes memory for as long as its sender likes. What they say is
// looked at by as many as there are cores, and what large ones say by two at a
// time: their tokens take a hundred times their memory.
const (
	smallBody    = 64 << 10
	largeBodies  = 8
	largeAtOnce  = 2
	smallPerCore = 2
)

// read decodes the body into v, closes the time for it, and prepares what it
// asks for.
func (s *Server) read(w *response, r *http.Request, v any, prepare func() error) error {
	if kind := r.Header.Get("Content-Type"); kind != "" && !jsonType(kind) {
		return &openai.Error{Status: http.StatusUnsupportedMediaType, Type: openai.InvalidRequest,
			Message: fmt.Sprintf("Content-Type %.100q: want application/json.", kind)}
	}
	if r.ContentLength > s.o.MaxBody {
		return s.tooLarge()
	}
	w.control.SetReadDeadline(time.Now().Add(s.o.BodyTimeout))
	body, err := s.body(http.MaxBytesReader(w, r.Body, s.o.MaxBody), r)
	if err == nil { // else what is left of it, which http.Server reads before it answers, would have all time
		w.control.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return s.tooLarge()
	case err != nil && isTimeout(err):
		w.Header().Set("Connection", "close")
		return &openai.Error{Status: http.StatusRequestTimeout, Type: openai.InvalidRequest,
			Message: fmt.Sprintf("The body did not arrive in %v.", s.o.BodyTimeout)}
	case err != nil:
		return err
	}
	turn := s.preparing
	if len(body) > smallBody {
		turn = s.preparingLarge
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	if err := openai.Decode(body, v); err != nil {
		return err
	}
	return prepare()
}

func (s *Server) body(from io.Reader, r *http.Request) ([]byte, error) {
	read := func(from io.Reader) ([]byte, error) {
		connOf(r).waiting(true)
		defer connOf(r).waiting(false)
		return io.ReadAll(from)
	}
	start, err := read(io.LimitReader(from, smallBody))
	if err != nil || len(start) < smallBody {
		return start, err
	}
	wait, cancel := context.WithTimeout(r.Context(), s.o.BodyTimeout)
	defer cancel()
	select {
	case s.large <- struct{}{}:
		defer func() { <-s.large }()
	case <-wait.Done():
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return nil, errBusy
	}
	rest, err := read(from)
	return append(start, rest...), err
}

func (s *Server) tooLarge() error {
	return &openai.Error{Status: http.StatusRequestEntityTooLarge, Type: openai.InvalidRequest, Code: "request_too_large",
		Message: fmt.Sprintf("The body is too large: at most %d bytes are read.", s.o.MaxBody)}
}

func isTimeout(err error) bool {
	var e interface{ Timeout() bool }
	return errors.As(err, &e) && e.Timeout()
}

// jsonType lets a form through no more than a picture: a page of another
// origin can send those without being asked.
func jsonType(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}
