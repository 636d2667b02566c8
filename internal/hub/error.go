package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// What callers test for. Each comes wrapped, with the file it is about.
var (
	// ErrOffline: the cache lacks the file and no server may be asked.
	ErrOffline = errors.New("not in the cache, and no server may be asked; leave out --offline and unset HF_HUB_OFFLINE to fetch")
	// ErrNoModel: the repository has no GGUF file, or not all shards of one.
	ErrNoModel = errors.New("no complete GGUF model")
	// ErrChanged: the server began to send another file on the way.
	ErrChanged = errors.New("changed on the server while it was fetched; try again")
	// ErrWrongBytes: all bytes came and their sum is not the file's.
	ErrWrongBytes = errors.New("wrong bytes")
	// ErrWrongSize: the server contradicts itself about the file's size.
	ErrWrongSize = errors.New("wrong size")
	// ErrNoSpace: the disk is too small for the file.
	ErrNoSpace = errors.New("not enough disk space")
)

// Errors of one try, which the next may not meet.
var (
	errStalled = errors.New("the connection went silent")
	errCut     = errors.New("the connection was cut")
	errExpired = errors.New("the address of the bytes has expired")
	errNoRange = errors.New("the server sends whole files only")
)

// A StatusError is a server's answer that is no success.
type StatusError struct {
	Status     int           // of HTTP
	Subject    string        // the repository and file asked for
	Page       string        // the repository's page
	Code       string        // X-Error-Code: RepoNotFound, EntryNotFound, …
	Message    string        // X-Error-Message
	RetryAfter time.Duration // what the server asks to wait; 0: nothing said
	Token      bool          // whether a token was sent
}

func (e *StatusError) Error() string {
	said := ""
	if e.Message != "" {
		said = ": " + e.Message
	}
	text := func(what string) string { return fmt.Sprintf("hub: %s: %s (%d%s)", e.Subject, what, e.Status, said) }
	switch {
	case e.Code == "GatedRepo":
		return text("its terms must be accepted first") + "; accept them at " + e.Page + " and set HF_TOKEN"
	case e.Status == http.StatusUnauthorized && e.Token:
		return text("not found, or the token is not valid for it") + "; check the name and HF_TOKEN"
	case e.Status == http.StatusUnauthorized:
		return text("not found, or private") + "; check the name, or set HF_TOKEN to read what is private"
	case e.Status == http.StatusForbidden:
		return text("access refused") + "; see " + e.Page + " and check HF_TOKEN"
	case e.Code == "EntryNotFound":
		return text("no such file") + "; the files are listed at " + e.Page
	case e.Code == "RevisionNotFound":
		return text("no such revision") + "; the branches are listed at " + e.Page
	case e.Status == http.StatusNotFound:
		return text("not found") + "; check the name"
	case e.Status == http.StatusRequestedRangeNotSatisfiable:
		return text("the file is shorter than the server said") + "; try again later"
	case e.Status == http.StatusTooManyRequests && e.RetryAfter > 0:
		return text("too many requests") + "; try again in " + e.RetryAfter.String()
	case e.Status == http.StatusTooManyRequests:
		return text("too many requests") + "; try again later"
	case e.Status >= 500:
		return text("the server failed") + "; try again later"
	}
	return text("unexpected answer " + http.StatusText(e.Status))
}

// statusError makes the error of an answer, and closes its body.
func (c *Client) statusError(r *http.Response, repo, subject string) error {
	io.Copy(io.Discard, io.LimitReader(r.Body, 4<<10)) // so that the connection serves again
	r.Body.Close()
	e := &StatusError{
		Status:  r.StatusCode,
		Subject: subject,
		Page:    c.endpoint.String() + "/" + repo,
		Code:    r.Header.Get("X-Error-Code"),
		Message: r.Header.Get("X-Error-Message"),
		Token:   r.Request.Header.Get("Authorization") != "",
	}
	if s := r.Header.Get("Retry-After"); s != "" {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1<<30 {
			e.RetryAfter = time.Duration(n) * time.Second
		} else if at, err := http.ParseTime(s); err == nil {
			e.RetryAfter = max(0, time.Until(at).Round(time.Second))
		}
	} else if m := rateReset.FindStringSubmatch(r.Header.Get("RateLimit")); m != nil && r.StatusCode == http.StatusTooManyRequests {
		n, _ := strconv.Atoi(m[1])
		e.RetryAfter = time.Duration(n) * time.Second
	}
	return e
}

// rateReset is when a client may ask again, which the hub says so:
// RateLimit: "api";r=0;t=55
// (https://huggingface.co/docs/hub/rate-limits).
var rateReset = regexp.MustCompile(`;\s*t=(\d{1,8})\b`)

// temporary reports whether another try may do better.
func temporary(err error) bool {
	var status *StatusError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var asked *url.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.Is(err, errStalled), errors.Is(err, errCut), errors.Is(err, errExpired):
		return true
	case errors.As(err, &status):
		return status.Status == http.StatusRequestTimeout || status.Status == http.StatusTooManyRequests ||
			status.Status >= 500 && status.Status != http.StatusNotImplemented
	case errors.As(err, &dns) && dns.IsNotFound, errors.As(err, &cert):
		return false
	}
	return errors.As(err, &asked)
}
