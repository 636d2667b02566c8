package magics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/llcuda/llcuda/engine/server"
	"github.com/llcuda/llcuda/jupyter"
)

// serving is a server of a loaded model, which runs beside the cells.
type serving struct {
	url     string
	what    string // is served, and where
	server  *server.Server
	release func() error

	ctx    context.Context // over: no more requests are taken
	end    context.CancelFunc
	ended  chan struct{}
	err    error // once ended
	broken int   // answers that close has broken off

	id    string        // of its display
	shown chan struct{} // closed when the display says that it has ended
}

// serveGrace is how long running answers may go on after %serve stop.
const serveGrace = 30 * time.Second

// beginServing answers on l. release is called once that has ended.
func beginServing(srv *server.Server, release func() error, l net.Listener, url, what string) *serving {
	s := &serving{url: url, what: what, server: srv, release: sync.OnceValue(release), id: uuid.Must(uuid.NewV4()).String(),
		ended: make(chan struct{}), shown: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(context.Background())
	go func() {
		s.err = srv.Serve(s.ctx, l, serveGrace)
		close(s.ended)
	}()
	return s
}

func (s *serving) running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// watch shows the server in a display that changes with what it does, at most
// once a second, and says when it has ended.
func (s *serving) watch(d *jupyter.Display) {
	last := s.text()
	d.ShowID(s.id, note(last))
	go func() {
		defer close(s.shown)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for ended := false; !ended; {
			select {
			case <-s.ended:
				ended = true
			case <-tick.C:
				if !d.Interactive() {
					continue
				}
			}
			if text := s.text(); text != last {
				d.Update(s.id, note(text))
				last = text
			}
		}
	}()
}

// show shows the display of watch in another place, too.
func (s *serving) show(d *jupyter.Display) { d.ShowID(s.id, note(s.text())) }

func note(text string) jupyter.Bundle {
	return jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)}
}

// text is what the server does, in two lines.
func (s *serving) text() string {
	st := s.server.Status()
	running := s.running()
	head := "serving " + s.what
	switch {
	case !running && s.err != nil:
		head = fmt.Sprintf("no longer serving %s: %v", s.what, s.err)
	case !running:
		head = "no longer serving " + s.what
	case s.ctx.Err() != nil:
		head = "no new requests, running answers end: " + s.what
	}
	var parts []string
	if running {
		parts = append(parts, fmt.Sprintf("%d running", st.Running), fmt.Sprintf("%d waiting", st.Waiting))
	}
	requests := count(int(st.Requests), "request")
	if st.Failed > 0 {
		requests += fmt.Sprintf(" (%d failed)", st.Failed)
	}
	parts = append(parts, requests)
	if st.Prompt > 0 {
		prompt := count(int(st.Prompt), "prompt token")
		if st.Cached > 0 {
			prompt += fmt.Sprintf(" (%d reused)", st.Cached)
		}
		parts = append(parts, prompt, count(int(st.Generated), "new token"))
	}
	if st.Speed > 0 && running {
		parts = append(parts, fmt.Sprintf("%.1f tokens/s", st.Speed))
	}
	return head + "\n" + strings.Join(parts, " · ")
}

// stop takes no more requests and waits for running answers, which end at once
// when ctx does.
func (s *serving) stop(ctx context.Context) error {
	s.end()
	select {
	case <-s.ended:
	case <-ctx.Done():
	}
	return s.close()
}

// close ends the server and what it is answering.
func (s *serving) close() error {
	if st := s.server.Status(); s.running() {
		s.broken = st.Running + st.Waiting
	}
	s.end()
	s.server.Close()
	<-s.ended
	<-s.shown
	return errors.Join(s.err, s.release())
}

// brokenOff says what close has cost, behind a comma.
func (s *serving) brokenOff() string {
	if s.broken == 0 {
		return ""
	}
	return fmt.Sprintf(", and %s broken off", count(s.broken, "answer"))
}
