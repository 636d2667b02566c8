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
	cand   []candidate // what is drawn from
	border []candidate // of nucleus
	seen   map[int32]int

	u    float64 // drawn already for the next token
	held bool
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
	c.adjust(logits, history)
	best, err := likeliestOf(logits)
	if err != nil || c.Temperature == 0 {
		return best, err
	}
	top := logits[best]
	return c.draw(c.candidates(logits, top), top), nil
}

// chooseFrom is choose where only the likeliest tokens are known, best first,
// as many as Sampler.reach says: the token is the same.
func (c *chooser) chooseFrom(logits []float32, ids, history []int32) (int32, error) {
	c.count(history)
	all := c.cand[:0]
	for i, id := range ids {
		v := logits[i]
		if b, ok := c.Bias[id]; ok {
			v += b
		}
		if times := c.seen[id]; times > 0 {
			v = c.penalised(v, times)
		}
		all = append(all, candidate{id: id, logit: v})
	}
	c.cand = all
	slices.SortFunc(all, compare)
	top := all[0].logit
	if !(top >= -math.MaxFloat32 && top <= math.MaxFloat32) {
		return 0, errLogits
	}
	if c.Temperature == 0 {
		return all[0].id, nil
	}
	return c.draw(c.cut(all[:min(c.TopK, len(all))], top), top), nil
}

// likeliestOf is the token of the largest logit, which has to be finite.
func likeliestOf(logits []float32) (int32, error) {
	best, top := int32(0), float32(math.Inf(-1))
	for i, v := range logits {
		if v > top {
			best, top = int32(i), v
		}
	}
	if top < -math.MaxFloat32 || top > math.MaxFloat32 {
		return 0, errLogits
	}
	return best, nil
}

// adjust adds Bias, and lowers the logits of tokens that were seen.
func (c *chooser) adjust(logits []float32, history []int32) {
	for id, b := range c.Bias {
		logits[id] += b
	}
	c.count(history)
	for id, times := range c.seen {
		logits[id] = c.penalised(logits[id], times)
	}
}

// count finds out which tokens were seen how often, if that is of interest.
func (c *chooser) count(history []int32) {
	clear(c.seen)
	if !c.penalises() {
		return
	}
	if n := c.lastN(); n > 0 && n < len(history) {
		history = history[len(history)-n:]
	}
	for _, id := range history {
		c.seen[id]++
	}
}

func (c *chooser) penalised(logit float32, times int) float32 {
	repeat := c.RepeatPenalty
	if repeat == 0 {
		repeat = 1
	}
	if logit > 0 {
		logit /= repeat
	} else {
		logit *= repeat
	}
	return logit - (float32(times)*c.FrequencyPenalty + c.PresencePenalty)
}

// candidates applies TopK, TopP and MinP. top is the largest logit. Each keeps
// the likeliest tokens, so that the smallest of the three sets is the result.
func (c *chooser) candidates(logits []float32, top float32) []candidate {
	floor := top + float32(math.Log(float64(c.MinP))) // -Inf when off
	nucleus := c.TopP > 0 && c.TopP < 1
	if c.TopK == 0 && nucleus {
		return c.nucleus(logits, top, floor)
	}
	if c.TopK == 0 {
		// 60 nats below the top is a probability that no random number hits.
		return c.above(logits, max(floor, top-60*c.Temperature))
	}
	return c.cut(c.best(logits, c.TopK), top)
}

// cut applies TopP and MinP to the candidates that TopK has left, best first.
func (c *chooser) cut(all []candidate, top float32) []candidate {
	floor := top + float32(math.Log(float64(c.MinP))) // -Inf when off
	if c.TopP > 0 && c.TopP < 1 {
		total := 0.0
		for _, v := range all {
			total += math.Exp(float64(v.logit - top))
		}
		all = all[:until(all, top, float64(c.TopP)*total)]
	}
	n := len(all)
	for n > 1 && all[n-1].logit < floor {
		n--
	}
	return all[:n]
}

// until counts the first of all that have a share together, all of them when
// they do not reach it.
func until(all []candidate, top float32, share float64) int {
	sum := 0.0
	for i, v := range all {
		if sum += math.Exp(float64(v.logit - top)); sum >= share {
			return i + 1
		}
	}
	return len(all)
}

// nucleus is TopP of all tokens, with those below floor left out. It sorts
// little: the probability is summed in bins by logit, and only the bin where
// the sum reaches TopP is put in order.
func (c *chooser) nucleus(logits []float32, top, floor float32) []candidate {
	const perNat, bins = 16, 60*16 + 1
	bin := func(v float32) int { return min(int((top-v)*perNat), bins-1) }
	var sums [bins]float64
	total := 0.0
	for _, v := range logits {
		if d := v - top; d > -60 {
			p := math.Exp(float64(d))
			sums[bin(v)] += p
			total += p
		}
	}
	last, rest := 0, float64(c.TopP)*total
	for ; last < bins-1 && sums[last] < rest; last++ {
		rest -= sums[last]
	}
	sure, border := c.cand[:0], c.border[:0]
	for i, v := range logits {
		if d := v - top; !(d > -60) || v < floor {
			continue
		}
		switch b := bin(v); {
		case b < last:
			sure = append(sure, candidate{id: int32(i), logit: v})
		case b == last:
			border = append(border, candidate{id: int32(i), logit: v})
		}
	}
	slices.SortFunc(border, compare)
	sure = append(sure, border[:until(border, top, rest)]...)
	c.cand, c.border = sure, border
	return sure
}

// best returns the k largest logits, largest first, the lower id first among
// equals. A heap of k, smallest on top, sees each logit once: nearly all fail
// against its top. Logits that are not numbers or -Inf are left out.
func (c *chooser) best(logits []float32, k int) []candidate {
	h := c.cand[:0]
	for i, v := range logits {
		switch {
		case !(v >= -math.MaxFloat32):
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
	return all[c.at(all, top, c.uniform())].id
}

// uniform is the random number of this token, in [0, 1).
func (c *chooser) uniform() float64 {
	if c.held {
		c.held = false
		return c.u
	}
	return c.random.Float64()
}

// at is which candidate the random number u takes.
func (c *chooser) at(all []candidate, top float32, u float64) int {
	sum := 0.0
	for i := range all {
		all[i].p = math.Exp(float64(all[i].logit-top) / float64(c.Temperature))
		sum += all[i].p
	}
	left := u * sum
	for i, v := range all {
		if left -= v.p; left < 0 {
			return i
		}
	}
	return len(all) - 1 // rounding
}
