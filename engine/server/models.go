package server

import (
	"crypto/rand"
	"net/http"

	"github.com/llcuda/llcuda/internal/openai"
)

func (s *Server) entry() openai.Model {
	m := openai.Model{ID: s.o.Name, Object: "model", Created: s.started.Unix(), OwnedBy: "llcuda"}
	if s.o.Model != nil {
		m.MaxModelLen = s.o.Model.Info().Context
	}
	return m
}

func (s *Server) models(w *response, _ *http.Request) error {
	return w.json(http.StatusOK, openai.ModelList{Object: "list", Data: []openai.Model{s.entry()}})
}

func (s *Server) model(w *response, r *http.Request) error {
	if err := s.known(r.PathValue("id")); err != nil {
		return err
	}
	return w.json(http.StatusOK, s.entry())
}

// health says that the server answers; it needs no key.
func (s *Server) health(w *response, _ *http.Request) error {
	if s.halted.Err() != nil {
		return s.wireError(s.halted.Err())
	}
	return w.json(http.StatusOK, map[string]string{"status": "ok"})
}

// properties of a server are for people and for programs that adapt to it.
type properties struct {
	Model        string   `json:"model"`
	Aliases      []string `json:"aliases,omitempty"`
	Version      string   `json:"version,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	FileType     string   `json:"file_type,omitempty"`
	Parameters   int64    `json:"parameters,omitempty"`
	WeightBytes  int64    `json:"weight_bytes,omitempty"`
	Device       string   `json:"device,omitempty"`
	Context      int      `json:"context,omitempty"`       // tokens of a text
	TrainContext int      `json:"train_context,omitempty"` // tokens in training
	Vocabulary   int      `json:"vocabulary,omitempty"`
	Parallel     int      `json:"parallel"`
	Queue        int      `json:"queue"`
	Generates    bool     `json:"generates"`
	Embeds       bool     `json:"embeds"`
	ChatTemplate string   `json:"chat_template,omitempty"` // none: chats are raw completions
	Defaults     *props   `json:"defaults,omitempty"`
}

// props is a sampler: what requests leave open.
type props struct {
	Temperature   float32 `json:"temperature"`
	TopK          int     `json:"top_k"`
	TopP          float32 `json:"top_p"`
	MinP          float32 `json:"min_p"`
	RepeatPenalty float32 `json:"repeat_penalty"`
}

func (s *Server) props(w *response, _ *http.Request) error {
	p := properties{Model: s.o.Name, Aliases: s.o.Aliases, Version: s.o.Version, Parallel: s.o.Parallel, Queue: s.o.Queue,
		Generates: s.o.Model != nil, Embeds: s.o.Embedder != nil}
	if s.o.Model != nil {
		i := s.o.Model.Info()
		p.Architecture, p.FileType, p.Parameters, p.WeightBytes, p.Device = i.Arch, i.FileType, i.Params, i.WeightBytes, i.Device
		p.Context, p.TrainContext, p.Vocabulary, p.ChatTemplate = i.Context, i.ContextLength, i.Vocab, s.template.Source()
		d := s.o.Sampler
		p.Defaults = &props{d.Temperature, d.TopK, d.TopP, d.MinP, d.RepeatPenalty}
	}
	return w.json(http.StatusOK, p)
}

// newID makes an id that nobody else has.
func newID(prefix string) string { return prefix + rand.Text() }
