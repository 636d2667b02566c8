package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/llcuda/llcuda/internal/openai"
)

// An APIError is what a server says is wrong, with a status or inside a
// stream.
type APIError struct {
	Server     string // host
	Status     int    // of HTTP; inside a stream what the error names, or 0
	Type, Code string // of OpenAI's error object, where they are given
	Message    string // one line, at most 1000 bytes
	RetryAfter time.Duration
}

func (e *APIError) Error() string {
	s := "remote: " + e.Server + ": "
	if e.Message != "" {
		s += e.Message
	} else {
		s += "no reason given"
	}
	if e.Status != 0 {
		s += fmt.Sprintf(" (%d)", e.Status)
	}
	return s
}

// ContextFull reports whether the server says that what it was asked is longer
// than its context. Only some have a code for it:
// context_length_exceeded is OpenAI's, exceed_context_size_error llama.cpp's;
// vLLM and SGLang say it in words.
func (e *APIError) ContextFull() bool {
	text := strings.ToLower(e.Message)
	return e.Code == "context_length_exceeded" || e.Type == "exceed_context_size_error" ||
		e.Status == http.StatusBadRequest && (strings.Contains(text, "context length") || strings.Contains(text, "maximum model length"))
}

// A CutError is an answer that ended before its end. It was not asked for
// again, since a part of it was delivered.
type CutError struct {
	Server string
	Pieces int   // of the answer, that came
	Bytes  int   // of text, reasoning and tool calls in them
	Err    error // why; io.ErrUnexpectedEOF when the connection just ended
}

func (e *CutError) Error() string {
	why := e.Err
	if errors.Is(why, io.ErrUnexpectedEOF) {
		why = errors.New("the connection ended")
	}
	return fmt.Sprintf("remote: %s: the answer was cut off after %d pieces (%d bytes of text): %v", e.Server, e.Pieces, e.Bytes, why)
}

func (e *CutError) Unwrap() error { return e.Err }

// A TimeoutError is a server from which nothing came for too long.
type TimeoutError struct {
	Server string
	After  time.Duration
	Midway bool // within an answer
}

func (e *TimeoutError) Error() string {
	if e.Midway {
		return fmt.Sprintf("remote: %s: nothing came for %s", e.Server, e.After)
	}
	return fmt.Sprintf("remote: %s: no answer within %s", e.Server, e.After)
}

func (e *TimeoutError) Timeout() bool { return true }

// A RedirectError is a server that sends its clients elsewhere. They do not go
// there by themselves: neither key nor text was meant for that address.
type RedirectError struct{ Server, To string }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("remote: %s redirects to %s; load that address if it is the one you mean", e.Server, e.To)
}

// readError reads the answer to a request that failed.
func (c *Client) readError(r *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10)) // what came of it is better than nothing
	e := c.parseError(r.StatusCode, b)
	e.RetryAfter = retryAfter(r.Header.Get("Retry-After"), time.Now())
	return e
}

// parseError reads the body of an error, or an error inside a stream, which
// has no status but perhaps names one.
func (c *Client) parseError(status int, b []byte) *APIError {
	if b = bytes.TrimSpace(b); bytes.HasPrefix(b, []byte("<")) { // the page of a proxy
		b = nil
	}
	o := openai.ReadError(status, b)
	e := &APIError{Server: c.base.Host, Status: status, Type: c.line(o.Type), Code: c.line(o.Code), Message: c.line(o.Message)}
	if n, err := strconv.Atoi(e.Code); err == nil && status == 0 && n >= 400 && n < 600 {
		e.Status = n
	}
	return e
}

// line is a server's text as one line of bearable length, without the key.
func (c *Client) line(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if len(c.key) >= 8 {
		s = strings.ReplaceAll(s, c.key, "(the key)")
	}
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s
}

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n < 1e6 {
		return time.Duration(n * float64(time.Second))
	}
	if t, err := http.ParseTime(s); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}
