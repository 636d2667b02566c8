package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/openai"
)

// A fake generator is a function.
type fake func(ctx context.Context, yield func(engine.Token, error) bool)

func (f fake) Generate(ctx context.Context, _ []int32, _ engine.GenerateOptions) iter.Seq2[engine.Token, error] {
	return func(yield func(engine.Token, error) bool) { f(ctx, yield) }
}

// faked serves f in place of a model's texts.
func faked(t *testing.T, f fake, change func(*Options)) *site {
	return start(t, func(o *Options) {
		o.Generator = f
		if change != nil {
			change(o)
		}
	})
}

// silent generates nothing until it is cancelled. came and gone count its
// texts.
type silent struct{ came, gone atomic.Int64 }

func (s *silent) generate(ctx context.Context, yield func(engine.Token, error) bool) {
	s.came.Add(1)
	defer s.gone.Add(1)
	<-ctx.Done()
	yield(engine.Token{}, ctx.Err())
}

// until waits for what has to happen soon.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// TestManyClients: 64 at once get what each gets alone, and nothing of them
// stays.
func TestManyClients(t *testing.T) {
	prompts := []string{story, "The sun", "Lily and Tom", "One day, a dog", "What is AI?", "A cat sat", "The end of", "My mother said"}
	want := make([]string, len(prompts))
	for i, p := range prompts {
		want[i], _ = alone(t, p, 16)
	}
	s := start(t, func(o *Options) { o.Parallel, o.Queue = 8, 64 })
	post[openai.CompletionResponse](t, s, "/v1/completions", `{"prompt":"a","max_tokens":1}`) // starts the CPU's pool
	s.client.CloseIdleConnections()
	time.Sleep(10 * time.Millisecond)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			body := fmt.Sprintf(`{"prompt":%q,"max_tokens":16,"temperature":0`, prompts[i%len(prompts)])
			text := ""
			if i%2 == 0 {
				text = post[openai.CompletionResponse](t, s, "/v1/completions", body+"}").Choices[0].Text
			} else {
				chunks, _ := events[openai.CompletionResponse](t, s, "/v1/completions", body+`,"stream":true}`)
				for _, c := range chunks {
					text += c.Choices[0].Text
				}
			}
			if text != want[i%len(prompts)] {
				t.Errorf("client %d: %q, want %q", i, text, want[i%len(prompts)])
			}
		})
	}
	wg.Wait()
	s.client.CloseIdleConnections()
	until(t, "goroutines come back", func() bool { return runtime.NumGoroutine() <= before })
	if st := s.Status(); st.Running != 0 || st.Waiting != 0 || st.Requests != 65 || st.Failed != 0 || st.Generated == 0 {
		t.Errorf("status %+v", st)
	}
}

func TestQueue(t *testing.T) {
	var g silent
	s := faked(t, g.generate, func(o *Options) { o.Parallel, o.Queue = 1, 2 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/completions", strings.NewReader(`{"prompt":"a"}`))
			if w, err := s.client.Do(r); err == nil {
				w.Body.Close()
				t.Errorf("status %d, want none", w.StatusCode)
			}
		})
	}
	until(t, "three come in", func() bool { st := s.Status(); return st.Running == 1 && st.Waiting == 2 })
	for _, stream := range []string{"", `,"stream":true`} {
		w, body := s.ask(t, "POST", "/v1/completions", `{"prompt":"a"`+stream+`}`)
		if w.StatusCode != 429 || w.Header.Get("Retry-After") != "1" || !strings.Contains(string(body), `"rate_limit_error"`) {
			t.Errorf("a fourth: status %d, %v: %s", w.StatusCode, w.Header, body)
		}
	}
	cancel() // clients that are gone leave their places, waiting ones too
	wg.Wait()
	until(t, "places are given back", func() bool { st := s.Status(); return st.Running == 0 && st.Waiting == 0 })
	if came, gone := g.came.Load(), g.gone.Load(); came != gone || came > 3 {
		t.Errorf("%d texts came, %d are gone", came, gone)
	}
}

// TestDisconnect: a client that goes in the middle of a stream cancels its text.
func TestDisconnect(t *testing.T) {
	ended := make(chan error, 1)
	s := faked(t, func(ctx context.Context, yield func(engine.Token, error) bool) {
		for yield(engine.Token{ID: 5, Text: "word "}, nil) {
			select {
			case <-ctx.Done():
				ended <- ctx.Err()
				yield(engine.Token{}, ctx.Err())
				return
			case <-time.After(time.Millisecond):
			}
		}
	}, nil)
	for _, path := range []string{"/v1/completions", "/v1/chat/completions", "/v1/responses"} {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "POST", s.url+path, strings.NewReader(`{"stream":true,"prompt":"a","input":"a","messages":[{"role":"user","content":"a"}]}`))
		w, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewReader(w.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if strings.Contains(line, "word ") {
				break
			}
		}
		cancel()
		w.Body.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the text goes on without its client", path)
		}
	}
	until(t, "places are given back", func() bool { return s.Status().Running == 0 })
}

// dial sends what a client of HTTP would not.
func dial(t *testing.T, s *site, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func request(path, body string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, length, body)
}

// TestSlowReader: who does not read ends their own text, with little memory.
func TestSlowReader(t *testing.T) {
	ended := make(chan struct{}, 2)
	s := faked(t, func(ctx context.Context, yield func(engine.Token, error) bool) {
		defer func() { ended <- struct{}{} }()
		long := strings.Repeat("x", 4<<10)
		for yield(engine.Token{ID: 5, Text: long}, nil) && ctx.Err() == nil {
			time.Sleep(10 * time.Microsecond)
		}
		yield(engine.Token{}, ctx.Err())
	}, func(o *Options) { o.WriteTimeout = 100 * time.Millisecond })
	const body = `{"prompt":"a","stream":true}`
	c := dial(t, s, request("/v1/completions", body, len(body)))
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the text goes on without a reader")
	}
	until(t, "the place is given back", func() bool { st := s.Status(); return st.Running == 0 && st.Failed == 1 })
	if all, _ := io.ReadAll(c); bytes.Contains(all, []byte(openai.Done)) {
		t.Error("a stream that was cut off ends as if it were whole")
	}
}

// TestSlowSender: heads and bodies have their time.
func TestSlowSender(t *testing.T) {
	s := start(t, func(o *Options) { o.BodyTimeout = 100 * time.Millisecond })
	c := dial(t, s, request("/v1/completions", `{"prompt":`, 1000))
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 408")) {
		t.Errorf("half a body: %v: %s", err, answer)
	}
	quick, err := New(s.o)
	if err != nil {
		t.Fatal(err)
	}
	quick.headerTimeout = 100 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- quick.Serve(ctx, l, time.Second) }()
	c = dial(t, &site{url: "http://" + l.Addr().String()}, "POST / HTTP/1.1\r\nX-Slow: ")
	if answer, err := io.ReadAll(c); err != nil || bytes.Contains(answer, []byte("200 OK")) {
		t.Errorf("half a head: %v: %s", err, answer)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFaults: what breaks in one text ends it with an error, and no other.
func TestFaults(t *testing.T) {
	how := atomic.Int32{}
	s := faked(t, func(ctx context.Context, yield func(engine.Token, error) bool) {
		yield(engine.Token{ID: 5, Text: "word"}, nil)
		if how.Load() == 0 {
			panic("broken")
		}
		yield(engine.Token{}, errors.New("device is gone"))
	}, nil)
	for i, want := range []string{"broken", "device is gone"} {
		how.Store(int32(i))
		if w, body := s.ask(t, "POST", "/v1/completions", `{"prompt":"a"}`); w.StatusCode != 500 || !strings.Contains(string(body), want) || strings.Contains(string(body), "goroutine") {
			t.Errorf("status %d: %s", w.StatusCode, body)
		}
		if _, body := s.ask(t, "POST", "/v1/completions", `{"prompt":"a","stream":true}`); !strings.Contains(string(body), `"word"`) || !strings.Contains(string(body), `data: {"error":{`) {
			t.Errorf("stream: %s", body)
		}
		if _, body := s.ask(t, "POST", "/v1/responses", `{"input":"a","stream":true}`); !strings.Contains(string(body), "event: error\n") {
			t.Errorf("responses: %s", body)
		}
	}
	if st := s.Status(); st.Running != 0 || st.Waiting != 0 {
		t.Errorf("status %+v", st)
	}
}

// TestKeepAlive: a stream that has nothing to say says so.
func TestKeepAlive(t *testing.T) {
	var g silent
	s := faked(t, g.generate, func(o *Options) { o.KeepAlive = 10 * time.Millisecond })
	const body = `{"prompt":"a","stream":true}`
	c := dial(t, s, request("/v1/completions", body, len(body)))
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, ":") {
			break
		}
	}
	c.Close()
	until(t, "the text ends", func() bool { return g.gone.Load() == 1 })
}

// TestShutdown: running answers end as they should, new ones do not begin.
func TestShutdown(t *testing.T) {
	begun, more := make(chan struct{}), make(chan struct{})
	s := faked(t, func(ctx context.Context, yield func(engine.Token, error) bool) {
		close(begun)
		<-more
		yield(engine.Token{ID: 5, Text: "last words"}, nil)
	}, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		if got := post[openai.CompletionResponse](t, s, "/v1/completions", `{"prompt":"a"}`); got.Choices[0].Text != "last words" {
			t.Errorf("running answer: %+v", got)
		}
	})
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	until(t, "no connection is taken", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(more)
	wg.Wait()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestHalt: Close ends answers with an error that clients read.
func TestHalt(t *testing.T) {
	var g silent
	s := faked(t, g.generate, nil)
	go func() {
		until(t, "the text begins", func() bool { return g.came.Load() == 1 })
		s.Close()
	}()
	if w, body := s.ask(t, "POST", "/v1/completions", `{"prompt":"a"}`); w.StatusCode != 503 {
		t.Errorf("status %d: %s", w.StatusCode, body)
	}
	if w, _ := s.ask(t, "GET", "/health", ""); w.StatusCode != 503 {
		t.Errorf("health: status %d", w.StatusCode)
	}
}

// TestServeWaits: when Serve returns no handler uses the model any more, not
// even one whose connection was closed.
func TestServeWaits(t *testing.T) {
	var g silent
	var left atomic.Bool
	s := faked(t, func(ctx context.Context, yield func(engine.Token, error) bool) {
		g.generate(ctx, yield)
		time.Sleep(1500 * time.Millisecond) // more than the time that clients have to read the error
		left.Store(true)
	}, nil)
	const body = `{"prompt":"a"}`
	dial(t, s, request("/v1/completions", body, len(body)))
	until(t, "the text begins", func() bool { return g.came.Load() == 1 })
	s.Close()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if !left.Load() {
		t.Error("Serve has returned while a handler was at work")
	}
}

// TestFair: a request of hundreds of texts leaves others their turns, and so
// do those for vectors.
func TestFair(t *testing.T) {
	turn := make(chan struct{})
	s := faked(t, func(ctx context.Context, yield func(engine.Token, error) bool) {
		select {
		case <-turn:
			yield(engine.Token{ID: 5, Text: "x"}, nil)
		case <-ctx.Done():
			yield(engine.Token{}, ctx.Err())
		}
	}, func(o *Options) { o.Parallel, o.Queue, o.Model, o.Embedder = 2, 2, model(t), waits{} })
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	send := func(path, body string) {
		r, _ := http.NewRequestWithContext(ctx, "POST", s.url+path, strings.NewReader(body))
		if w, err := s.client.Do(r); err == nil {
			w.Body.Close()
		}
	}
	wg.Go(func() { send("/v1/completions", `{"prompt":["a","b"],"n":100}`) })
	until(t, "the large request runs", func() bool { st := s.Status(); return st.Running == 2 && st.Waiting == 198 })
	wg.Go(func() { send("/v1/embeddings", `{"input":["a","b"]}`) })
	until(t, "vectors do not wait for texts", func() bool { return s.Status().Running == 3 })
	answered := make(chan struct{})
	wg.Go(func() {
		defer close(answered)
		if got := post[openai.CompletionResponse](t, s, "/v1/completions", `{"prompt":"a"}`); got.Choices[0].Text != "x" {
			t.Errorf("the small request: %+v", got)
		}
	})
	until(t, "the small request waits", func() bool { return s.Status().Waiting == 199 })
	for turns := 0; ; turns++ {
		select {
		case turn <- struct{}{}:
			time.Sleep(time.Millisecond)
			continue
		case <-answered:
		}
		if turns > 100 { // a handful, and those that go by until its answer is here
			t.Errorf("the small request had to wait for %d texts", turns)
		}
		break
	}
}

// waits embeds nothing until it is cancelled.
type waits struct{}

func (waits) Dim() int { return 1 }

func (waits) Embed(ctx context.Context, texts []string) ([][]float32, int, error) {
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

// TestPreparing: those who prepare large requests keep no small ones waiting.
func TestPreparing(t *testing.T) {
	s := faked(t, says("Yes."), nil)
	for range cap(s.preparingLarge) {
		s.preparingLarge <- struct{}{}
	}
	large := make(chan int)
	go func() {
		w, _ := s.ask(t, "POST", "/v1/completions", `{"prompt":"a","user":"`+strings.Repeat("x", smallBody)+`"}`)
		large <- w.StatusCode
	}()
	for range 3 {
		if w, body := s.ask(t, "POST", "/v1/completions", `{"prompt":"a"}`); w.StatusCode != 200 {
			t.Errorf("a small request: status %d: %s", w.StatusCode, body)
		}
	}
	select {
	case status := <-large:
		t.Errorf("a large request did not wait: status %d", status)
	case <-time.After(50 * time.Millisecond):
	}
	<-s.preparingLarge
	if status := <-large; status != 200 {
		t.Errorf("a large request: status %d", status)
	}
}
