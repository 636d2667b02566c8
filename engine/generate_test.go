package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// collect runs a generation to its end.
func collect(ctx context.Context, s *Session, prompt []int32, o GenerateOptions) (ids []int32, text string, err error) {
	for t, e := range s.Generate(ctx, prompt, o) {
		if e != nil {
			return ids, text, e
		}
		text += t.Text
		if t.ID >= 0 {
			ids = append(ids, t.ID)
		}
	}
	return ids, text, nil
}

// byHand is greedy generation by Eval alone.
func byHand(t *testing.T, s *Session, prompt []int32, n int) (ids []int32) {
	t.Helper()
	for range n {
		logits, err := s.Eval(t.Context(), prompt)
		if err != nil {
			t.Fatal(err)
		}
		best := 0
		for i, v := range logits {
			if v > logits[best] {
				best = i
			}
		}
		prompt = []int32{int32(best)}
		ids = append(ids, prompt[0])
	}
	return ids
}

func TestGenerateGreedy(t *testing.T) {
	for _, name := range goldenNames(t) {
		g := readGolden(t, name)
		m := g.load(t, Options{Batch: 16, ExactCache: true})
		want := byHand(t, newSession(t, m), g.ids, 20)
		var stats Stats
		s := newSession(t, m)
		got, text, err := collect(t.Context(), s, g.ids, GenerateOptions{MaxTokens: 20, IgnoreEOG: true, Stats: &stats})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, want)
		}
		if w := m.Tokenizer().Decode(append(slices.Clone(g.ids), want...)); !strings.HasSuffix(w, text) || text == "" {
			t.Errorf("%s: text %q, want the end of %q", name, text, w)
		}
		if stats.PromptTokens != len(g.ids) || stats.NewTokens != 20 || stats.StopReason != "length" ||
			stats.FirstToken < stats.PromptTime || stats.TokensPerSecond() <= 0 || stats.PromptTokensPerSecond() <= 0 {
			t.Errorf("%s: stats %+v", name, stats)
		}
		if s.Position() != len(g.ids)+20 {
			t.Errorf("%s: position %d, want %d", name, s.Position(), len(g.ids)+20)
		}
	}
}

// TestGenerateContinues: a generation that goes on where the last one ended,
// or where its caller broke off, is as one without a pause.
func TestGenerateContinues(t *testing.T) {
	g := readGolden(t, "gemma3")
	m := g.load(t, Options{Batch: 4})
	o := GenerateOptions{MaxTokens: 30, IgnoreEOG: true}
	want, _, err := collect(t.Context(), newSession(t, m), g.ids, o)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, m)
	o.MaxTokens = 10
	got, _, err := collect(t.Context(), s, g.ids, o)
	if err != nil {
		t.Fatal(err)
	}
	for tok, err := range s.Generate(t.Context(), nil, o) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, tok.ID); len(got) == 15 {
			break
		}
	}
	o.MaxTokens = 15
	rest, _, err := collect(t.Context(), s, nil, o)
	if err != nil || !slices.Equal(append(got, rest...), want) {
		t.Errorf("%v and %v (%v), want %v", got, rest, err, want)
	}
	if !slices.Equal(s.Tokens(), append(slices.Clone(g.ids), want...)) {
		t.Error("the session's text is not prompt and tokens")
	}
	s.Truncate(len(g.ids) + 7)
	o.MaxTokens = 23
	rest, _, err = collect(t.Context(), s, nil, o)
	if err != nil || !slices.Equal(rest, want[7:]) {
		t.Errorf("after Truncate: %v (%v), want %v", rest, err, want[7:])
	}
}

func TestGenerateLogprobs(t *testing.T) {
	g := readGolden(t, "llama")
	m := g.load(t, Options{ExactCache: true})
	logits := g.logits[len(g.logits)-m.Info().Vocab:]
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l))
	}
	// A sampler that changes the logits: probabilities are the model's all the same.
	o := GenerateOptions{MaxTokens: 1, Logprobs: 5, IgnoreEOG: true, Sampler: Sampler{Bias: map[int32]float32{9: 100}}}
	for tok, err := range newSession(t, m).Generate(t.Context(), g.ids, o) {
		if err != nil {
			t.Fatal(err)
		}
		if tok.ID != 9 || len(tok.Top) != 5 {
			t.Fatalf("token %d with %d alternatives, want 9 with 5", tok.ID, len(tok.Top))
		}
		for i, p := range append(tok.Top, TokenProb{tok.ID, "", tok.Logprob}) {
			if want := float64(logits[p.ID]) - math.Log(sum); math.Abs(float64(p.Logprob)-want) > 1e-4 {
				t.Errorf("log probability of %d is %g, want %g", p.ID, p.Logprob, want)
			}
			if i > 0 && i < 5 && p.Logprob > tok.Top[i-1].Logprob {
				t.Error("alternatives are not sorted")
			}
		}
		if top := tok.Top[0]; logits[top.ID] != slices.Max(logits) || top.Text != string(m.Tokenizer().Piece(top.ID)) {
			t.Errorf("the likeliest is %+v", top)
		}
	}
}

// TestGenerateStop: stop texts that lie within and across tokens.
func TestGenerateStop(t *testing.T) {
	g := readGolden(t, "qwen3")
	m := g.load(t, Options{})
	o := GenerateOptions{MaxTokens: 30, IgnoreEOG: true, Sampler: Sampler{Temperature: 3, Seed: 5}}
	ids, text, err := collect(t.Context(), newSession(t, m), g.ids, o)
	if err != nil || len(text) < 20 {
		t.Fatalf("%q, %v", text, err)
	}
	for from := 0; from+6 < len(text); from += 3 {
		for _, n := range []int{1, 2, 6} {
			var stats Stats
			o.Stop, o.Stats = []string{"never seen", text[from : from+n]}, &stats
			s := newSession(t, m)
			got, cut, err := collect(t.Context(), s, g.ids, o)
			want, _, _ := strings.Cut(text, o.Stop[1])
			if err != nil || cut != want || stats.StopReason != "stop" {
				t.Errorf("stop %q: %q (%v, %s), want %q", o.Stop[1], cut, err, stats.StopReason, want)
			}
			if !slices.Equal(got, ids[:len(got)]) || s.Position() != len(g.ids)+len(got) {
				t.Errorf("stop %q: tokens %v at position %d", o.Stop[1], got, s.Position())
			}
			s.Close()
		}
	}
}

func TestGenerateEOG(t *testing.T) {
	g := readGolden(t, "phi3-short")
	m := g.load(t, Options{})
	s := newSession(t, m)
	var stats Stats
	o := GenerateOptions{MaxTokens: 5, Sampler: Sampler{Bias: map[int32]float32{2: 1000}}, Stats: &stats}
	ids, text, err := collect(t.Context(), s, g.ids, o)
	if err != nil || len(ids) != 0 || text != "" || stats.StopReason != "eog" || s.Position() != len(g.ids) {
		t.Errorf("tokens %v, %q, %v, %+v at %d", ids, text, err, stats, s.Position())
	}
	o.IgnoreEOG = true
	if ids, _, err = collect(t.Context(), s, nil, o); err != nil || !slices.Equal(ids, []int32{2, 2, 2, 2, 2}) || stats.StopReason != "length" {
		t.Errorf("with IgnoreEOG: tokens %v, %v, %+v", ids, err, stats)
	}
}

func TestGenerateSeed(t *testing.T) {
	g := readGolden(t, "gemma2")
	m := g.load(t, Options{})
	run := func(seed uint64) []int32 {
		ids, text, err := collect(t.Context(), newSession(t, m), g.ids, GenerateOptions{MaxTokens: 40, IgnoreEOG: true,
			Sampler: Sampler{Temperature: 1, TopK: 40, Seed: seed}})
		if err != nil || !utf8.ValidString(text) {
			t.Fatal(err, text)
		}
		return ids
	}
	if !slices.Equal(run(1), run(1)) {
		t.Error("the same seed gave other tokens")
	}
	if slices.Equal(run(1), run(2)) {
		t.Error("two seeds gave the same tokens")
	}
}

func TestGenerateCancel(t *testing.T) {
	g := readGolden(t, "llama")
	m := g.load(t, Options{})
	s := newSession(t, m)
	why := errors.New("the user wants it so")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var stats Stats
	n := 0
	for tok, err := range s.Generate(ctx, g.ids, GenerateOptions{IgnoreEOG: true, Stats: &stats}) {
		if err != nil {
			if !errors.Is(err, why) {
				t.Errorf("error %v, want %v", err, why)
			}
			break
		}
		if tok.ID >= 0 {
			n++
		}
		if n == 5 {
			cancel(why)
		}
	}
	if n != 5 || stats.StopReason != "cancelled" || stats.NewTokens != 5 {
		t.Errorf("%d tokens, %+v; want 5 and cancelled", n, stats)
	}
	if _, err := s.Eval(ctx, g.ids); !errors.Is(err, why) || s.Position() != len(g.ids)+5 {
		t.Errorf("eval: %v at %d", err, s.Position())
	}
	// The session lives on.
	s.Reset()
	logits, err := s.Eval(t.Context(), g.ids)
	if err != nil || g.off(len(g.ids)-1, logits) > 0.03 {
		t.Errorf("after a cancelled call: %v, %.2g off", err, g.off(len(g.ids)-1, logits))
	}
}

// TestCancelInsideBatch: a prompt is left between two layers, and the text is
// as before.
func TestCancelInsideBatch(t *testing.T) {
	g := readGolden(t, "gemma3")
	m := g.load(t, Options{ExactCache: true})
	s := newSession(t, m)
	if _, err := s.Eval(t.Context(), g.ids[:10]); err != nil {
		t.Fatal(err)
	}
	ctx := &dyingContext{Context: t.Context(), lives: 4}
	if _, err := s.Eval(ctx, g.ids[10:]); !errors.Is(err, context.Canceled) || ctx.lives > 0 {
		t.Fatalf("%v with %d layers left, want cancelled", err, ctx.lives)
	}
	if s.Position() != 10 {
		t.Errorf("position %d, want 10", s.Position())
	}
	logits, err := s.Eval(t.Context(), g.ids[10:])
	if err != nil || g.off(len(g.ids)-1, logits) > 1e-4 {
		t.Errorf("again: %v, %.2g off", err, g.off(len(g.ids)-1, logits))
	}
}

// dyingContext is cancelled after it was asked a few times.
type dyingContext struct {
	context.Context
	lives int
}

func (c *dyingContext) Err() error {
	if c.lives--; c.lives > 0 {
		return nil
	}
	return context.Canceled
}

func TestContextFull(t *testing.T) {
	g := readGolden(t, "llama-window")
	m := g.load(t, Options{Context: 48, Batch: 8})
	s := newSession(t, m)
	full := func(what string, err error, position, added int) {
		t.Helper()
		var e *ContextError
		if !errors.Is(err, ErrContextFull) || !errors.As(err, &e) || e.Position != position || e.New != added || e.Context != 48 {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := s.Eval(t.Context(), make([]int32, 49))
	full("49 tokens", err, 0, 49)
	if s.Position() != 0 {
		t.Errorf("position %d after a refusal", s.Position())
	}
	var stats Stats
	ids, _, err := collect(t.Context(), s, g.ids, GenerateOptions{IgnoreEOG: true, Stats: &stats})
	if err != nil || len(ids) != 8 || stats.StopReason != "length" {
		t.Errorf("%d tokens (%v, %s), want the 8 that fit", len(ids), err, stats.StopReason)
	}
	s.Truncate(40)
	ids, _, err = collect(t.Context(), s, nil, GenerateOptions{MaxTokens: 20, IgnoreEOG: true, Stats: &stats})
	full("20 more tokens", err, 48, 1)
	if len(ids) != 8 || stats.StopReason != "error" {
		t.Errorf("%d tokens (%s) before the error, want 8", len(ids), stats.StopReason)
	}
	_, err = s.Eval(t.Context(), []int32{5})
	full("one more", err, 48, 1)
	if _, err := s.Eval(t.Context(), nil); err != nil {
		t.Errorf("logits of a full text: %v", err)
	}
}

func TestGenerateRefusals(t *testing.T) {
	g := readGolden(t, "llama")
	m := g.load(t, Options{})
	s := newSession(t, m)
	for want, o := range map[string]GenerateOptions{
		"stop text is empty": {Stop: []string{"a", ""}},
		"-1 alternatives":    {Logprobs: -1},
		"65 alternatives":    {Logprobs: 65},
		"temperature -1":     {Sampler: Sampler{Temperature: -1}},
	} {
		var stats Stats
		o.Stats = &stats
		if _, _, err := collect(t.Context(), s, g.ids, o); err == nil || !strings.Contains(err.Error(), want) || stats.StopReason != "error" {
			t.Errorf("%v (%s), want %q", err, stats.StopReason, want)
		}
	}
	for _, ids := range [][]int32{{64}, {-1}, {3, math.MaxInt32}} {
		if _, _, err := collect(t.Context(), s, ids, GenerateOptions{}); err == nil || !strings.Contains(err.Error(), "vocabulary") {
			t.Errorf("prompt %v: %v", ids, err)
		}
	}
	if _, _, err := collect(t.Context(), s, nil, GenerateOptions{}); err == nil || !strings.Contains(err.Error(), "no tokens") {
		t.Errorf("no prompt: %v", err)
	}
	if s.Position() != 0 {
		t.Errorf("position %d after refusals", s.Position())
	}
	s.Close()
	if _, _, err := collect(t.Context(), s, g.ids, GenerateOptions{}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed session: %v", err)
	}
}

// TestDecodeAllocations: a decoded token costs no memory but what the device
// takes to run the program.
func TestDecodeAllocations(t *testing.T) {
	g := readGolden(t, "gemma3")
	s := newSession(t, g.load(t, Options{Batch: 8}))
	if _, err := s.Eval(t.Context(), g.ids); err != nil {
		t.Fatal(err)
	}
	ids := []int32{7}
	eval := func() {
		if _, err := s.Eval(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
	}
	eval()
	device := testing.AllocsPerRun(50, func() {
		if err := s.last().steps[allLogits].Run(); err != nil {
			t.Fatal(err)
		}
	})
	if n := testing.AllocsPerRun(50, eval) - device; n > 4 {
		t.Errorf("%g allocations a token, want at most 4", n)
	}
}

// TestGreedyAllocations: a greedy step costs the host no allocation.
func TestGreedyAllocations(t *testing.T) {
	g := readGolden(t, "llama")
	s := newSession(t, g.load(t, Options{Batch: 8}))
	if err := s.step(t.Context(), g.ids[:3], likeliest); err != nil {
		t.Fatal(err)
	}
	s.tokens = slices.Grow(s.tokens, 200)
	ids := []int32{0}
	step := func() {
		ids[0] = s.chosen
		if err := s.step(t.Context(), ids, likeliest); err != nil {
			t.Fatal(err)
		}
	}
	step()
	device := testing.AllocsPerRun(50, func() {
		if err := s.last().steps[likeliest].Run(); err != nil {
			t.Fatal(err)
		}
	})
	s.Truncate(4)
	s.fed = -1
	if n := testing.AllocsPerRun(50, step) - device; n > 0 {
		t.Errorf("%g allocations a token, want none", n)
	}
}
