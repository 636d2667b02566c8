package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Constraint says which tokens may follow, token after token of one
// generation; engine/grammar makes them. Tokens that end a generation are
// allowed where the text may end.
//
// The sampler works on the logits that Mask leaves: TopK are the K likeliest
// tokens of those allowed, TopP and MinP shares of their probability.
type Constraint interface {
	Allows(id int32) bool
	Mask(logits []float32) // tokens that are not allowed become -Inf
	Accept(id int32) error // the text goes on with id; an error says why it cannot
	Done() bool            // the text is complete, and nothing may follow
}

// chooseAllowed takes a token that con allows. values and which are the
// likeliest tokens, as for chooseFrom, or nothing; all gives all logits, which
// change, and is called only where the likeliest do not decide.
func (c *chooser) chooseAllowed(con Constraint, values []float32, which, history []int32, all func() ([]float32, error)) (int32, error) {
	if len(values) > 0 {
		if id, sure := c.chooseSurely(con, values, which, history); sure {
			return id, nil
		}
	}
	logits, err := all()
	if err != nil {
		return 0, err
	}
	if _, err := likeliestOf(logits); err != nil {
		return 0, err
	}
	con.Mask(logits)
	if !slices.ContainsFunc(logits, func(v float32) bool { return v >= -math.MaxFloat32 }) {
		return 0, deadEnd(con)
	}
	id, err := c.choose(logits, history)
	if errors.Is(err, errLogits) { // Bias has forbidden what is left
		err = deadEnd(con)
	}
	return id, err
}

// deadEnd is the error where no token may follow; con says where that is, if
// it is a fmt.Stringer.
func deadEnd(con Constraint) error {
	where := ""
	if s, ok := con.(fmt.Stringer); ok {
		where = " " + s.String()
	}
	return fmt.Errorf("engine: generate: no token of the vocabulary continues the text as asked%s", where)
}

// chooseSurely takes the token that choose would take from all logits, if the
// likeliest tell. The allowed ones among the rest have a logit of at most the
// last of values: the token is sure if it is the same with none of them and
// with as many as TopK leaves room for, all at that logit.
func (c *chooser) chooseSurely(con Constraint, values []float32, which, history []int32) (id int32, sure bool) {
	need := c.TopK
	if c.Temperature == 0 {
		need = 1
	}
	known, floor := c.allowed(con, values, which, history, need)
	if len(known) == 0 {
		return 0, false
	}
	top := known[0].logit
	if !(top >= -math.MaxFloat32 && top <= math.MaxFloat32) {
		return 0, false
	}
	if c.Temperature == 0 {
		return known[0].id, true
	}
	if len(known) >= need {
		return c.draw(c.cut(known[:need], top), top), true
	}
	n := len(known)
	few := len(c.cut(known, top)) // before the rest is appended: cut reads only
	many := known
	for range need - n {
		many = append(many, candidate{id: -1, logit: floor})
	}
	c.cand = many
	u := c.uniform()
	most := c.cut(many, top)
	i, j := c.at(many[:few], top, u), c.at(most, top, u)
	if i != j || i >= n {
		c.held, c.u = true, u // choose draws with the same number
		return 0, false
	}
	return many[i].id, true
}

// allowed returns the allowed ones of the likeliest tokens, adjusted and best
// first, as far as no other token can stand before them: at least need, or
// all that are sure. Others reach at most floor. It asks con no more once it
// has found enough.
func (c *chooser) allowed(con Constraint, values []float32, which, history []int32, need int) (known []candidate, floor float32) {
	c.count(history)
	known, floor = c.cand[:0], float32(math.Inf(-1))
	sure := 0
	for i := 0; i < len(which) && sure < need; i++ {
		id, v := which[i], values[i]
		floor = v
		if !con.Allows(id) {
			continue
		}
		b, biased := c.Bias[id]
		times := c.seen[id]
		if v += b; times > 0 {
			v = c.penalised(v, times)
		}
		changed := 0.0
		if biased || times > 0 {
			changed = 1
		} else {
			sure++
		}
		known = append(known, candidate{id: id, logit: v, p: changed})
	}
	c.cand = known
	slices.SortFunc(known, compare)
	if sure < need {
		known = slices.DeleteFunc(known, func(v candidate) bool { return v.logit < floor || v.logit == floor && v.p == 1 })
	}
	return known, floor
}
