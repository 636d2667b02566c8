package engine

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// decode takes the next token of every text whose prompt was read.
func (b *Batcher) decode() (did bool, err error) {
	var texts []*text
	for _, s := range b.slots {
		if t := s.text; t != nil && !t.reading && !t.paused() {
			texts = append(texts, t)
		}
	}
	if len(texts) == 0 {
		return false, nil
	}
	rows := make([]row, stepRows(len(texts)))
	for i := range rows {
		rows[i].seq = -1
		if i < len(texts) {
			s := texts[i].slot
			at := len(s.tokens)
			rows[i] = row{texts[i].tokens[at], int32(at), int32(s.index)}
			s.reach = max(s.reach, at+1)
		}
	}
	if err := b.load(rows); err != nil {
		return true, err
	}
	ranking, all := ranking(texts)
	key := stepKey{rows: len(rows), end: ranking}
	if all {
		key.end = allLogits
	}
	if b.lone && len(texts) == 1 {
		key.rows, key.slot = 0, texts[0].slot.index
	}
	for i, st := range b.stages {
		if err := b.cross(i, len(rows)); err != nil {
			return true, err
		}
		if err := b.run(st, key); err != nil {
			return true, err
		}
	}
	if all {
		b.rank(b.final().few, len(rows), ranking)
	}
	for _, t := range texts {
		t.slot.add(1, false)
	}
	return true, b.choose(texts, ranking)
}

// ranking is the ending that serves all texts but those that want all logits,
// allLogits for none; all says whether there are such.
func ranking(texts []*text) (end ending, all bool) {
	greedy := false
	for _, t := range texts {
		e := t.g.ending()
		end, greedy, all = max(end, e), greedy || e == likeliest, all || e == allLogits
	}
	if end == 0 && greedy {
		end = likeliest
	}
	return end, all
}

// read takes a piece of the prompts that are not read yet, the first come
// first, and the first new token of those that end with it.
func (b *Batcher) read() (did bool, err error) {
	var reading []*text
	decoding := false
	for _, s := range b.slots {
		switch t := s.text; {
		case t == nil:
		case t.reading:
			reading = append(reading, t)
		default:
			decoding = true
		}
	}
	if len(reading) == 0 {
		return false, nil
	}
	slices.SortStableFunc(reading, func(x, y *text) int { return x.began.Compare(y.began) })
	var rows []row
	var part []int // rows of each
	room := b.piece(decoding)
	for _, t := range reading {
		s := t.slot
		n := min(t.missing(), room-len(rows))
		for at := len(s.tokens); at < len(s.tokens)+n; at++ {
			rows = append(rows, row{t.tokens[at], int32(at), int32(s.index)})
		}
		s.reach = max(s.reach, len(s.tokens)+n)
		part = append(part, n)
	}
	start := time.Now()
	switch err := b.prompt(rows, reading); {
	case errors.Is(err, errNobody):
		return true, nil
	case err != nil:
		return true, err
	}
	var ended []*text
	var ends []int32 // the last row of each
	for i, at := 0, 0; i < len(reading); i++ {
		t := reading[i]
		at += part[i]
		t.slot.add(part[i], true)
		if t.missing() == 0 {
			ended, ends = append(ended, t), append(ends, int32(at-1))
		}
	}
	if err := b.first(ended, ends); err != nil {
		return true, err
	}
	b.measure(len(rows), time.Since(start))
	return true, nil
}

// errNobody says that nobody is left who waits for a prompt.
var errNobody = errors.New("engine: nobody waits for the prompt")

// prompt runs rows of prompts through all layers.
func (b *Batcher) prompt(rows []row, texts []*text) error {
	if err := b.load(rows); err != nil {
		return err
	}
	stop := func() error {
		for _, t := range texts {
			if !t.dropped() {
				return nil
			}
		}
		return errNobody
	}
	for i, st := range b.stages {
		if err := b.cross(i, len(rows)); err != nil {
			return err
		}
		if err := b.net.forward(b.m.arch, st.many, st.b.first(len(rows)), st.lo, st.hi, stop); err != nil {
			return err
		}
	}
	return nil
}

// first takes the first token of texts whose prompts end at these rows.
func (b *Batcher) first(texts []*text, ends []int32) error {
	if len(texts) == 0 {
		return b.final().many.Err()
	}
	n, st := len(texts), b.final()
	if err := b.put(b.rowsOf, n, func(i int) int32 { return ends[i] }); err != nil {
		return err
	}
	x := b.last.Slice(0, n)
	st.few.Rows(x, st.b.x, b.rowsOf.Slice(0, n))
	b.head(st.few, x, b.lastH.Slice(0, n))
	ranking, _ := ranking(texts)
	b.rank(st.few, n, ranking)
	if err := errors.Join(st.many.Err(), st.few.Err()); err != nil {
		return err
	}
	for _, t := range texts {
		t.reading = false
		t.g.o.Stats.PromptTime = time.Since(t.began)
	}
	return b.choose(texts, ranking)
}

// choose fetches what a step has left and takes the next token of each text.
// Where that takes a pass over all logits they do it side by side.
func (b *Batcher) choose(texts []*text, ranking ending) error {
	waited, err := b.fetch(texts, ranking)
	if err != nil {
		return err
	}
	more := make([]bool, len(texts))
	var wg sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, t := range texts {
		if t.g.o.Stats.NewTokens > 0 {
			t.g.o.Stats.WaitTime += waited
		}
		if t.g.ending() != allLogits && t.g.o.Constraint == nil {
			more[i] = t.step()
			continue
		}
		wg.Go(func() {
			room <- struct{}{}
			more[i] = t.step()
			<-room
		})
	}
	wg.Wait()
	for i, t := range texts {
		if !more[i] {
			b.leave(t.slot)
		}
	}
	return nil
}

// piece is how many rows of prompts are read at a time: while texts are
// decoding so few that they go on soon.
func (b *Batcher) piece(decoding bool) int {
	const soon, least = 0.1, 16 // seconds
	if !decoding || b.pace == 0 {
		return b.rows
	}
	return min(b.rows, max(least, int(soon/b.pace)))
}

// measure learns how long a row of a prompt takes.
func (b *Batcher) measure(rows int, took time.Duration) {
	if rows >= 16 || b.pace == 0 {
		b.pace = took.Seconds() / float64(rows)
	}
}
