// Package server lets any client of the OpenAI API talk to a model, over
// net/http: chats, completions, embeddings and the text part of responses,
// streamed or whole; and, for those who look after it, health, metrics,
// properties, tokens and an OpenAPI document of what there is.
//
// A Server answers several conversations at once with the Generator it is
// given. It is built to stand in front of strangers: bodies, headers, waiting
// texts, output that nobody reads and time are bounded, names of other hosts
// and pages of other origins are refused, and what a request asks for is
// checked before it waits. It listens nowhere by itself: Serve has the time
// limits that http.Server alone would not set.
package server

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
)

// A Generator continues texts, several at a time; an engine.Batcher is one.
// prompt is the whole text, of which it may have the beginning in a cache.
type Generator interface {
	Generate(ctx context.Context, prompt []int32, o engine.GenerateOptions) iter.Seq2[engine.Token, error]
}

// An Embedder turns texts into vectors of one length and counts their tokens.
type Embedder interface {
	Embed(ctx context.Context, texts []string) (vectors [][]float32, tokens int, err error)
	Dim() int // numbers of a vector
}

// Options say what is served and to whom. Generator and Model go together;
// without them only embeddings are served.
type Options struct {
	Name      string   // the id of the model
	Aliases   []string // other names that requests may use
	Model     *engine.Model
	Generator Generator
	Embedder  Embedder // nil: no embeddings

	Parallel int // texts at a time: what Generator does well; 0 is 1
	Queue    int // texts that may wait beside them; 0 is 64, negative is none

	APIKeys []string // one of them has to be in every request; none: no key
	Hosts   []string // names, beside localhost and addresses, by which the server may be called
	Origins []string // of pages that browsers may call from; "*" is any

	MaxBody      int64         // bytes of a request; 0 is 8 MiB
	BodyTimeout  time.Duration // to send a body; 0 is 30 s
	WriteTimeout time.Duration // for a reader to take what is written; 0 is 20 s
	KeepAlive    time.Duration // between comments in a silent stream; 0 is 10 s

	Sampler *engine.Sampler // what requests leave open; nil is engine.DefaultSampler
	Version string          // of llcuda, for /props
	Log     *slog.Logger    // a line a request; nil: none
}

// A Server is an http.Handler, for many requests at once.
type Server struct {
	o         Options
	handler   http.Handler
	template  *chat.Template // nil: no model
	keys      [][32]byte     // hashes of the keys
	queue     *queue         // of texts that are generated
	embedding *queue         // of texts for vectors, which are made beside them
	metrics   *serverMetrics
	started   time.Time
	longest   int           // bytes of the vocabulary's longest token
	described []byte        // openapi.json
	large     chan struct{} // places for those who read a large body

	headerTimeout time.Duration
	connections   int // at most

	halt   context.CancelFunc // ends what is being generated
	halted context.Context

	preparing, preparingLarge chan struct{} // places for requests that are looked at

	handling sync.RWMutex // for reading, while a request is handled
	left     bool         // the model may be gone
}

// New checks the options.
func New(o Options) (*Server, error) {
	switch {
	case o.Name == "":
		return nil, errors.New("server: the model has no name")
	case (o.Model == nil) != (o.Generator == nil):
		return nil, errors.New("server: a model and its generator go together")
	case o.Model == nil && o.Embedder == nil:
		return nil, errors.New("server: nothing to serve: neither a model nor an embedder")
	}
	o.defaults()
	s := &Server{o: o, queue: newQueue(o.Parallel, o.Queue), embedding: newQueue(1, o.Queue), started: time.Now(), large: make(chan struct{}, largeBodies), headerTimeout: headerTimeout, connections: maxConnections,
		preparing: make(chan struct{}, smallPerCore*runtime.GOMAXPROCS(0)), preparingLarge: make(chan struct{}, largeAtOnce)}
	s.metrics = newMetrics(s)
	s.halted, s.halt = context.WithCancel(context.Background())
	s.keys = hashKeys(o.APIKeys)
	if o.Model != nil {
		var err error
		if s.template, err = chat.NewTemplate(o.Model); err != nil {
			return nil, err
		}
		t := o.Model.Tokenizer()
		for id := range int32(t.Len()) {
			s.longest = max(s.longest, len(t.Piece(id)), len(t.Text(id)))
		}
	}
	var err error
	if s.described, err = s.document(); err != nil {
		return nil, err
	}
	s.handler = s.guard(s.routes())
	return s, nil
}

func (o *Options) defaults() {
	if o.Parallel <= 0 {
		o.Parallel = 1
	}
	switch {
	case o.Queue == 0:
		o.Queue = 64
	case o.Queue < 0:
		o.Queue = 0
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 8 << 20
	}
	for d, value := range map[*time.Duration]time.Duration{&o.BodyTimeout: 30 * time.Second, &o.WriteTimeout: 20 * time.Second, &o.KeepAlive: 10 * time.Second} {
		if *d <= 0 {
			*d = value
		}
	}
	if o.Sampler == nil {
		sampler := engine.DefaultSampler()
		o.Sampler = &sampler
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Close ends what is being generated with an error, for those who do not use
// Serve, which does so itself.
func (s *Server) Close() { s.halt() }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handling.RLock()
	defer s.handling.RUnlock()
	if s.left {
		panic(http.ErrAbortHandler) // its connection is closed
	}
	defer connOf(r).waiting(true) // for a body that nobody asked for, and the next request
	s.handler.ServeHTTP(w, r)
}

// table is all there is; openapi.json describes it.
func (s *Server) table() map[string]map[string]handler {
	return map[string]map[string]handler{
		"/v1/models":           {"GET": s.models},
		"/v1/models/{id...}":   {"GET": s.model},
		"/v1/completions":      {"POST": s.completions},
		"/v1/chat/completions": {"POST": s.chatCompletions},
		"/v1/responses":        {"POST": s.responses},
		"/v1/embeddings":       {"POST": s.embeddings},
		"/tokenize":            {"POST": s.tokenize},
		"/detokenize":          {"POST": s.detokenize},
		"/props":               {"GET": s.props},
		"/health":              {"GET": s.health},
		"/metrics":             {"GET": s.writeMetrics},
		"/openapi.json":        {"GET": s.openAPI},
	}
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for path, methods := range s.table() {
		mux.Handle(path, s.route(path, methods))
	}
	mux.Handle("/", s.route("other", nil))
	return mux
}

// Status is what a server is doing.
type Status struct {
	Running, Waiting  int           // texts
	Requests          int64         // answered
	Failed            int64         // of them, with a status of 400 or more
	Prompt, Generated int64         // tokens
	Speed             float64       // generated tokens a second, of all texts in the last seconds
	Cached            int64         // of the prompt tokens: were not computed again
	Up                time.Duration // since New
}

// Status may be called at any time.
func (s *Server) Status() Status {
	running, waiting := s.queue.state()
	embedding, behind := s.embedding.state()
	m := s.metrics
	return Status{Running: running + embedding, Waiting: waiting + behind, Requests: m.requests.sum(""), Failed: m.failed.Load(), Prompt: m.promptTokens.Load(),
		Generated: m.newTokens.Load(), Cached: m.cachedTokens.Load(), Speed: m.pace.perSecond(time.Now()), Up: time.Since(s.started)}
}
