package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// distribution is the truth: the stages one by one on all tokens, in float64,
// as their papers and llama.cpp's documentation define them.
func distribution(p Sampler, logits []float32, history []int32) map[int32]float64 {
	type entry struct {
		id int32
		l  float64
	}
	var all []entry
	n := p.RepeatLastN
	if n == 0 {
		n = 64
	}
	if n < 0 || n > len(history) {
		n = len(history)
	}
	for i, l := range logits {
		e := entry{int32(i), float64(l) + float64(p.Bias[int32(i)])}
		count := 0
		for _, h := range history[len(history)-n:] {
			if h == e.id {
				count++
			}
		}
		if r := float64(p.RepeatPenalty); count > 0 && r != 0 {
			if e.l > 0 {
				e.l /= r
			} else {
				e.l *= r
			}
		}
		if count > 0 {
			e.l -= float64(count)*float64(p.FrequencyPenalty) + float64(p.PresencePenalty)
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b entry) int { return int(math.Copysign(1, b.l-a.l)) })
	softmax := func(t float64) []float64 {
		sum, probs := 0.0, make([]float64, len(all))
		for i, e := range all {
			probs[i] = math.Exp((e.l - all[0].l) / t)
			sum += probs[i]
		}
		for i := range probs {
			probs[i] /= sum
		}
		return probs
	}
	if p.TopK > 0 {
		all = all[:min(p.TopK, len(all))]
	}
	if p.TopP > 0 && p.TopP < 1 {
		sum := 0.0
		for i, q := range softmax(1) {
			if sum += q; sum >= float64(p.TopP) {
				all = all[:i+1]
				break
			}
		}
	}
	if p.MinP > 0 {
		probs := softmax(1)
		for len(all) > 1 && probs[len(all)-1] < float64(p.MinP)*probs[0] {
			all = all[:len(all)-1]
		}
	}
	if p.Temperature == 0 {
		return map[int32]float64{all[0].id: 1}
	}
	d := map[int32]float64{}
	for i, q := range softmax(float64(p.Temperature)) {
		d[all[i].id] = q
	}
	return d
}

var samplers = map[string]Sampler{
	"greedy":      {},
	"plain":       {Temperature: 1},
	"cold":        {Temperature: 0.3},
	"hot":         {Temperature: 2.5},
	"top-k":       {Temperature: 1, TopK: 7},
	"top-k of 1":  {Temperature: 1, TopK: 1},
	"top-k large": {Temperature: 1, TopK: 100000},
	"top-p":       {Temperature: 1, TopP: 0.7},
	"top-p tiny":  {Temperature: 1, TopP: 1e-6},
	"top-p wide":  {Temperature: 1.5, TopP: 0.999},
	"min-p":       {Temperature: 1, MinP: 0.1},
	"min-p of 1":  {Temperature: 1, MinP: 1},
	"default":     DefaultSampler(),
	"top-p min-p": {Temperature: 0.9, TopP: 0.9, MinP: 0.05},
	"repeat":      {Temperature: 1, RepeatPenalty: 1.3},
	"repeat all":  {Temperature: 1, RepeatPenalty: 1.3, RepeatLastN: -1},
	"frequency":   {Temperature: 1, FrequencyPenalty: 0.5, RepeatLastN: 20},
	"presence":    {Temperature: 1, PresencePenalty: 1.5, RepeatLastN: 3},
	"bias":        {Temperature: 1, Bias: map[int32]float32{3: 4, 5: float32(math.Inf(-1))}},
	"everything": {Temperature: 0.7, TopK: 30, TopP: 0.95, MinP: 0.01, RepeatPenalty: 1.1, FrequencyPenalty: 0.1,
		PresencePenalty: 0.2, RepeatLastN: 50, Bias: map[int32]float32{1: 2}},
	"greedy with penalties": {RepeatPenalty: 2, PresencePenalty: 1},
}

func randomLogits(seed uint64, n int, spread float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	l := make([]float32, n)
	for i := range l {
		l[i] = float32(r.NormFloat64() * spread)
	}
	return l
}

// TestSamplerDistribution: the candidates and their probabilities are the
// truth's, for sharp and flat logits and for vocabularies small and large.
func TestSamplerDistribution(t *testing.T) {
	for name, p := range samplers {
		t.Run(name, func(t *testing.T) {
			for seed, c := range []struct {
				n      int
				spread float64
			}{{5000, 0.1}, {5000, 3}, {100, 1}, {20, 8}, {6, 2}} {
				p := p
				logits := randomLogits(uint64(seed), c.n, c.spread)
				var history []int32
				for i := range 100 {
					history = append(history, int32(i*i%c.n))
				}
				want := distribution(p, logits, history)
				ch := newChooser(p)
				id, err := ch.choose(slices.Clone(logits), history)
				if err != nil {
					t.Fatal(err)
				}
				if want[id] == 0 {
					t.Errorf("%d tokens: chose %d, which has no probability", c.n, id)
				}
				if p.Temperature == 0 {
					continue
				}
				got := ch.distribution(slices.Clone(logits), history)
				for id, w := range want {
					if math.Abs(got[id]-w) > 1e-5*w+1e-9 {
						t.Errorf("%d tokens: probability of %d is %g, want %g", c.n, id, got[id], w)
					}
				}
				for id := range got {
					if want[id] == 0 {
						t.Errorf("%d tokens: %d is a candidate with %g and should be none", c.n, id, got[id])
					}
				}
			}
		})
	}
}

// distribution is what choose draws from.
func (c *chooser) distribution(logits []float32, history []int32) map[int32]float64 {
	c.adjust(logits, history)
	top := slices.Max(logits)
	all := c.candidates(logits, top)
	c.draw(all, top)
	sum, d := 0.0, map[int32]float64{}
	for _, v := range all {
		sum += v.p
	}
	for _, v := range all {
		if v.p > 0 {
			d[v.id] = v.p / sum
		}
	}
	return d
}

// TestSamplerDraws: draws come as often as they should (χ² with a bound that
// a right sampler passes but once in a million).
func TestSamplerDraws(t *testing.T) {
	p := Sampler{Temperature: 0.8, TopK: 10, Seed: 42}
	logits := randomLogits(3, 1000, 1.5)
	want := distribution(p, logits, nil)
	c, counts := newChooser(p), map[int32]int{}
	const n = 100000
	for range n {
		id, err := c.choose(slices.Clone(logits), nil)
		if err != nil {
			t.Fatal(err)
		}
		counts[id]++
	}
	chi := 0.0
	for id, w := range want {
		chi += math.Pow(float64(counts[id])-w*n, 2) / (w * n)
	}
	if len(counts) != 10 || chi > 46 { // 9 degrees of freedom
		t.Errorf("χ² is %.1f over %d tokens, want at most 46 over 10", chi, len(counts))
	}
}

func TestSamplerSeed(t *testing.T) {
	draw := func(seed uint64) (ids []int32) {
		c := newChooser(Sampler{Temperature: 1, Seed: seed})
		for i := range 50 {
			id, err := c.choose(randomLogits(uint64(i), 500, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	if !slices.Equal(draw(7), draw(7)) {
		t.Error("the same seed gave other tokens")
	}
	if slices.Equal(draw(7), draw(8)) {
		t.Error("two seeds gave the same tokens")
	}
}

func TestSamplerTies(t *testing.T) {
	c := newChooser(Sampler{Temperature: 1, TopK: 2})
	got := c.best([]float32{1, 3, 2, 3, 3}, 2)
	if got[0].id != 1 || got[1].id != 3 {
		t.Errorf("best of equals are %d and %d, want the first, 1 and 3", got[0].id, got[1].id)
	}
}

func TestSamplerBrokenLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, l := range map[string][]float32{"nan": {nan, nan}, "-inf": {-inf, -inf}, "+inf": {1, inf}} {
		for _, p := range []Sampler{{}, {Temperature: 1}, DefaultSampler()} {
			if _, err := newChooser(p).choose(slices.Clone(l), nil); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	}
	for _, p := range samplers {
		id, err := newChooser(p).choose([]float32{nan, 1, nan, 2, -inf, 1, 1}, []int32{1})
		if err != nil || id == 0 || id == 2 || id == 4 {
			t.Errorf("%+v: chose %d, %v", p, id, err)
		}
	}
}

func TestSamplerCheck(t *testing.T) {
	nan := float32(math.NaN())
	for want, p := range map[string]Sampler{
		"temperature -1":       {Temperature: -1},
		"temperature NaN":      {Temperature: nan},
		"temperature +Inf":     {Temperature: float32(math.Inf(1))},
		"top-k -1":             {TopK: -1},
		"top-p 1.5":            {TopP: 1.5},
		"min-p -0.1":           {MinP: -0.1},
		"repeat penalty -2":    {RepeatPenalty: -2},
		"presence penalty NaN": {PresencePenalty: nan},
		"bias of token 64":     {Bias: map[int32]float32{64: 1}},
		"bias of token -1":     {Bias: map[int32]float32{-1: 1}},
		"bias NaN of token 3":  {Bias: map[int32]float32{3: nan}},
	} {
		if err := p.Check(64); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
	for name, p := range samplers {
		if err := p.Check(64); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkChoose: a token out of Gemma's 262,144.
func BenchmarkChoose(b *testing.B) {
	logits := randomLogits(1, 262144, 3)
	scratch := make([]float32, len(logits))
	for name, p := range samplers {
		b.Run(name, func(b *testing.B) {
			c := newChooser(p)
			for b.Loop() {
				copy(scratch, logits)
				if _, err := c.choose(scratch, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestChooseFrom: the likeliest candidates alone give the tokens that all
// logits give, for every sampler that says they do.
func TestChooseFrom(t *testing.T) {
	const vocab = 3000
	served := 0
	for i, p := range []Sampler{
		{Temperature: 1, TopK: 40, TopP: 0.95, MinP: 0.05},
		{Temperature: 1.5, TopK: 200, RepeatPenalty: 1.3, RepeatLastN: 20},
		{Temperature: 0.7, TopK: 8, RepeatPenalty: 5, FrequencyPenalty: 1, PresencePenalty: 2},
		{RepeatPenalty: 10},
		{Temperature: 1, TopK: 3, Bias: map[int32]float32{5: float32(math.Inf(-1)), 7: -3}},
		{Temperature: 3, TopK: 1, FrequencyPenalty: 4},
		{Temperature: 1, TopK: 5000},
		{Temperature: 1, TopK: 40, Bias: map[int32]float32{5: 1}},
		{Temperature: 1, TopK: 40, RepeatPenalty: 0.5},
		{Temperature: 1, TopK: 40, RepeatPenalty: 2, RepeatLastN: -1},
		{Temperature: 1, TopK: 40, PresencePenalty: -1},
		{Temperature: 1, TopP: 0.9},
	} {
		p.Seed = uint64(i)
		k := p.reach(vocab)
		if i > 5 {
			if k != 0 {
				t.Errorf("sampler %d: %d candidates decide, want all", i, k)
			}
			continue
		}
		served++
		whole, few := newChooser(p), newChooser(p)
		var history []int32
		for step := range 400 {
			logits := randomLogits(uint64(step), vocab, 2)
			for j := range logits {
				logits[j] = float32(math.Round(float64(logits[j])*8) / 8) // many are equal
			}
			best := slices.Clone(new(chooser).best(logits, k))
			var vals []float32
			var ids []int32
			for _, c := range best {
				vals, ids = append(vals, c.logit), append(ids, c.id)
			}
			want, err1 := whole.choose(logits, history)
			got, err2 := few.chooseFrom(vals, ids, history)
			if got != want || err1 != nil || err2 != nil {
				t.Fatalf("sampler %d, step %d: got %d, %v, want %d, %v", i, step, got, err2, want, err1)
			}
			history = append(history, got)
		}
	}
	if served != 6 {
		t.Errorf("%d samplers", served)
	}
}
