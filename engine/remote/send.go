package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// send sends one request; body is JSON, or nil for a GET. The answer has
// status 200. The caller closes its body, which the times of c watch over.
func (c *Client) send(ctx context.Context, path string, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	q, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("remote: %w", err)
	}
	q.Header.Set("User-Agent", "llcuda")
	q.Header.Set("Accept", "application/json")
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Accept", "text/event-stream, application/json")
	}
	if c.key != "" {
		q.Header.Set("Authorization", "Bearer "+c.key)
	}
	w := &watched{ctx: ctx, cancel: cancel, idle: c.idle}
	w.timer = time.AfterFunc(c.firstByte, func() { cancel(&TimeoutError{Server: c.base.Host, After: c.firstByte}) })
	r, err := c.http.Do(q)
	if err != nil {
		err = c.sendError(w.cause(err))
		w.stop()
		return nil, err
	}
	w.ReadCloser, r.Body = r.Body, w
	w.late = &TimeoutError{Server: c.base.Host, After: c.idle, Midway: true}
	if r.StatusCode != http.StatusOK {
		defer r.Body.Close()
		return nil, c.readError(r)
	}
	return r, nil
}

// sendError names the server where a request never got an answer.
func (c *Client) sendError(err error) error {
	var redirect *RedirectError
	if errors.As(err, &redirect) {
		return redirect
	}
	var late *TimeoutError
	if errors.As(err, &late) {
		return late
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err // the address stands before it
	}
	return fmt.Errorf("remote: %s: %w", c.base.Host, err)
}

// checkRedirect follows a server to its own addresses alone: key and prompt
// were meant for nobody else.
func (c *Client) checkRedirect(q *http.Request, via []*http.Request) error {
	if q.URL.Scheme != c.base.Scheme || q.URL.Host != c.base.Host || q.Method != via[0].Method || len(via) > 5 {
		return &RedirectError{Server: c.base.Host, To: q.URL.Scheme + "://" + q.URL.Host + q.URL.Path}
	}
	return nil
}

// watched is the body of an answer; it ends when nothing comes for too long.
type watched struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
	late   error
	begun  bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		if !w.begun && w.timer.Stop() {
			w.begun = true
			w.timer = time.AfterFunc(w.idle, func() { w.cancel(w.late) })
		} else {
			w.timer.Reset(w.idle)
		}
	}
	if err != nil && err != io.EOF {
		err = w.cause(err)
	}
	return n, err
}

func (w *watched) Close() error {
	defer w.stop()
	return w.ReadCloser.Close()
}

func (w *watched) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// cause prefers the reason of a cancellation over what it led to.
func (w *watched) cause(err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}
