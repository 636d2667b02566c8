package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// address joins the endpoint and an escaped path.
func (c *Client) address(path string) string { return c.endpoint.String() + path }

// ours reports whether an address is the endpoint's own, port and scheme too:
// the token goes nowhere else. (net/http would send it to sub-domains and other
// ports after a redirect.)
func (c *Client) ours(u *url.URL) bool {
	return u.Scheme == c.endpoint.Scheme && u.Host == c.endpoint.Host
}

// send sends one request without a body. A HEAD follows redirects within the
// endpoint only and returns the one that leads elsewhere, since that answer
// has the hub's headers; a GET follows all. A connection silent for c.stall is
// cut. The caller closes the body.
func (c *Client) send(ctx context.Context, method, addr, ranges string) (*http.Response, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	for range 10 {
		r, err := c.sendOnce(ctx, method, u, ranges)
		if err != nil {
			return nil, err
		}
		if r.StatusCode < 300 || r.StatusCode >= 400 {
			return r, nil
		}
		next, err := r.Location()
		switch {
		case err != nil:
			r.Body.Close()
			return nil, fmt.Errorf("hub: %s: redirect without an address (%d)", u.Redacted(), r.StatusCode)
		case next.Scheme != "https" && next.Scheme != u.Scheme:
			r.Body.Close()
			return nil, fmt.Errorf("hub: redirect from %s to the unsafe %s://%s", u.Host, next.Scheme, next.Host)
		case method == http.MethodHead && !c.ours(next):
			return r, nil
		}
		r.Body.Close()
		u = next
	}
	return nil, fmt.Errorf("hub: %s: more than 10 redirects", u.Host)
}

func (c *Client) sendOnce(ctx context.Context, method string, u *url.URL, ranges string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	q, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("hub: %w", err)
	}
	q.Header.Set("User-Agent", "llcuda")
	q.Header.Set("Accept-Encoding", "identity") // sizes and sums are of the plain bytes
	if ranges != "" {
		q.Header.Set("Range", ranges)
	}
	if c.Token != "" && c.ours(u) {
		q.Header.Set("Authorization", "Bearer "+c.Token)
	}
	b := &body{ctx: ctx, cancel: cancel, stall: c.stall}
	b.timer = time.AfterFunc(c.stall, func() { cancel(errStalled) })
	r, err := c.http.Do(q)
	if err != nil {
		err = b.reason(err)
		b.timer.Stop()
		cancel(nil)
		// Only the host: a signed address is as good as a key.
		var asked *url.Error
		if errors.As(err, &asked) {
			asked.URL = u.Scheme + "://" + u.Host
			return nil, fmt.Errorf("hub: %w; check the connection, HF_ENDPOINT and the proxy", err)
		}
		return nil, fmt.Errorf("hub: %w", err)
	}
	b.ReadCloser, r.Body = r.Body, b
	return r, nil
}

// A body is an answer's body that ends with errStalled when nothing comes.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.reason(fmt.Errorf("%w: %w", errCut, err))
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// reason prefers the cause of a cancellation over what it led to.
func (b *body) reason(err error) error {
	if cause := context.Cause(b.ctx); cause != nil {
		return cause
	}
	return err
}
