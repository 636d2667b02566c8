package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// open asks for the bytes [from, end) and checks that the answer is about
// them, of the same file and of the size that was said.
func (t *transfer) open(ctx context.Context, from, end int64) (*http.Response, error) {
	t.mu.Lock()
	addr := t.meta.url
	t.mu.Unlock()
	r, err := t.c.send(ctx, http.MethodGet, addr, fmt.Sprintf("bytes=%d-%d", from, end-1))
	if err != nil {
		return nil, err
	}
	if err = t.check(ctx, r, addr, from, end); err != nil {
		r.Body.Close()
		return nil, err
	}
	return r, nil
}

func (t *transfer) check(ctx context.Context, r *http.Response, addr string, from, end int64) error {
	size := t.meta.size
	switch r.StatusCode {
	case http.StatusPartialContent:
		var a, b, total int64
		said := r.Header.Get("Content-Range")
		if n, _ := fmt.Sscanf(said, "bytes %d-%d/%d", &a, &b, &total); n != 3 || a != from || b >= end {
			return fmt.Errorf("%w: asked for bytes %d to %d of %d, the server sends %q", ErrWrongSize, from, end-1, size, said)
		} else if total != size {
			return fmt.Errorf("%w: the server said %d bytes, and %d when it sent them", ErrWrongSize, size, total)
		}
	case http.StatusOK:
		if r.ContentLength >= 0 && r.ContentLength != size {
			return fmt.Errorf("%w: the server said %d bytes, and %d when it sent them", ErrWrongSize, size, r.ContentLength)
		}
		if from != 0 || end != size {
			return errNoRange
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%w: %w", ErrWrongSize, t.c.statusError(r, t.repo, t.repo+": "+t.file))
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		if u, err := url.Parse(addr); err == nil && !t.c.ours(u) {
			if err := t.renew(ctx, addr); err != nil {
				return err
			}
			return fmt.Errorf("%w: %w", errExpired, t.c.statusError(r, t.repo, t.repo+": "+t.file))
		}
		fallthrough
	default:
		return t.c.statusError(r, t.repo, t.repo+": "+t.file)
	}
	return t.same(r)
}

// same holds an answer's etag to the file's, where the endpoint itself sends
// the bytes, and to that of the first bytes where another host does.
func (t *transfer) same(r *http.Response) error {
	got := etagOf(r.Header)
	t.mu.Lock()
	defer t.mu.Unlock()
	want := t.seen
	if t.c.ours(r.Request.URL) {
		want = t.meta.etag
	} else if want == "" {
		t.seen, want = got, got
	}
	if got != "" && want != "" && got != want {
		return fmt.Errorf("%w (etag %s was, %s is)", ErrChanged, want, got)
	}
	return nil
}

// renew asks for the address of the bytes anew: signed ones last an hour. The
// commit is named, so the file is the same or the server errs.
func (t *transfer) renew(ctx context.Context, old string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.meta.url != old {
		return nil // another piece has done so
	}
	m, err := t.c.head(ctx, t.repo, t.file, t.meta.commit)
	switch {
	case err != nil:
		return err
	case m.etag != t.meta.etag || m.size != t.meta.size:
		return fmt.Errorf("%w (etag %s was, %s is)", ErrChanged, t.meta.etag, m.etag)
	}
	t.meta.url, t.seen = m.url, ""
	return nil
}

// stream fetches the file from its first byte, from a server without ranges.
func (t *transfer) stream(ctx context.Context) error {
	return t.c.retry(ctx, t.c.tries, func() (bool, error) {
		t.came(-t.come)
		if err := t.restart(); err != nil {
			return false, err
		}
		r, err := t.open(ctx, 0, t.meta.size)
		if err != nil {
			return false, err
		}
		defer r.Body.Close()
		_, err = io.Copy(t, io.TeeReader(io.LimitReader(r.Body, t.meta.size+1), tell(t.came)))
		switch {
		case err != nil && ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil:
			return false, err
		case t.at > t.meta.size:
			err := fmt.Errorf("%w: the server said %d bytes and sends more", ErrWrongSize, t.meta.size)
			t.restart()
			return false, err
		case t.at < t.meta.size:
			return false, fmt.Errorf("%w after %d of %d bytes", errCut, t.at, t.meta.size)
		}
		return false, nil
	})
}

// tell is a writer that only counts.
type tell func(n int64)

func (f tell) Write(p []byte) (int, error) { f(int64(len(p))); return len(p), nil }
