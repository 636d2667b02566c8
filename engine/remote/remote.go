// Package remote asks models that run elsewhere: any server that speaks
// OpenAI's HTTP API (vLLM, Ray Serve, llama-server, SGLang, a hosted service),
// or several that serve the same model.
//
// A [Client] is one server. A [Pool] is one or several: each call goes to the
// one with the fewest calls under way, servers that fail are left out for a
// while, and calls are tried again as long as nothing of the answer has come.
// What came is never asked for twice: an answer that is cut off midway ends
// with a [*CutError].
//
// Both may be used by many goroutines. A cancelled context closes the
// connection at once, which is how these servers learn to stop.
package remote

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options say how a server is asked. Zero durations are the defaults.
type Options struct {
	Key string // sent as a bearer token, to the server's own address alone

	Connect   time.Duration // for the connection; 10 s
	FirstByte time.Duration // from the request to the first byte of the answer, queue and prompt included; 10 min
	Idle      time.Duration // between two parts of an answer; 2 min
}

// A Client is one server.
type Client struct {
	base *url.URL // without a slash at its end
	key  string
	http *http.Client

	firstByte, idle time.Duration

	// What the server was found not to have.
	noStreamOptions atomic.Bool
	noCompletions   atomic.Bool
	noMaxTokens     atomic.Bool // it wants max_completion_tokens
}

// New returns a client for the server at an address like http://host:8000/v1.
// An address without a path means its /v1. Nothing is sent yet.
func New(address string, o Options) (*Client, error) {
	base, err := parseBase(address)
	if err != nil {
		return nil, err
	}
	for _, r := range o.Key {
		if r <= ' ' || r > '~' { // says nothing of the key itself
			return nil, fmt.Errorf("remote: the key has a character that no key has: check for blanks, line breaks and quotes in it")
		}
	}
	c := &Client{base: base, key: o.Key, firstByte: o.FirstByte, idle: o.Idle}
	if c.firstByte == 0 {
		c.firstByte = 10 * time.Minute
	}
	if c.idle == 0 {
		c.idle = 2 * time.Minute
	}
	if o.Connect == 0 {
		o.Connect = 10 * time.Second
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: o.Connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: o.Connect,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true, // it would hold parts of a stream back
		},
		CheckRedirect: c.checkRedirect,
	}
	return c, nil
}

// Address is the server's, as it is asked.
func (c *Client) Address() string { return c.base.String() }

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// parseBase reads an address, also one that was copied with the path of a call.
func parseBase(address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil { // the parser's error repeats the address, with what may be a password in it
		return nil, fmt.Errorf("remote: this is no address; want http://host:8000/v1")
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("remote: %s: a name or password in the address would be shown; put the key into an environment variable", u.Host)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("remote: %s: want http://host:8000/v1 or https://host/v1", address)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("remote: %s://%s%s: an address ends with its path; leave out what follows ? or #", u.Scheme, u.Host, u.Path)
	}
	path := strings.TrimRight(u.Path, "/")
	for _, call := range []string{"/chat/completions", "/completions", "/embeddings", "/models"} {
		path = strings.TrimSuffix(path, call)
	}
	if path == "" {
		path = "/v1"
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: path}, nil
}

// Private reports whether a key that nobody named for this address may be sent
// to it: not in the clear to another machine.
func Private(address string) bool {
	u, err := parseBase(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
