// Package catalog finds models by the names that people give them: a path (of a
// GGUF file, or of a checkpoint's folder), a short name (gemma-3-1b-Q4_K_M), a
// repository of Hugging Face (org/name:Q4_K_M). It looks in the model folders, in Hugging Face's cache, in
// the stores of Ollama and llama.cpp, and then asks the hub.
//
// A [Catalog] holds the places; Find says what a name means there, Fetch
// brings it, Local lists what is on this machine. Nothing is ever written or
// removed outside Hugging Face's cache.
//
// Errors say what to do next in the notebook's words (%models, %pull).
package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/hub"
)

// A Catalog is the places where models are looked for.
type Catalog struct {
	Folders  []string    // of .gguf files, in order
	Hub      *hub.Client // nil: neither cache nor server
	Ollama   []string    // roots of Ollama's stores
	LlamaCpp string      // llama.cpp's cache; "": none

	noHub error // why Hub is nil
}

// FromEnv returns the places of this user: the folders of LLCUDA_MODELS, the
// current one and its models and .models, the user's cache; Hugging Face's
// cache by its variables (see [hub.FromEnv]); OLLAMA_MODELS, LLAMA_CACHE and
// where the two keep their models without them.
func FromEnv() *Catalog {
	c := &Catalog{Folders: filepath.SplitList(os.Getenv("LLCUDA_MODELS"))}
	c.Folders = append(c.Folders, ".", "models", ".models")
	if cache, err := os.UserCacheDir(); err == nil {
		c.Folders = append(c.Folders, filepath.Join(cache, "llcuda", "models"))
		c.LlamaCpp = filepath.Join(cache, "llama.cpp")
	}
	c.Folders = slices.DeleteFunc(c.Folders, func(d string) bool { return d == "" })
	if dir := os.Getenv("LLAMA_CACHE"); dir != "" {
		c.LlamaCpp = dir
	}
	c.Ollama = ollamaRoots()
	c.Hub, c.noHub = hub.FromEnv()
	return c
}

// A Model is one that lies on this machine.
type Model struct {
	Name   string // finds it: the file's name without .gguf, or llama3.2:1b
	Quant  string // as in Q4_K_M; "" if nothing tells it
	Path   string // of the file, or of the first shard, or a checkpoint's folder; Open opens it
	Size   int64  // bytes, of all shards
	Source Source
	Repo   string // org/name on the hub, where it is known

	repo  *hub.Repo // the snapshot, of Hugging Face's cache
	files hub.Model
}

// A Source is a kind of place.
type Source string

const (
	Folder      Source = "folder"
	HuggingFace Source = "Hugging Face cache"
	Ollama      Source = "Ollama"
	LlamaCpp    Source = "llama.cpp"
)

// Local lists the models on this machine, by place; of several with one name
// in one kind of place the first counts.
func (c *Catalog) Local() []Model {
	return slices.Concat(c.inFolders(), c.inCache(), c.inOllama(), c.inLlamaCpp())
}

// A Query asks for a model.
type Query struct {
	Name     string
	File     string // in the repository: its name, a quantisation, or a pattern
	Revision string // of the repository; "" is main
	Offline  bool   // ask no server
	Refresh  bool   // ask the server also for what is here

	Room    func() Room // asked where the name leaves the quantisation open; nil: unknown
	Context int         // tokens that are to fit; 0: the usual
}

// A Found is what a name means: a model that is here, or one to fetch.
type Found struct {
	Model
	Why string // how the quantisation was chosen; "" if the name said it

	revision string
}

// Here reports whether the model is on this machine.
func (f *Found) Here() bool { return f.Path != "" }

// Find finds the model that a name means. On this machine it looks first, and
// asks the hub only for what is not here; then Fetch brings it. An error says
// what could be done.
func (c *Catalog) Find(ctx context.Context, q Query) (*Found, error) {
	r, err := c.parse(&q)
	if err != nil {
		return nil, err
	}
	if !q.Refresh || r == nil {
		found, err := c.findLocal(&q, r)
		if found != nil || err != nil {
			return found, err
		}
	}
	if r == nil {
		return nil, c.notFound(q.Name)
	}
	return c.findRemote(ctx, &q, r)
}

// FindLocal is Find without the hub.
func (c *Catalog) FindLocal(q Query) (*Found, error) {
	r, err := c.parse(&q)
	if err != nil {
		return nil, err
	}
	found, err := c.findLocal(&q, r)
	switch {
	case found != nil || err != nil:
		return found, err
	case r != nil:
		return nil, fmt.Errorf("%s is not on this machine; %%pull %s fetches it", q.Name, q.Name)
	}
	return nil, c.notFound(q.Name)
}

// Fetch brings a model into Hugging Face's cache and sets its path. While bytes
// come, progress is told how many of all are here; waits is called before each
// wait for another process that is fetching the same file. Both may be nil. When
// ctx ends, what came stays, and the next call goes on from there.
func (c *Catalog) Fetch(ctx context.Context, f *Found, progress func(done, total int64), waits func()) error {
	if f.Here() {
		return nil
	}
	client := *c.Hub
	client.Waits = waits
	paths, err := client.Fetch(ctx, f.repo, f.revision, f.files, progress)
	if err != nil {
		return err
	}
	f.Path = paths[0]
	return nil
}

// Kept is how many bytes of a model's repository came and wait for Fetch to go
// on.
func (c *Catalog) Kept(f *Found) int64 { return c.Hub.Partial(f.Repo) }

// findLocal looks on this machine only; nil without an error is not here.
func (c *Catalog) findLocal(q *Query, r *reference) (*Found, error) {
	if q.File == "" && (r == nil || !r.hub) {
		path := InHome(q.Name)
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return found(inFolder(path))
		case err == nil:
			return found(path, nil)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s cannot be read: %w; check its path and permissions", q.Name, errors.Unwrap(err))
		}
	}
	all := c.Local()
	if q.File == "" && q.Revision == "" {
		for _, m := range all {
			// Ollama's own names may look like repositories.
			if named(m.Name, q.Name) && (r == nil || r.entry != nil || m.Source == Ollama) {
				return &Found{Model: m}, nil
			}
		}
	}
	if r != nil {
		return c.findCopy(q, r, all)
	}
	return c.beginning(q.Name, all)
}

func found(path string, err error) (*Found, error) {
	if err != nil {
		return nil, err
	}
	if checkpoint.Is(path) {
		return &Found{Model: checkpointModel(path)}, nil
	}
	size := int64(0)
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	name := stem(path)
	return &Found{Model: Model{Name: name, Quant: hub.QuantOf(name), Path: path, Size: size, Source: Folder}}, nil
}

// named compares names, in any case, with or without .gguf, and as Ollama does
// without :latest.
func named(have, want string) bool {
	want, _ = cutSuffixFold(want, ".gguf")
	return strings.EqualFold(have, want) || strings.EqualFold(have, want+":latest")
}

// beginning finds the model whose name begins so, if there is one alone.
func (c *Catalog) beginning(name string, all []Model) (*Found, error) {
	want, _ := cutSuffixFold(name, ".gguf")
	if want == "" || strings.ContainsAny(want, `/\`) {
		return nil, nil
	}
	var starts []Model
	for _, m := range all {
		if len(m.Name) > len(want) && strings.EqualFold(m.Name[:len(want)], want) &&
			!slices.ContainsFunc(starts, func(s Model) bool { return s.Name == m.Name }) {
			starts = append(starts, m)
		}
	}
	switch len(starts) {
	case 0:
		return nil, nil
	case 1:
		return &Found{Model: starts[0]}, nil
	}
	var names []string
	for _, m := range starts {
		names = append(names, m.Name)
	}
	return nil, fmt.Errorf("%s could be %s; write one of them in full", name, strings.Join(names, " or "))
}

// notFound is the error of a name that means nothing, with the closest ones.
func (c *Catalog) notFound(name string) error {
	known := []string{"demo"}
	for _, m := range c.Local() {
		known = append(known, m.Name)
	}
	for _, e := range Registry() {
		known = append(known, e.Name)
	}
	base, _ := cutSuffixFold(filepath.Base(filepath.ToSlash(name)), ".gguf")
	if near := closest(base, known, 3); len(near) > 0 {
		return fmt.Errorf("no model %s; did you mean %s?", name, strings.Join(near, " or "))
	}
	return fmt.Errorf("no model %s: neither a file nor a short name; %%models lists what is here, %%models search what can be fetched, %%load demo always works", name)
}
