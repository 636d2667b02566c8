package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

// A listed constraint allows some ids, always the same ones.
type listed struct {
	ids  map[int32]bool
	asks int
}

func (l *listed) Allows(id int32) bool {
	l.asks++
	return l.ids[id]
}

func (l *listed) Mask(logits []float32) {
	for i := range logits {
		if !l.ids[int32(i)] {
			logits[i] = float32(math.Inf(-1))
		}
	}
}

func (l *listed) Accept(id int32) error {
	if !l.ids[id] {
		return errors.New("not listed")
	}
	return nil
}

func (l *listed) Done() bool     { return false }
func (l *listed) String() string { return "in a list" }

// TestChooseAllowed: the tokens are those of a sampler that sees all logits,
// masked, whether the likeliest decide or not.
func TestChooseAllowed(t *testing.T) {
	const vocab = 2000
	decided, asked := 0, 0
	for name, p := range samplers {
		for _, share := range []float64{0.9, 0.3, 0.03, 0.003} {
			k := p.reach(vocab)
			few, whole := newChooser(p), newChooser(p)
			r := rand.New(rand.NewPCG(3, uint64(share*1000)))
			var history []int32
			for step := range 30 {
				con := &listed{ids: map[int32]bool{7: true}}
				for id := range int32(vocab) {
					if r.Float64() < share {
						con.ids[id] = true
					}
				}
				logits := randomLogits(uint64(step), vocab, 2)
				for j := range logits {
					logits[j] = float32(math.Round(float64(logits[j])*8) / 8) // many are equal
				}
				var vals []float32
				var ids []int32
				if k > 0 {
					for _, c := range slices.Clone(new(chooser).best(logits, k)) {
						vals, ids = append(vals, c.logit), append(ids, c.id)
					}
				}
				masked := slices.Clone(logits)
				con.Mask(masked)
				want, err1 := whole.choose(masked, history)
				all := false
				got, err2 := few.chooseAllowed(con, vals, ids, history, func() ([]float32, error) {
					all = true
					return logits, nil
				})
				if got != want || err1 != nil || err2 != nil || !con.ids[got] {
					t.Fatalf("%s, %g allowed, step %d: got %d (%v), want %d (%v)", name, share, step, got, err2, want, err1)
				}
				if k > 0 && !all {
					decided++
				} else if k > 0 {
					asked++
				}
				history = append(history, got)
			}
		}
	}
	if decided < 300 || asked < 100 {
		t.Errorf("the likeliest decided %d times, all logits %d times: want both often", decided, asked)
	}
}

// TestConstrainedDistribution: what is drawn has the probabilities of the
// sampler's definition on the masked logits.
func TestConstrainedDistribution(t *testing.T) {
	const vocab, draws = 300, 8000
	for _, p := range []Sampler{DefaultSampler(), {Temperature: 1.3, TopK: 9}, {Temperature: 1, TopP: 0.8}, {Temperature: 0.7}} {
		con := &listed{ids: map[int32]bool{}}
		for id := int32(0); id < vocab; id += 7 {
			con.ids[id] = true
		}
		logits := randomLogits(5, vocab, 2)
		masked := slices.Clone(logits)
		con.Mask(masked)
		want := distribution(p, masked, nil)
		k := p.reach(vocab)
		var best []candidate
		if k > 0 {
			best = slices.Clone(new(chooser).best(logits, k))
		}
		c, got := newChooser(p), map[int32]float64{}
		for range draws {
			var vals []float32
			var ids []int32
			for _, b := range best {
				vals, ids = append(vals, b.logit), append(ids, b.id)
			}
			id, err := c.chooseAllowed(con, vals, ids, nil, func() ([]float32, error) { return slices.Clone(logits), nil })
			if err != nil {
				t.Fatal(err)
			}
			got[id] += 1.0 / draws
		}
		for id, q := range got {
			if w := want[id]; w == 0 || math.Abs(q-w) > 5*math.Sqrt(w/draws) {
				t.Errorf("%+v: token %d has probability %g, want %g", p, id, q, w)
			}
		}
	}
}

func TestDeadEnd(t *testing.T) {
	con := &listed{ids: map[int32]bool{3: true}}
	inf := float32(math.Inf(-1))
	for name, c := range map[string]struct {
		p      Sampler
		con    Constraint
		logits []float32
		want   string
	}{
		"nothing allowed":           {Sampler{}, &listed{}, []float32{1, 2, 3, 4}, "as asked in a list"},
		"the model excludes it":     {Sampler{}, con, []float32{1, 2, 3, inf}, "as asked in a list"},
		"a bias excludes it":        {Sampler{Temperature: 1, Bias: map[int32]float32{3: inf}}, con, []float32{1, 2, 3, 4}, "as asked in a list"},
		"the model is broken":       {Sampler{}, con, []float32{inf, inf, inf, inf}, "no finite logits"},
		"the model is quite broken": {Sampler{}, con, []float32{1, 2, 3, -inf}, "no finite logits"},
	} {
		_, err := newChooser(c.p).chooseAllowed(c.con, nil, nil, nil, func() ([]float32, error) { return c.logits, nil })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	want := errors.New("device lost")
	if _, err := newChooser(Sampler{}).chooseAllowed(con, nil, nil, nil, func() ([]float32, error) { return nil, want }); err != want {
		t.Errorf("%v, want %v", err, want)
	}
}

// A script allows one token after the other, and is done at the end.
type script struct {
	ids  []int32
	end  bool // the end is a token that ends a generation
	step int
}

func (s *script) Allows(id int32) bool {
	return s.step < len(s.ids) && id == s.ids[s.step] || s.step == len(s.ids) && id == 2
}
func (s *script) Done() bool { return !s.end && s.step == len(s.ids) }

func (s *script) Mask(logits []float32) {
	for i := range logits {
		if !s.Allows(int32(i)) {
			logits[i] = float32(math.Inf(-1))
		}
	}
}

func (s *script) Accept(id int32) error {
	if !s.Allows(id) {
		return fmt.Errorf("token %d is not in the script", id)
	}
	s.step++
	return nil
}

// TestGenerateConstrained: a model says what the constraint wants, in every
// way of choosing, and stops where it ends.
func TestGenerateConstrained(t *testing.T) {
	g := readGolden(t, "phi3-short")
	m := g.load(t, Options{})
	ids := []int32{9, 33, 9, 12, 40}
	for name, o := range map[string]GenerateOptions{
		"greedy":   {},
		"sampled":  {Sampler: DefaultSampler()},
		"all":      {Sampler: Sampler{Temperature: 1}},
		"logprobs": {Logprobs: 3},
	} {
		for _, end := range []bool{false, true} {
			var stats Stats
			s := newSession(t, m)
			o.Constraint, o.Stats = &script{ids: ids, end: end}, &stats
			got, _, err := collect(t.Context(), s, g.ids, o)
			if err != nil || !slices.Equal(got, ids) || stats.StopReason != "eog" || s.Position() != len(g.ids)+len(ids) {
				t.Errorf("%s: tokens %v, %v, %s; want %v, eog", name, got, err, stats.StopReason, ids)
			}
			o.MaxTokens, o.Constraint = 3, &script{ids: ids}
			if got, _, err = collect(t.Context(), s, nil, o); err != nil || len(got) != 3 || stats.StopReason != "length" {
				t.Errorf("%s, cut: tokens %v, %v, %s", name, got, err, stats.StopReason)
			}
			o.MaxTokens = 0
		}
	}
	o := GenerateOptions{Constraint: &listed{}}
	if _, _, err := collect(t.Context(), newSession(t, m), g.ids, o); err == nil || !strings.Contains(err.Error(), "in a list") {
		t.Errorf("a dead end: %v", err)
	}
	o.IgnoreEOG = true
	if _, _, err := collect(t.Context(), newSession(t, m), g.ids, o); err == nil || !strings.Contains(err.Error(), "IgnoreEOG") {
		t.Errorf("with IgnoreEOG: %v", err)
	}
}

// TestConstrain: the embedded model keeps to a grammar, hot and cold.
func TestConstrain(t *testing.T) {
	m := demoModel(t, Options{})
	g, err := grammar.Parse(`root ::= "{\"name\": \"" [A-Z] [a-z]{2,9} "\", \"age\": " [1-9] [0-9]? ", \"likes\": [" word (", " word){1,3} "]}"
word ::= "\"" [a-zé]+ "\""`)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^\{"name": "[A-Z][a-z]{2,9}", "age": [1-9][0-9]?, "likes": \["[a-zé]+"(, "[a-zé]+"){1,3}\]\}$`)
	prompt := m.Tokenizer().Encode("Emma is a little girl. As JSON:", tokenizer.Options{NoEOS: true})
	for _, p := range []Sampler{{}, DefaultSampler(), {Temperature: 1}, {Temperature: 2, TopK: 200}} {
		for seed := range uint64(3) {
			p.Seed = seed
			var stats Stats
			s := newSession(t, m)
			_, text, err := collect(t.Context(), s, prompt, GenerateOptions{MaxTokens: 300, Sampler: p, Constraint: m.Constrain(g), Stats: &stats})
			if err != nil || stats.StopReason != "eog" && stats.StopReason != "length" || stats.StopReason == "eog" && !want.MatchString(text) {
				t.Errorf("%+v: %q, %v, %s", p, text, err, stats.StopReason)
			}
			s.Close()
		}
	}
}
