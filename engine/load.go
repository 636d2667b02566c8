package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

const (
	defaultContext = 4096
	defaultBatch   = 512
)

// A Model is the weights and the vocabulary of a file. It does not change
// after Load and may be shared by goroutines, each with its own Session.
type Model struct {
	info      Info
	parts     []part // in the order of layers
	arch      architecture
	net       *network
	tokenizer *tokenizer.Tokenizer
	templates map[string]string // of conversations, by name; the default one is ""
	batch     int
	texts     int // of a Batcher; 0: sessions
	cacheType tensor.DType
	placed    []*tensor.Tensor
	grammars  grammars
	source    *gguf.File        // what it was read from
	where     map[string][]home // the tensors of source, by name

	mu     sync.Mutex
	uses   int // sessions, and the model itself until Close
	closed bool
	file   *gguf.File // nil when the caller owns it

	adapters []*Adapter
	blends   []*blend
	initial  *blend // what sessions begin with; nil: the base alone
}

// Load opens a GGUF file and puts its weights on devices; the host's CPU uses
// them where they lie in the file. A file that is broken, or of an unknown
// architecture, or too big for the devices is refused before that, with errors
// that errors.Is knows as ErrModel, ErrArch and ErrTooBig. After an error
// nothing of it is left on a device.
func Load(ctx context.Context, path string, o Options) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	return LoadOwned(ctx, f, o)
}

// LoadOwned is LoadFile for a file that becomes the model's: its Close closes
// it, and so does an error.
func LoadOwned(ctx context.Context, f *gguf.File, o Options) (*Model, error) {
	m, err := LoadFile(ctx, f, o)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m.file = f
	return m, nil
}

// LoadFile is Load for a file that is open, and that has to stay so until the
// model and its sessions are closed.
func LoadFile(ctx context.Context, f *gguf.File, o Options) (*Model, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	name, err := f.String("general.architecture")
	if err != nil {
		return nil, fmt.Errorf("engine: %w: %w", ErrModel, err)
	}
	if lora.Is(f) {
		return nil, fmt.Errorf("engine: %w: %s is an adapter; load the model that it is for, with the adapter", ErrModel, f.Path)
	}
	arch, err := findArchitecture(name)
	if err != nil {
		return nil, err
	}
	tok, err := readTokenizer(f)
	if err != nil {
		return nil, err
	}
	r := &reader{f: f, arch: name, vocab: tok.Len(), context: o.Context, used: map[string]bool{}}
	net := arch.read(r)
	if r.nothingLeft(); r.err != nil {
		return nil, r.err
	}
	if net.encoder {
		o.Batch, o.Texts = net.context, 0 // a text goes through at once
	}
	templates, err := readTemplates(f)
	if err != nil {
		return nil, err
	}
	m := &Model{arch: arch, net: net, tokenizer: tok, templates: templates,
		batch: min(o.Batch, net.context), texts: o.Texts, cacheType: o.CacheType, source: f, uses: 1}
	if m.info, err = m.describe(f, name, r.pending); err != nil {
		return nil, err
	}
	if err := m.arrange(&o, r.pending); err != nil {
		return nil, err
	}
	m.info.devices(m.parts)
	if err := m.place(ctx, r.pending, o.Progress); err != nil {
		m.free()
		return nil, err
	}
	m.settle(r.pending)
	return m, nil
}

// defaults fills in what the zero value leaves open, and checks the rest.
func (o *Options) defaults() error {
	if o.Device == nil {
		o.Device = cpu.Default()
	}
	if o.GPULayers > 0 && len(o.GPUs) == 0 && o.Device.Name() == "cpu" {
		return fmt.Errorf("engine: %d layers on a GPU: %w is in use; load without GPU layers to run on the CPU", o.GPULayers, ErrNoGPU)
	}
	switch {
	case o.ExactCache:
		o.CacheType = tensor.F32
	case o.CacheType == 0:
		o.CacheType = tensor.F16
	case o.CacheType != tensor.F16 && o.CacheType != tensor.BF16 && o.CacheType != tensor.Q8_0:
		return fmt.Errorf("engine: cache type %s: want f16, f32, bf16 or q8_0", o.CacheType)
	}
	if o.Context < 0 || o.Context > maxContext {
		return fmt.Errorf("engine: context %d: want 1 to %d tokens, or 0 for the default", o.Context, maxContext)
	}
	if o.Texts < 0 || o.Texts > MaxTexts {
		return fmt.Errorf("engine: %d texts: want 1 to %d, or 0 for sessions of one", o.Texts, MaxTexts)
	}
	if o.Batch < 0 {
		return fmt.Errorf("engine: batch %d: want 1 or more tokens, or 0 for %d", o.Batch, defaultBatch)
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	return nil
}

// describe makes the model's Info, and refuses a cache that cannot be.
func (m *Model) describe(f *gguf.File, arch string, weights []weight) (Info, error) {
	n := m.net
	if n.headDim%m.cacheType.BlockLen() != 0 {
		return Info{}, fmt.Errorf("engine: cache type %s: the model's heads of %d numbers are no whole blocks of %d; take f16",
			m.cacheType, n.headDim, m.cacheType.BlockLen())
	}
	name, err := f.StringOr("general.name", "")
	if err != nil || name == "" {
		name = strings.TrimSuffix(filepath.Base(f.Path), ".gguf")
	}
	if name == "." { // no path: a file in memory
		name = arch
	}
	info := Info{Name: name, Arch: arch, FileType: fileType(f), Params: f.Params(), Layers: len(n.layers),
		EmbeddingLength: n.dim, Vocab: n.vocab, ContextLength: n.trained, Context: n.context,
		CacheType: m.cacheType.String(), Encoder: n.encoder, Pooling: n.pooling}
	for _, w := range weights {
		bytes := int64(w.bytes())
		info.WeightBytes += bytes
		if len(w.dst) == 1 && w.dst[0] == &n.embed { // looked up, not multiplied
			bytes /= int64(n.vocab)
		}
		info.TokenBytes += bytes
	}
	return info, nil
}

// devices adds where the layers are.
func (i *Info) devices(parts []part) {
	var names []string
	for _, p := range parts {
		i.Devices = append(i.Devices, p.use)
		i.CacheBytes += p.use.Cache
		i.ScratchBytes += p.use.Scratch
		names = append(names, p.use.Device)
	}
	i.Device = strings.Join(names, "+")
}

// Info is what the model is.
func (m *Model) Info() Info { return m.info }

// File is what the model was read from. It is open as long as the model.
func (m *Model) File() *gguf.File { return m.source }

// Tokenizer turns text into token ids and back.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// ChatTemplate is the Jinja template of conversations, "" if there is none.
func (m *Model) ChatTemplate() string { return m.templates[""] }

// ChatTemplates are all of them by name ("tool_use"), the default one under
// "". It is shared: do not change it.
func (m *Model) ChatTemplates() map[string]string { return m.templates }

// Close gives back the model's memory, once its last session is closed.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	m.leave(m.initial)
	m.initial = nil
	return m.release()
}

// release ends one use of the model; m.mu is held.
func (m *Model) release() error {
	if m.uses--; m.uses > 0 {
		return nil
	}
	m.free()
	var errs []error
	for _, a := range m.adapters {
		errs = append(errs, a.f.Close())
	}
	if m.file != nil {
		errs = append(errs, m.file.Close())
	}
	return errors.Join(errs...)
}
