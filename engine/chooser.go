package engine

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
)

// A chooser is a Sampler at work: its random numbers and scratch memory.
type chooser struct {
	Sampler
	random *rand.Rand
	cand   []candidate
	seen   map[int32]int
}

type candidate struct {
	id    int32
	logit float32
	p     float64 // share of the probability, not normalised
}

func newChooser(p Sampler) *chooser {
	return &chooser{Sampler: p, random: rand.New(rand.NewPCG(p.Seed, 0x9e3779b97f4a7c15)), seen: map[int32]int{}}
}

var errLogits = errors.New("engine: generate: the model computed no finite logits; its file may be broken")

// choose takes a token. It changes logits. history is the text so far.
func (c *chooser) choose(logits []float32, history []int32) (int32, error) {
	for id, b := range c.Bias {
		logits[id] += b
	}
	if c.penalises() {
		c.penalise(logits, history)
	}
	best, top := int32(0), float32(math.Inf(-1))
	for i, v := range logits {
		if v > top {
			best, top = int32(i), v
		}
	}
	if top < -math.MaxFloat32 || top > math.MaxFloat32 {
		return 0, errLogits
	}
	if c.Temperature == 0 {
		return best, nil
	}
	return c.draw(c.candidates(logits, top), top), nil
}

// penalise lowers the logits of tokens that were seen.
func (c *chooser) penalise(logits []float32, history []int32) {
	n := c.RepeatLastN
	if n == 0 {
		n = 64
	}
	if n > 0 && n < len(history) {
		history = history[len(history)-n:]
	}
	clear(c.seen)
	for _, id := range history {
		c.seen[id]++
	}
	repeat := c.RepeatPenalty
	if repeat == 0 {
		repeat = 1
	}
	for id, count := range c.seen {
		l := &logits[id]
		if *l > 0 {
			*l /= repeat
		} else {
			*l *= repeat
		}
		*l -= float32(count)*c.FrequencyPenalty + c.PresencePenalty
	}
}

// candidates applies TopK, TopP and MinP. top is the largest logit.
func (c *chooser) candidates(logits []float32, top float32) []candidate {
	floor := top + float32(math.Log(float64(c.MinP))) // -Inf when off
	nucleus := c.TopP > 0 && c.TopP < 1
	var all []candidate
	switch {
	case c.TopK > 0:
		all = c.best(logits, c.TopK)
		if nucleus {
			total := 0.0
			for _, v := range all {
				total += math.Exp(float64(v.logit - top))
			}
			all = all[:c.nucleus(all, top, total)]
		}
	case nucleus:
		all = c.wholeNucleus(logits, top)
	default:
		// 60 nats below the top is a probability that no random number hits.
		return c.above(logits, max(floor, top-60*c.Temperature))
	}
	n := len(all)
	for n > 1 && all[n-1].logit < floor {
		n--
	}
	return all[:n]
}

// nucleus counts the first of all, sorted, that have the share TopP of total;
// the count is len(all) when they do not reach it.
func (c *chooser) nucleus(all []candidate, top float32, total float64) int {
	sum := 0.0
	for i, v := range all {
		if sum += math.Exp(float64(v.logit - top)); sum >= float64(c.TopP)*total {
			return i + 1
		}
	}
	return len(all)
}

// wholeNucleus is TopP of the whole vocabulary. A nucleus is small as a rule,
// so it sorts a few hundred tokens and more only when they are not enough.
func (c *chooser) wholeNucleus(logits []float32, top float32) []candidate {
	total := 0.0
	for _, v := range logits {
		if d := float64(v - top); d > -60 {
			total += math.Exp(d)
		}
	}
	for k := 256; ; k *= 8 {
		all := c.best(logits, k)
		if n := c.nucleus(all, top, total); n < len(all) || len(all) < k {
			return all[:n]
		}
	}
}

// best returns the k largest logits, largest first, the lower id first among
// equals. A heap of k, smallest on top, sees each logit once: nearly all fail
// against its top. Logits that are not numbers are left out.
func (c *chooser) best(logits []float32, k int) []candidate {
	h := c.cand[:0]
	for i, v := range logits {
		switch {
		case v != v:
		case len(h) < k:
			h = append(h, candidate{id: int32(i), logit: v})
			if len(h) == k {
				for j := k/2 - 1; j >= 0; j-- {
					sink(h, j)
				}
			}
		case v > h[0].logit:
			h[0] = candidate{id: int32(i), logit: v}
			sink(h, 0)
		}
	}
	c.cand = h
	slices.SortFunc(h, compare)
	return h
}

// compare puts the likelier candidate first.
func compare(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.logit, a.logit), cmp.Compare(a.id, b.id))
}

// sink restores the heap below h[i].
func sink(h []candidate, i int) {
	for {
		j := 2*i + 1
		if j >= len(h) {
			return
		}
		if j+1 < len(h) && compare(h[j+1], h[j]) > 0 {
			j++
		}
		if compare(h[i], h[j]) >= 0 {
			return
		}
		h[i], h[j] = h[j], h[i]
		i = j
	}
}

// above returns the logits from floor up, by id.
func (c *chooser) above(logits []float32, floor float32) []candidate {
	all := c.cand[:0]
	for i, v := range logits {
		if v >= floor {
			all = append(all, candidate{id: int32(i), logit: v})
		}
	}
	c.cand = all
	return all
}

// draw takes a candidate with the probability that it has at Temperature.
func (c *chooser) draw(all []candidate, top float32) int32 {
	sum := 0.0
	for i := range all {
		all[i].p = math.Exp(float64(all[i].logit-top) / float64(c.Temperature))
		sum += all[i].p
	}
	at := c.random.Float64() * sum
	for _, v := range all {
		if at -= v.p; at < 0 {
			return v.id
		}
	}
	return all[len(all)-1].id // rounding
}
