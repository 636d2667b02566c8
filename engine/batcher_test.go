package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/tensor"
)

func newBatcher(t testing.TB, m *Model, o BatcherOptions) *Batcher {
	t.Helper()
	b, err := m.NewBatcher(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func demoModel(t testing.TB, o Options) *Model {
	t.Helper()
	f, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := LoadFile(t.Context(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(); f.Close() })
	return m
}

// An answer is what a generation gave, to the last bit.
type answer struct {
	ids      []int32
	text     string
	logprobs []float32
	stats    Stats
	err      error
}

func ask(ctx context.Context, b *Batcher, prompt []int32, o GenerateOptions) (a answer) {
	o.Stats = &a.stats
	for t, err := range b.Generate(ctx, prompt, o) {
		if a.err = err; err != nil {
			return a
		}
		a.text += t.Text
		if t.ID >= 0 {
			a.ids, a.logprobs = append(a.ids, t.ID), append(a.logprobs, t.Logprob)
		}
	}
	return a
}

func (a answer) same(b answer) bool {
	return slices.Equal(a.ids, b.ids) && a.text == b.text && slices.Equal(a.logprobs, b.logprobs)
}

// TestBatcherGolden: texts that go together, more than there are slots, are
// continued as a session continues each.
func TestBatcherGolden(t *testing.T) {
	for _, name := range goldenNames(t) {
		g := readGolden(t, name)
		m := g.load(t, Options{Batch: 4, ExactCache: true})
		b, lone := newBatcher(t, m, BatcherOptions{Texts: 3}), newBatcher(t, m, BatcherOptions{Texts: 3, Lone: true})
		var wg sync.WaitGroup
		for i := range 6 {
			prompt := g.ids[i%2 : len(g.ids)-3*i]
			want := byHand(t, newSession(t, m), prompt, 8)
			if len(prompt) > 9 {
				if a := ask(t.Context(), lone, prompt, GenerateOptions{MaxTokens: 8, IgnoreEOG: true}); a.err != nil || !slices.Equal(a.ids, want) {
					t.Errorf("%s, %d tokens alone: %v (%v), want %v", name, len(prompt), a.ids, a.err, want)
				}
			}
			wg.Go(func() {
				if a := ask(t.Context(), lone, prompt, GenerateOptions{MaxTokens: 8, IgnoreEOG: true}); a.err != nil || !slices.Equal(a.ids, want) {
					t.Errorf("%s, %d tokens, alone at times: %v (%v), want %v", name, len(prompt), a.ids, a.err, want)
				}
			})
			wg.Go(func() {
				a := ask(t.Context(), b, prompt, GenerateOptions{MaxTokens: 8, IgnoreEOG: true})
				if a.err != nil || !slices.Equal(a.ids, want) {
					t.Errorf("%s, %d tokens: %v (%v), want %v", name, len(prompt), a.ids, a.err, want)
				}
				if a.stats.NewTokens != 8 || a.stats.StopReason != "length" || a.stats.FirstToken <= 0 || a.stats.PromptTime <= 0 || a.stats.DecodeTime <= 0 {
					t.Errorf("%s: stats %+v", name, a.stats)
				}
			})
		}
		wg.Wait()
	}
}

// conversations are prompts of different lengths, some of which begin alike,
// and different ways to go on from them.
func conversations(m *Model, n int) (prompts [][]int32, options []GenerateOptions) {
	topics := []string{"What is AI?", "Once upon a time there was a", "The sun", "Tell me a story about a cat and a dog who live in a house near the sea.",
		"One day, a little boy named Noah asked his mother why the moon follows them", "Numbers: 1, 2, 3, 4, 5, 6, 7, 8, 9,"}
	r := rand.New(rand.NewPCG(1, 9))
	for i := range n {
		text := topics[i%len(topics)]
		if i >= len(topics) {
			text = strings.Repeat(text+" And then? ", 1+r.IntN(4)) + topics[r.IntN(len(topics))]
		}
		prompts = append(prompts, m.Tokenizer().Encode(text, tokenizer.Options{}))
		o := GenerateOptions{MaxTokens: 8 + r.IntN(30), Logprobs: 2 * (i % 2), IgnoreEOG: i%3 == 0}
		if i%4 == 3 {
			o.Sampler = DefaultSampler()
			o.Sampler.Seed = uint64(i)
		}
		if i%5 == 4 {
			o.Stop = []string{"the"}
		}
		options = append(options, o)
	}
	return prompts, options
}

// company holds what texts become among others that come and go to what they
// become alone.
func company(t *testing.T, m *Model, o BatcherOptions, n int) {
	prompts, options := conversations(m, n)
	alone := make([]answer, n)
	for i := range alone {
		if i >= n-3 { // goes on from what another is becoming
			prompts[i] = slices.Concat(prompts[i-3], alone[i-3].ids[:(len(alone[i-3].ids)+1)/2], prompts[0][1:])
		}
		b := newBatcher(t, m, o) // nothing in its caches
		if alone[i] = ask(t.Context(), b, prompts[i], options[i]); alone[i].err != nil {
			t.Fatalf("alone %d: %v", i, alone[i].err)
		}
		b.Close()
	}
	b := newBatcher(t, m, o)
	r := rand.New(rand.NewPCG(2, uint64(n)))
	var wg sync.WaitGroup
	for i := range n {
		wait := time.Duration(r.IntN(40)) * time.Millisecond
		cancel := time.Duration(1+r.IntN(60)) * time.Millisecond
		wg.Go(func() {
			time.Sleep(wait)
			if got := ask(t.Context(), b, prompts[i], options[i]); got.err != nil || !got.same(alone[i]) {
				t.Errorf("text %d: %q (%v), alone %q; logprobs %v, alone %v", i, got.text, got.err, alone[i].text, got.logprobs, alone[i].logprobs)
			}
		})
		wg.Go(func() { // another that does not stay
			ctx, stop := context.WithTimeout(t.Context(), cancel)
			defer stop()
			got := ask(ctx, b, prompts[(i+1)%n], options[(i+1)%n])
			if got.err != nil && (!errors.Is(got.err, context.DeadlineExceeded) || got.stats.StopReason != "cancelled") {
				t.Errorf("cancelled text %d: %v, %+v", i, got.err, got.stats)
			}
			if want := alone[(i+1)%n]; len(got.ids) > len(want.ids) || !slices.Equal(got.ids, want.ids[:len(got.ids)]) {
				t.Errorf("cancelled text %d: %v, alone %v", i, got.ids, want.ids)
			}
		})
	}
	wg.Wait()
}

// TestBatcherCompany: what a text becomes does not depend on what runs beside
// it, in which slot, and how its prompt is cut.
func TestBatcherCompany(t *testing.T) {
	for _, o := range []BatcherOptions{{Texts: 4, Batch: 7}, {Texts: 16, Context: 200}} {
		t.Run(fmt.Sprint(o.Texts), func(t *testing.T) { company(t, demoModel(t, Options{}), o, 16) })
	}
}

// TestBatcherPrompt: a prompt is read the same in pieces of any size, and from
// the slot of another text that begins alike, at its side and after it.
func TestBatcherPrompt(t *testing.T) {
	m := demoModel(t, Options{})
	prompt := m.Tokenizer().Encode(strings.Repeat("One day a girl went to the sea with her dog. ", 6), tokenizer.Options{})
	o := GenerateOptions{MaxTokens: 12, Logprobs: 1, IgnoreEOG: true}
	want := ask(t.Context(), newBatcher(t, m, BatcherOptions{Texts: 2}), prompt, o)
	for _, size := range []int{1, 5, 16, 33} {
		b := newBatcher(t, m, BatcherOptions{Texts: 3, Batch: size})
		other := append(slices.Clone(prompt[:len(prompt)-6]), 5, 6, 7)
		for range 2 {
			if got := ask(t.Context(), b, other, GenerateOptions{MaxTokens: 3}); got.err != nil {
				t.Fatal(got.err)
			}
		}
		for _, err := range b.Generate(t.Context(), other, GenerateOptions{IgnoreEOG: true}) { // it is at work
			if err != nil {
				t.Fatal(err)
			}
			got := ask(t.Context(), b, prompt, o)
			if got.err != nil || !got.same(want) {
				t.Errorf("pieces of %d: %q %v (%v), want %q %v", size, got.text, got.logprobs, got.err, want.text, want.logprobs)
			}
			if got.stats.PromptTokens != 6 {
				t.Errorf("pieces of %d: %d prompt tokens were read, want the 6 that are new", size, got.stats.PromptTokens)
			}
			break
		}
	}
}

// TestBatcherTurns: the second turn of a conversation is what it is without a
// cache, to the last bit, and reads the first answer again; with
// ReuseGenerated it reads the new tokens alone.
func TestBatcherTurns(t *testing.T) {
	m := demoModel(t, Options{})
	prompt := m.Tokenizer().Encode("Once upon a time there was a dog", tokenizer.Options{})
	o := GenerateOptions{MaxTokens: 20, Logprobs: 1, IgnoreEOG: true}
	for _, reuse := range []bool{false, true} {
		b := newBatcher(t, m, BatcherOptions{Texts: 2, ReuseGenerated: reuse})
		first := ask(t.Context(), b, prompt, o)
		second := slices.Concat(prompt, first.ids, prompt[1:])
		got := ask(t.Context(), b, second, o)
		want := ask(t.Context(), newBatcher(t, m, BatcherOptions{}), second, o)
		if got.err != nil || !slices.Equal(got.ids, want.ids) || !reuse && !got.same(want) {
			t.Errorf("reuse %v: %v %v (%v), without a cache %v %v", reuse, got.ids, got.logprobs, got.err, want.ids, want.logprobs)
		}
		fresh := len(prompt) - 1 + len(first.ids)
		if reuse { // all but the last answer's last token, which no step has read
			fresh = len(prompt)
		}
		if got.stats.PromptTokens != fresh {
			t.Errorf("reuse %v: %d prompt tokens were read, want %d", reuse, got.stats.PromptTokens, fresh)
		}
	}
}

// TestBatcherRings: where layers have windows, a slot goes on from its own
// beginning, or another's, as far as the rings remember it.
func TestBatcherRings(t *testing.T) {
	for _, name := range []string{"gemma3", "gemma2", "llama-window", "phi3-window"} {
		g := readGolden(t, name)
		m := g.load(t, Options{Batch: 4, ExactCache: true})
		b := newBatcher(t, m, BatcherOptions{Texts: 2, ReuseGenerated: true})
		o := GenerateOptions{MaxTokens: 6, IgnoreEOG: true}
		n := len(g.ids)
		for _, prompt := range [][]int32{g.ids[:n-8], g.ids[:n-10], g.ids[:n/2], g.ids, g.ids[:3], g.ids[:n-1], g.ids[1:], g.ids[:n-3]} {
			want := byHand(t, newSession(t, m), prompt, o.MaxTokens)
			if got := ask(t.Context(), b, prompt, o); got.err != nil || !slices.Equal(got.ids, want) {
				t.Errorf("%s: after %d tokens %v (%v), want %v", name, len(prompt), got.ids, got.err, want)
			}
		}
		for _, err := range b.Generate(t.Context(), g.ids[:n-9], GenerateOptions{IgnoreEOG: true}) { // has one slot
			if err != nil {
				t.Fatal(err)
			}
			prompt := append(slices.Clone(g.ids[:n-9]), 3, 1, 2)
			want := byHand(t, newSession(t, m), prompt, o.MaxTokens)
			if got := ask(t.Context(), b, prompt, o); got.err != nil || !slices.Equal(got.ids, want) {
				t.Errorf("%s: beside a text that begins alike %v (%v), want %v", name, got.ids, got.err, want)
			}
			break
		}
	}
}

// TestBatcherErrors: what is wrong with one text ends that one.
func TestBatcherErrors(t *testing.T) {
	m := demoModel(t, Options{})
	b := newBatcher(t, m, BatcherOptions{Texts: 2, Context: 40})
	good := m.Tokenizer().Encode("What is AI?", tokenizer.Options{})
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name, want string
		is         error
		ctx        context.Context
		prompt     []int32
		o          GenerateOptions
	}{
		{"no tokens", "no tokens", nil, t.Context(), nil, GenerateOptions{}},
		{"a long prompt", "context full", ErrContextFull, t.Context(), make([]int32, 41), GenerateOptions{}},
		{"a bad token", "token -1", nil, t.Context(), []int32{1, -1}, GenerateOptions{}},
		{"an empty stop", "a stop text is empty", nil, t.Context(), good, GenerateOptions{Stop: []string{""}}},
		{"a bad sampler", "top-p", nil, t.Context(), good, GenerateOptions{Sampler: Sampler{TopP: 2}}},
		{"no more context", "context full", ErrContextFull, t.Context(), good, GenerateOptions{MaxTokens: 100, IgnoreEOG: true}},
		{"a dead end", "no token of the vocabulary", nil, t.Context(), good, GenerateOptions{Constraint: nothing{}}},
		{"cancelled", "canceled", context.Canceled, cancelled, good, GenerateOptions{}},
	} {
		var wg sync.WaitGroup
		wg.Go(func() {
			if a := ask(t.Context(), b, good, GenerateOptions{MaxTokens: 20}); a.err != nil || len(a.ids) != 20 {
				t.Errorf("beside %s: %d tokens, %v", c.name, len(a.ids), a.err)
			}
		})
		a := ask(c.ctx, b, c.prompt, c.o)
		if a.err == nil || !strings.Contains(a.err.Error(), c.want) || c.is != nil && !errors.Is(a.err, c.is) {
			t.Errorf("%s: %v, want %q", c.name, a.err, c.want)
		}
		if a.stats.StopReason != "error" && a.stats.StopReason != "cancelled" {
			t.Errorf("%s: stop reason %q", c.name, a.stats.StopReason)
		}
		wg.Wait()
	}
	for _, o := range []BatcherOptions{{Texts: -1}, {Texts: MaxTexts + 1}, {Context: -1}, {Context: 513}, {Batch: -1}} {
		if _, err := m.NewBatcher(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// nothing is a constraint that allows no token.
type nothing struct{}

func (nothing) Allows(int32) bool  { return false }
func (nothing) Accept(int32) error { return errors.New("not allowed") }
func (nothing) Done() bool         { return false }
func (nothing) Mask(logits []float32) {
	for i := range logits {
		logits[i] = float32(math.Inf(-1))
	}
}

// TestBatcherSlowReader: a reader that takes its time holds up nobody, and
// loses nothing.
func TestBatcherSlowReader(t *testing.T) {
	m := demoModel(t, Options{})
	b := newBatcher(t, m, BatcherOptions{Texts: 2})
	prompt := m.Tokenizer().Encode("Once upon a time", tokenizer.Options{})
	o := GenerateOptions{MaxTokens: 4 * textQueue, IgnoreEOG: true}
	want := ask(t.Context(), b, prompt, o)
	var got answer
	n := 0
	for tok, err := range b.Generate(t.Context(), prompt, o) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 || n == 100 {
			for range 3 { // others come and go meanwhile
				if a := ask(t.Context(), b, prompt, o); !a.same(want) {
					t.Errorf("beside a slow reader: %v", a.err)
				}
			}
		}
		got.text += tok.Text
	}
	if got.text != want.text {
		t.Errorf("read slowly: %q, want %q", got.text, want.text)
	}
}

// TestBatcherQueue: who finds no slot waits for one, or until its context ends.
func TestBatcherQueue(t *testing.T) {
	m := demoModel(t, Options{})
	b := newBatcher(t, m, BatcherOptions{Texts: 1})
	prompt := m.Tokenizer().Encode("The sun", tokenizer.Options{})
	for _, err := range b.Generate(t.Context(), prompt, GenerateOptions{IgnoreEOG: true}) {
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if a := ask(ctx, b, prompt, GenerateOptions{MaxTokens: 2}); !errors.Is(a.err, context.DeadlineExceeded) || len(a.ids) != 0 {
			t.Errorf("while the slot is taken: %v, %v", a.ids, a.err)
		}
		stop()
		break
	}
	if a := ask(t.Context(), b, prompt, GenerateOptions{MaxTokens: 2}); a.err != nil || len(a.ids) != 2 {
		t.Errorf("after the slot is free: %v, %v", a.ids, a.err)
	}
}

// TestBatcherClose: Close ends what runs and what waits, and gives everything
// back.
func TestBatcherClose(t *testing.T) {
	c := newCard(t, "cuda:0", 1<<30)
	g := readGolden(t, "llama")
	m, err := LoadFile(t.Context(), g.file, Options{GPUs: []tensor.Device{c}, Context: g.context, Texts: 2})
	if err != nil {
		t.Fatal(err)
	}
	loaded := c.used
	b, err := m.NewBatcher(BatcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info, goroutines := m.Info().Devices, runtime.NumGoroutine()
	if want := info[len(info)-1].Bytes(); c.used != want {
		t.Errorf("with a batcher the card holds %d bytes, Info says %d", c.used, want)
	}
	var wg sync.WaitGroup
	started := make(chan struct{}, 5)
	for range 5 {
		wg.Go(func() {
			started <- struct{}{}
			for {
				a := ask(t.Context(), b, g.ids[:4], GenerateOptions{IgnoreEOG: true, MaxTokens: 5})
				if a.err != nil {
					if !errors.Is(a.err, errBatcherClosed) {
						t.Error(a.err)
					}
					return
				}
			}
		})
	}
	for range 5 {
		<-started
	}
	time.Sleep(5 * time.Millisecond)
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for range 100 { // they have ended, but may not be gone
		if runtime.NumGoroutine() < goroutines {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n >= goroutines {
		t.Errorf("%d goroutines after Close, %d with the batcher", n, goroutines)
	}
	if c.used != loaded {
		t.Errorf("after Close the card holds %d bytes, before NewBatcher %d", c.used, loaded)
	}
	if a := ask(t.Context(), b, g.ids[:4], GenerateOptions{}); !errors.Is(a.err, errBatcherClosed) {
		t.Errorf("after Close: %v", a.err)
	}
	if err := m.Close(); err != nil || c.used != 0 {
		t.Errorf("after the model's Close: %v, %d bytes", err, c.used)
	}
	if _, err := m.NewBatcher(BatcherOptions{}); err == nil {
		t.Error("a batcher of a closed model")
	}
}

// TestBatcherDevices: a model in parts on several devices gives what it gives
// on one, and a device that fails ends the texts with its error, after which
// the next one works.
func TestBatcherDevices(t *testing.T) {
	g := readGolden(t, "gemma3")
	want := byHand(t, newSession(t, g.load(t, Options{ExactCache: true})), g.ids, 6)
	c := newCard(t, "cuda:0", 1<<30)
	m := g.load(t, Options{ExactCache: true, GPUs: []tensor.Device{c}, GPULayers: 1, Batch: 5})
	b := newBatcher(t, m, BatcherOptions{Texts: 3})
	for round := range 3 {
		c.broken.Store(round == 1)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				a := ask(t.Context(), b, g.ids, GenerateOptions{MaxTokens: 6, IgnoreEOG: true})
				switch {
				case round == 1 && (a.err == nil || !strings.Contains(a.err.Error(), "the card is on fire")):
					t.Errorf("on a card that fails: %v, %v", a.ids, a.err)
				case round != 1 && (a.err != nil || !slices.Equal(a.ids, want)):
					t.Errorf("round %d: %v (%v), want %v", round, a.ids, a.err, want)
				}
			})
		}
		wg.Wait()
	}
}

// TestBatcherTooBig: what does not fit is refused before anything is taken,
// with what would.
func TestBatcherTooBig(t *testing.T) {
	c := newCard(t, "cuda:0", 1<<30)
	g := readGolden(t, "llama")
	m := g.load(t, Options{GPUs: []tensor.Device{c}, Batch: 8})
	b := newBatcher(t, m, BatcherOptions{Texts: 4})
	loaded, four := c.used, int64(0)
	b.Close()
	four, c.size = loaded-c.used, loaded
	_, err := m.NewBatcher(BatcherOptions{Texts: 40})
	var big *TooBigError
	if !errors.As(err, &big) || big.Need() <= four || big.Texts != 4 || !strings.Contains(err.Error(), "4 texts at once") {
		t.Errorf("40 texts where 4 fit: %v, %+v", err, big)
	}
	if c.used != loaded-four {
		t.Errorf("the refusal has taken %d bytes", c.used-loaded+four)
	}
	if b, err := m.NewBatcher(BatcherOptions{Texts: 4}); err != nil {
		t.Errorf("4 texts: %v", err)
	} else {
		b.Close()
	}
	c2 := newCard(t, "cuda:0", loaded)
	_, err = LoadFile(t.Context(), g.file, Options{GPUs: []tensor.Device{c2}, GPULayers: 100, Batch: 8, Texts: 40, Context: g.context})
	if !errors.As(err, &big) || !strings.Contains(err.Error(), "for 40 texts at once") || big.Texts < 3 || big.Texts > 5 || c2.used != 0 {
		t.Errorf("loaded for 40 texts where 4 fit: %v, %d bytes taken", err, c2.used)
	}
}

// A coarse device gives memory in pieces of 1,000 bytes.
type coarse struct{ tensor.Device }

func (coarse) Overhead(rows, cols int) int64            { return 0 }
func (coarse) Placed(d tensor.DType, shape []int) int64 { return 0 }
func (coarse) Taken(bytes int64) int64                  { return (bytes + 999) / 1000 * 1000 }

// TestCachesInPieces: each of a layer's two caches takes whole pieces of a card's memory, for a session and for a batcher.
func TestCachesInPieces(t *testing.T) {
	g := readGolden(t, "llama")
	m := g.load(t, Options{})
	n, c := m.net, coarse{m.parts[0].dev}
	const context, texts = 60, 3
	layers := int64(len(n.layers))
	each := int64(context * texts * tensor.F16.Bytes(n.kvDim()))
	if each%1000 == 0 {
		t.Fatal("caches are whole pieces")
	}
	use := (&BatcherOptions{Texts: texts, Context: context, Batch: 8}).use(n, &part{dev: c, hi: len(n.layers)}, tensor.F16)
	if want := layers * 2 * c.Taken(each); use.Cache != want {
		t.Errorf("a batcher's caches take %d, want %d", use.Cache, want)
	}
	costs := newCosts(n, nil, []room{{dev: c}}, context, 8, texts, tensor.F16)
	for where, want := range []int64{onHost: layers * 2 * each, onCard: use.Cache} {
		if got := costs.of(where, 0, len(n.layers)).Cache; got != want {
			t.Errorf("caches take %d, want %d", got, want)
		}
	}
}

// TestBatcherReal is TestBatcherCompany on a real model.
func TestBatcherReal(t *testing.T) {
	m, err := Load(t.Context(), realModel(t, "smollm2-135m-q4_1"), Options{Context: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	company(t, m, BatcherOptions{Texts: 6}, 8)
}
