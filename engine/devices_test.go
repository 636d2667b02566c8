package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// A card is a CPU device that keeps its tensors to itself, as a GPU does: it
// has memory of its own, counts it, refuses to hold more, and knows nothing of
// the tensors of others.
type card struct {
	*cpu.Device
	name       string
	size, used int64
	failAt     int // the placement that fails, 0: none
	places     int
	runs       int // programs
	writes     int
	broken     atomic.Bool // nothing works
}

func newCard(t testing.TB, name string, size int64) *card {
	c := &card{Device: cpu.New(1), name: name, size: size}
	t.Cleanup(c.Close)
	return c
}

func (c *card) Name() string           { return c.name }
func (c *card) Memory() (int64, int64) { return c.size - c.used, c.size }

func (c *card) New(d tensor.DType, shape ...int) (*tensor.Tensor, error) {
	t, err := c.Device.New(d, shape...)
	return c.own(t, err)
}

func (c *card) Place(name string, d tensor.DType, shape []int, data []byte) (*tensor.Tensor, error) {
	if c.places++; c.places == c.failAt {
		return nil, fmt.Errorf("%s: place %q: %w", c.name, name, tensor.ErrNoMemory)
	}
	t, err := c.Device.Place(name, d, shape, slices.Clone(data))
	return c.own(t, err)
}

func (c *card) own(t *tensor.Tensor, err error) (*tensor.Tensor, error) {
	if err != nil {
		return nil, err
	}
	if c.used+int64(t.Bytes()) > c.size {
		return nil, fmt.Errorf("%s: %w", c.name, tensor.ErrNoMemory)
	}
	c.used += int64(t.Bytes())
	t.Device = c
	return t, nil
}

func (c *card) Free(t *tensor.Tensor) { c.used -= int64(t.Bytes()); c.Device.Free(t) }

var errBroken = errors.New("the card is on fire")

func (c *card) Write(t *tensor.Tensor, src []byte) error {
	c.writes++
	if c.broken.Load() {
		return errBroken
	}
	return c.Device.Write(t, src)
}

func (c *card) Do(op *tensor.Op) error {
	if err := c.mine(op); err != nil {
		return err
	}
	if c.broken.Load() {
		return errBroken
	}
	return c.Device.Do(op)
}

func (c *card) Compile(ops []tensor.Op) (tensor.Program, error) {
	for i := range ops {
		if err := c.mine(&ops[i]); err != nil {
			return nil, err
		}
	}
	p, err := c.Device.Compile(ops)
	return &cardProgram{p, c}, err
}

type cardProgram struct {
	tensor.Program
	c *card
}

func (p *cardProgram) Run() error { p.c.runs++; return p.Program.Run() }

// NewFetch copies when it is told to, as the card's work is done by then.
func (c *card) NewFetch(bytes int) (tensor.Fetch, error) {
	return &cardFetch{c, make([]byte, bytes)}, nil
}

type cardFetch struct {
	c *card
	b []byte
}

func (f *cardFetch) Start(t *tensor.Tensor) error { return f.c.Read(f.b, t) }
func (f *cardFetch) Wait(dst []byte) error        { copy(dst, f.b); return nil }
func (f *cardFetch) Free()                        {}

func (c *card) mine(op *tensor.Op) error {
	for _, t := range []*tensor.Tensor{op.Dst, op.A, op.B, op.C, op.Pos, op.Seq} {
		if t != nil && t.Device != c {
			return fmt.Errorf("%s: %s has %s of another device", c.name, op.Kind, t)
		}
	}
	return nil
}

// TestDevices: a model gives the logits of the float64 forward pass wherever
// its layers are, and its devices hold what Info says and nothing afterwards.
func TestDevices(t *testing.T) {
	for _, name := range goldenNames(t) {
		g := readGolden(t, name)
		layers := g.load(t, Options{}).Info().Layers
		for _, w := range []struct {
			name  string
			cards int
			size  float64 // of a card, in models
			gpu   int     // layers
			uses  int     // devices
		}{
			{"all on one", 1, 100, 0, 1},
			{"all on the first of two", 2, 100, 0, 1},
			{"last on one", 1, 100, 1, min(2, layers)},
			{"over two", 2, 0.75, layers, 2},
		} {
			t.Run(name+"/"+w.name, func(t *testing.T) {
				whole := g.load(t, Options{ExactCache: true, Batch: 7}).Info()
				bytes := float64(whole.WeightBytes + whole.CacheBytes + whole.ScratchBytes)
				if w.uses > 1 && layers < 2 {
					t.Skip("one layer")
				}
				var cards []*card
				o := Options{ExactCache: true, Batch: 7, GPULayers: w.gpu}
				for i := range w.cards {
					cards = append(cards, newCard(t, fmt.Sprintf("cuda:%d", i), int64(w.size*bytes)))
					o.GPUs = append(o.GPUs, cards[i])
				}
				if o.Context == 0 {
					o.Context = g.context
				}
				m, err := LoadFile(t.Context(), g.file, o)
				if err != nil && w.size < 1 && errors.Is(err, ErrTooBig) {
					t.Skip("an end of the model alone is more than a card has:", err)
				}
				if err != nil {
					t.Fatal(err)
				}
				s, err := m.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				if len(m.info.Devices) != w.uses {
					t.Errorf("on %s, want %d devices", m.info.Device, w.uses)
				}
				for _, u := range m.info.Devices {
					for _, c := range cards {
						if off := math.Abs(float64(c.used)/float64(u.Bytes()) - 1); c.name == u.Device && off > 0.03 {
							t.Errorf("%s uses %d bytes, announced were %d", c.name, c.used, u.Bytes())
						}
					}
				}
				g.check(t, s, w.name, []int{3, 1, 11, 1, 1, 8, 1}, bound(name, tensor.F32))
				if err := errors.Join(s.Close(), m.Close()); err != nil {
					t.Error(err)
				}
				for _, c := range cards {
					if c.used != 0 {
						t.Errorf("%s still holds %d bytes", c.name, c.used)
					}
				}
			})
		}
	}
}

// TestDevicesGenerate: the same tokens, greedy and drawn, wherever layers are;
// on one card a greedy token needs no write.
func TestDevicesGenerate(t *testing.T) {
	g := readGolden(t, "llama")
	for _, o := range []GenerateOptions{
		{MaxTokens: 24, IgnoreEOG: true},
		{MaxTokens: 24, IgnoreEOG: true, Sampler: Sampler{Temperature: 1, TopK: 20, Seed: 3}},
	} {
		want, _, err := collect(t.Context(), newSession(t, g.load(t, Options{})), g.ids[:9], o)
		if err != nil {
			t.Fatal(err)
		}
		for _, gpu := range []int{1, 2} {
			c := newCard(t, "cuda:0", 1<<30)
			s := newSession(t, g.load(t, Options{GPUs: []tensor.Device{c}, GPULayers: gpu}))
			got, _, err := collect(t.Context(), s, g.ids[:9], o)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d layers on a card: %v, %v; want %v", gpu, got, err, want)
			}
			before := c.writes
			got, _, err = collect(t.Context(), s, nil, GenerateOptions{MaxTokens: 20, IgnoreEOG: true})
			if n := c.writes - before; err != nil || gpu == 2 && n > 4 {
				t.Errorf("%d writes for %d greedy tokens (%v), want none but at the start", n, len(got), err)
			}
		}
	}
}

// TestAhead: steps that were issued ahead change no text, whatever is done
// between two generations, and there is one too many at most.
func TestAhead(t *testing.T) {
	for _, name := range []string{"llama", "gemma3", "gemma2"} {
		g := readGolden(t, name)
		c := newCard(t, "cuda:0", 1<<30)
		plain := newSession(t, g.load(t, Options{ExactCache: true, Batch: 8}))
		quick := newSession(t, g.load(t, Options{ExactCache: true, Batch: 8, GPUs: []tensor.Device{c}}))
		if quick.fetches[0] == nil || plain.fetches[0] != nil {
			t.Fatal("the CPU fetches, or the card does not")
		}
		for i, do := range []func(s *Session) []int32{
			func(s *Session) []int32 { return generated(t, s, g.ids[:5], 12) },
			func(s *Session) []int32 { return generated(t, s, nil, 7) },
			func(s *Session) []int32 { s.Truncate(s.Position() - 4); return generated(t, s, nil, 9) },
			func(s *Session) []int32 { return breakOff(t, s, 3) },
			func(s *Session) []int32 { return generated(t, s, nil, 9) },
			func(s *Session) []int32 { return breakOff(t, s, 2) },
			func(s *Session) []int32 { return generated(t, s, g.ids[3:4], 9) },
			func(s *Session) []int32 { breakOff(t, s, 6); s.Truncate(20); return generated(t, s, nil, 9) },
			func(s *Session) []int32 { s.Truncate(3); return generated(t, s, g.ids[2:9], 30) },
			func(s *Session) []int32 {
				ids, _, err := collect(t.Context(), s, nil, GenerateOptions{MaxTokens: 1000, IgnoreEOG: true})
				if !errors.Is(err, ErrContextFull) {
					t.Errorf("%v, want a full context", err)
				}
				return ids
			},
		} {
			before := c.runs
			want, got := do(plain), do(quick)
			if !slices.Equal(got, want) || len(want) == 0 {
				t.Errorf("%s, step %d: %v, want %v", name, i, got, want)
			}
			if n := c.runs - before; i == 1 && n > len(got)+1 {
				t.Errorf("%s: %d steps for %d tokens", name, n, len(got))
			}
		}
	}
}

func generated(t *testing.T, s *Session, prompt []int32, n int) []int32 {
	t.Helper()
	ids, _, err := collect(t.Context(), s, prompt, GenerateOptions{MaxTokens: n, IgnoreEOG: true})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// breakOff leaves a generation after n tokens.
func breakOff(t *testing.T, s *Session, n int) (ids []int32) {
	t.Helper()
	for tok, err := range s.Generate(t.Context(), nil, GenerateOptions{IgnoreEOG: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if ids = append(ids, tok.ID); len(ids) == n {
			break
		}
	}
	return ids
}

// TestDevicesEvalAll: every position's logits cross the border.
func TestDevicesEvalAll(t *testing.T) {
	g := readGolden(t, "llama")
	var all [2][]float32
	for i, o := range []Options{{Batch: 7}, {Batch: 7, GPUs: []tensor.Device{newCard(t, "cuda:0", 1<<30)}, GPULayers: 1}} {
		err := newSession(t, g.load(t, o)).EvalAll(t.Context(), g.ids, func(_ int, logits []float32) { all[i] = append(all[i], logits...) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range all[0] {
		if d := math.Abs(float64(all[1][i] - want)); len(all[0]) != len(all[1]) || d > 1e-3 {
			t.Fatalf("logit %d is %g, want %g", i, all[1][i], want)
		}
	}
}

// TestLoadFails: a card that is full in the middle of a load gets all back.
func TestLoadFails(t *testing.T) {
	g := readGolden(t, "gemma3")
	for _, at := range []int{1, 2, 9, 20} {
		c := newCard(t, "cuda:0", 1<<30)
		c.failAt = at
		_, err := LoadFile(t.Context(), g.file, Options{GPUs: []tensor.Device{c}})
		if !errors.Is(err, tensor.ErrNoMemory) || c.used != 0 {
			t.Errorf("placement %d fails: %v, %d bytes are left", at, err, c.used)
		}
		c.failAt = 0
		if m, err := LoadFile(t.Context(), g.file, Options{GPUs: []tensor.Device{c}}); err != nil {
			t.Errorf("the next load: %v", err)
		} else {
			m.Close()
		}
	}
}

// TestSessionFails: a smaller context is the advice for want of memory alone.
func TestSessionFails(t *testing.T) {
	g := readGolden(t, "llama")
	c := newCard(t, "cuda:0", 1<<30)
	m := g.load(t, Options{GPUs: []tensor.Device{c}})
	c.broken.Store(true)
	if _, err := m.NewSession(); !errors.Is(err, errBroken) || strings.Contains(err.Error(), "smaller context") {
		t.Errorf("a card that has failed: %v", err)
	}
	c.broken.Store(false)
	c.size = c.used
	if _, err := m.NewSession(); !errors.Is(err, tensor.ErrNoMemory) || !strings.HasSuffix(err.Error(), "; take a smaller context") {
		t.Errorf("a full card: %v", err)
	}
}

// TestProposal: what a refusal proposes works, and one layer or a 64th of the
// context more does not.
func TestProposal(t *testing.T) {
	g := readGolden(t, "llama")
	all := Options{GPULayers: 2, Context: 256}
	whole := g.load(t, Options{Context: 256}).Info()
	bytes := whole.WeightBytes + whole.CacheBytes + whole.ScratchBytes
	for _, percent := range []int64{40, 70, 95} {
		o := all
		o.GPUs = []tensor.Device{newCard(t, "cuda:0", bytes*percent/100)}
		_, err := LoadFile(t.Context(), g.file, o)
		var e *TooBigError
		if !errors.As(err, &e) {
			t.Fatalf("%d %%: %v, want a refusal", percent, err)
		}
		t.Log(err)
		if e.Device != "cuda:0" || e.Need() <= e.Free {
			t.Errorf("%+v", e)
		}
		if e.Layers > 0 {
			o.GPULayers = e.Layers
			if m, err := LoadFile(t.Context(), g.file, o); err != nil {
				t.Errorf("%d layers were proposed: %v", e.Layers, err)
			} else {
				m.Close()
			}
		}
		if e.Context > 0 {
			o := all
			o.GPUs = []tensor.Device{newCard(t, "cuda:0", bytes*percent/100)}
			o.Context = e.Context
			if m, err := LoadFile(t.Context(), g.file, o); err != nil || !strings.Contains(e.Error(), fmt.Sprintf("--ctx %d", e.Context)) {
				t.Errorf("context %d was proposed: %v", e.Context, err)
			} else {
				m.Close()
			}
		}
	}
	o := all
	o.GPUs = []tensor.Device{newCard(t, "cuda:0", bytes*48/100), newCard(t, "cuda:1", bytes*56/100)}
	_, err := LoadFile(t.Context(), g.file, o)
	var e *TooBigError
	if !errors.As(err, &e) || e.Need() <= e.Free || !strings.Contains(err.Error(), "cuda:0 and cuda:1 have") {
		t.Errorf("two cards that each want working memory: %v", err)
	}
}

// A greedy card takes memory beside tensors.
type greedy struct{ *card }

func (greedy) Overhead(rows, cols int) int64            { return 30 << 20 }
func (greedy) Placed(d tensor.DType, shape []int) int64 { return int64(d.Bytes(tensor.Count(shape))) }
func (greedy) Taken(bytes int64) int64                  { return bytes }

// TestRefusalCounts: a refusal says what the card has free, and what a load
// that succeeds announces.
func TestRefusalCounts(t *testing.T) {
	g := readGolden(t, "llama")
	o := Options{GPULayers: 2, Context: 256, GPUs: []tensor.Device{greedy{newCard(t, "cuda:0", 1<<30)}}}
	need := g.load(t, o).Info().Devices[0].Bytes()
	for _, free := range []int64{0, 1 << 20, 30 << 20, need - 1} {
		o.GPUs[0] = greedy{newCard(t, "cuda:0", free)}
		_, err := LoadFile(t.Context(), g.file, o)
		if e := (*TooBigError)(nil); !errors.As(err, &e) || e.Free != free || e.Need() != need {
			t.Errorf("%d bytes free, %d needed: %v, %+v", free, need, err, e)
		}
		if little := "but cuda:0 has a little less free"; free == need-1 && !strings.Contains(err.Error(), little) {
			t.Errorf("%v: want %q", err, little)
		}
	}
}

// An idle card computes nothing.
type idle struct{ *card }

func (d idle) Compile([]tensor.Op) (tensor.Program, error) { return idleProgram{}, nil }
func (d idle) Do(*tensor.Op) error                         { return nil }

func (d idle) New(dt tensor.DType, shape ...int) (*tensor.Tensor, error) {
	t, err := d.card.New(dt, shape...)
	if err == nil {
		t.Device = d
	}
	return t, err
}

func (d idle) Place(name string, dt tensor.DType, shape []int, data []byte) (*tensor.Tensor, error) {
	t, err := d.card.Place(name, dt, shape, data)
	if err == nil {
		t.Device = d
	}
	return t, err
}

type idleProgram struct{}

func (idleProgram) Run() error { return nil }
func (idleProgram) Free()      {}

// BenchmarkHost is what the host does for one token of a card, text included.
func BenchmarkHost(b *testing.B) {
	g := readGolden(b, "llama")
	s := newSession(b, g.load(b, Options{GPUs: []tensor.Device{idle{newCard(b, "cuda:0", 1<<30)}}}))
	const tokens = 200
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		for range s.Generate(b.Context(), g.ids[:1], GenerateOptions{MaxTokens: tokens, IgnoreEOG: true}) {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tokens, "ns/token")
}
