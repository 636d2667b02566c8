package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
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
	e := c.parseError(b)
	e.Status = r.StatusCode
	if e.Message == "" {
		e.Message = strings.ToLower(http.StatusText(r.StatusCode))
	}
	e.RetryAfter = retryAfter(r.Header.Get("Retry-After"), time.Now())
	return e
}

// parseError reads the forms that errors have: OpenAI's {"error": {…}}, the
// text or object alone under "error", vLLM's former {"object": "error", …},
// FastAPI's {"detail": …}, and plain text.
func (c *Client) parseError(b []byte) *APIError {
	e := &APIError{Server: c.base.Host}
	var outer struct {
		Error  json.RawMessage
		Detail json.RawMessage
		errorObject
	}
	if json.Unmarshal(b, &outer) != nil {
		if text := strings.TrimSpace(string(b)); !strings.HasPrefix(text, "<") { // no page of a proxy
			e.Message = c.line(text)
		}
		return e
	}
	inner := outer.errorObject
	for _, raw := range []json.RawMessage{outer.Error, outer.Detail} {
		var text string
		var object errorObject
		switch {
		case len(raw) == 0 || string(raw) == "null":
			continue
		case json.Unmarshal(raw, &text) == nil:
			inner = errorObject{Message: text}
		case json.Unmarshal(raw, &object) == nil && object.Message != "":
			inner = object
		default:
			inner = errorObject{Message: string(raw)}
		}
		break
	}
	e.Message, e.Type, e.Code = c.line(inner.Message), c.line(inner.Type), c.line(string(inner.Code))
	if n, err := strconv.Atoi(e.Code); err == nil && n >= 400 && n < 600 {
		e.Status = n
	}
	return e
}

type errorObject struct {
	Message, Type string
	Code          loose
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

// loose is a JSON string, or the text of any other value but null.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*l = loose(s)
	return nil
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
