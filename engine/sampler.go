package engine

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llcuda/llcuda/tensor"
)

// A Sampler says how the next token is chosen from the logits. The zero value
// takes the likeliest. The same seed gives the same tokens.
//
// The stages and their order are llama.cpp's: Bias, penalties, TopK, TopP,
// MinP, Temperature. A stage whose field is zero is off.
type Sampler struct {
	Temperature      float32 // 0 is greedy
	TopK             int     // the K likeliest tokens
	TopP             float32 // the likeliest tokens that have this probability together (Holtzman et al. 2019)
	MinP             float32 // tokens with at least this share of the likeliest one's probability (Nguyen et al. 2024)
	RepeatPenalty    float32 // positive logits of seen tokens are divided by it, others multiplied (Keskar et al. 2019)
	FrequencyPenalty float32 // subtracted for each time that a token was seen
	PresencePenalty  float32 // subtracted once from a token that was seen
	RepeatLastN      int     // how many last tokens of prompt and text count as seen; 0 is 64, negative is all
	Seed             uint64
	Bias             map[int32]float32 // added to logits
}

// DefaultSampler is what llama.cpp does when nothing is said.
func DefaultSampler() Sampler {
	return Sampler{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepeatPenalty: 1, RepeatLastN: 64}
}

// RandomSeed is a seed for who names none, short enough to be typed again.
func RandomSeed() uint64 { return uint64(rand.Uint32()) }

// Check says what is wrong with p for a vocabulary of so many entries.
func (p *Sampler) Check(vocab int) error {
	for _, f := range []struct {
		name   string
		v      float32
		lo, hi float32
	}{
		{"temperature", p.Temperature, 0, math.MaxFloat32},
		{"top-p", p.TopP, 0, 1},
		{"min-p", p.MinP, 0, 1},
		{"repeat penalty", p.RepeatPenalty, 0, math.MaxFloat32},
		{"frequency penalty", p.FrequencyPenalty, -math.MaxFloat32, math.MaxFloat32},
		{"presence penalty", p.PresencePenalty, -math.MaxFloat32, math.MaxFloat32},
	} {
		if !(f.v >= f.lo && f.v <= f.hi) { // NaN is neither
			return fmt.Errorf("engine: sampler: %s %g: want %s", f.name, f.v, interval(f.lo, f.hi))
		}
	}
	if p.TopK < 0 {
		return fmt.Errorf("engine: sampler: top-k %d: want 1 or more, or 0 for all tokens", p.TopK)
	}
	for id, b := range p.Bias {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("engine: sampler: bias of token %d: the vocabulary has 0 to %d", id, vocab-1)
		}
		if b != b || b > math.MaxFloat32 {
			return fmt.Errorf("engine: sampler: bias %g of token %d: want a number", b, id)
		}
	}
	return nil
}

func interval(lo, hi float32) string {
	switch {
	case hi < math.MaxFloat32:
		return fmt.Sprintf("%g to %g", lo, hi)
	case lo == 0:
		return "0 or more"
	}
	return "a finite number"
}

// plain says whether the likeliest token is always taken.
func (p *Sampler) plain() bool {
	return (p.Temperature == 0 || p.TopK == 1) && len(p.Bias) == 0 && !p.penalises()
}

func (p *Sampler) penalises() bool {
	return p.RepeatPenalty != 0 && p.RepeatPenalty != 1 || p.FrequencyPenalty != 0 || p.PresencePenalty != 0
}

// lastN is how many last tokens count as seen; negative is all.
func (p *Sampler) lastN() int {
	if p.RepeatLastN == 0 {
		return 64
	}
	return p.RepeatLastN
}

// reach is how many of the likeliest tokens decide which one is taken, as long
// as the rest can only become less likely; 0 is all. It is rounded up, so that
// few different steps are recorded.
func (p *Sampler) reach(vocab int) int {
	k := p.TopK
	if p.Temperature == 0 {
		k = 1
	}
	raises := p.RepeatPenalty > 0 && p.RepeatPenalty < 1 || p.FrequencyPenalty < 0 || p.PresencePenalty < 0
	for _, b := range p.Bias {
		raises = raises || b > 0
	}
	seen := 0
	if p.penalises() {
		seen = p.lastN()
	}
	if raises || k < 1 || seen < 0 || max(k, seen, len(p.Bias)) > tensor.MaxTopK || k+seen+len(p.Bias) > tensor.MaxTopK {
		return 0
	}
	return min((k+seen+len(p.Bias)+63)&^63, vocab)
}
