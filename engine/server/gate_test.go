package server

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestGate: connections that are answered keep others waiting, those that let
// the server wait give way.
func TestGate(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(inner, 1)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := g.Accept()
			if err != nil {
				ended <- err
				return
			}
			g.state(c, http.StateActive)
			accepted <- c
		}
	}()
	connect := func() {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	connect()
	connect()
	first := <-accepted
	wait := func(what string) {
		t.Helper()
		select {
		case <-accepted:
			t.Fatal(what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	wait("a second connection is accepted beside one that is answered")
	first.Close()
	first.Close() // gives back one place
	second := <-accepted
	connect()
	wait("a third connection is accepted beside one that is answered")
	g.state(second, http.StateIdle)
	<-accepted
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that gave way is open")
	}
	connect()
	g.Close() // while Accept waits for a place
	if err := <-ended; err == nil {
		t.Error("Accept after Close: no error")
	}
}

// TestHeldOpen: whoever holds connections open keeps nobody out.
func TestHeldOpen(t *testing.T) {
	const most = 8
	o := Options{Name: "demo", Model: model(t), Generator: says("Yes.")}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.connections = most
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, time.Second) }()
	at := &site{Server: s, url: "http://" + l.Addr().String(), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	for name, sent := range map[string]string{
		"nothing":                  "",
		"half a head":              "POST /tokenize HTTP/1.1\r\nHost: loc",
		"half a body":              request("/tokenize", "{", 100),
		"half a body of no route":  request("/nope", "{", 100),
		"half a large body":        request("/tokenize", `{"content":"`+string(make([]byte, smallBody)), 1<<20),
		"a request, and then none": "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		for range 3 * most {
			dial(t, at, sent)
		}
		begin := time.Now()
		for range 3 {
			if w, body := at.ask(t, "POST", "/v1/completions", `{"prompt":"a"}`); w.StatusCode != 200 {
				t.Errorf("%s: status %d: %s", name, w.StatusCode, body)
			}
		}
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
