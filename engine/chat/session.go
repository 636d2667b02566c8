package chat

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/grammar"
)

// A Request is a conversation that an assistant is to answer.
type Request struct {
	Messages []Message
	Tools    []Tool
	Options  Options // AddGenerationPrompt is set

	// Generate says how. Stats and Visible are set, and with Grammar the
	// Constraint.
	Generate engine.GenerateOptions

	// Grammar has the texts that the answer's content is one of; nil: it is
	// free. Reasoning may come before it, calls may not.
	Grammar *grammar.Grammar

	// LeftOut is how many messages behind the system's are known not to fit
	// any more: Stats.LeftOut of the answer before.
	LeftOut int

	Stats *Stats // filled while the answer comes, complete at its end; nil: nobody wants them
}

// Stats are what an answer took.
type Stats struct {
	engine.Stats
	Prompt  int  // tokens of the prompt
	Reused  int  // of these, how many the session had read before
	LeftOut int  // messages behind the system's that did not fit into the context
	Cut     bool // the answer ended before it was a text of Request.Grammar
}

// A Session answers with a model. It keeps what the model has read, so that
// the next request costs only what is new in it. One goroutine uses it.
type Session struct {
	t *Template
	s *engine.Session

	// What the model has said is kept as the tokens that it chose, which are
	// not always those that its text is encoded to.
	marked string  // the last prompt
	answer string  // what the model wrote then
	tokens []int32 // of both
}

// NewSession answers with an engine's session, which others may use between
// two answers: it is only read again then.
func (t *Template) NewSession(s *engine.Session) *Session { return &Session{t: t, s: s} }

// Completion says that the model has no template: see Template.Completion.
func (s *Session) Completion() bool { return s.t.completion }

// Answer yields the answer as it comes. It ends with one error: *Error,
// *RefusedError and those of engine.Session.Generate; what came before an
// error is part of the answer. A full context ends an answer as "context full"
// in Stats.StopReason, without an error.
//
// Where the context is too small for the conversation, its oldest turns are
// left out, each as a whole, and never the system's messages in front.
func (s *Session) Answer(ctx context.Context, r Request) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		stats := r.Stats
		if stats == nil {
			stats = new(Stats)
		}
		*stats = Stats{}
		prompt, err := s.fit(&r, stats)
		if err != nil {
			yield(Event{}, err)
			return
		}
		ids := s.continued(prompt)
		stats.Prompt = len(ids)
		n := common(ids, s.s.Tokens())
		s.s.Truncate(n)
		g := r.Generate
		g.Stats, g.Visible = &stats.Stats, s.t.Visible()
		if r.Grammar != nil {
			whole, err := s.t.AnswerGrammar(prompt.Text, r.Grammar)
			if err != nil {
				yield(Event{}, err)
				return
			}
			m := s.s.Model().Constrain(whole, g.Visible...)
			g.Constraint = m
			defer func() { stats.Cut = !m.MayEnd() }()
		}
		parser := s.t.NewParser(prompt.Text, r.Tools)
		var text strings.Builder
		defer func() {
			stats.Reused = max(0, len(ids)-stats.PromptTokens)
			s.remember(prompt, text.String(), stats)
		}()
		for t, err := range s.s.Generate(ctx, ids[n:], g) {
			if err != nil {
				if !deliver(parser.Close(), yield) {
					return
				}
				if errors.Is(err, engine.ErrContextFull) && stats.NewTokens > 0 {
					stats.StopReason = "context full"
					return
				}
				yield(Event{}, err)
				return
			}
			text.WriteString(t.Text)
			if !deliver(parser.Push(t.Text), yield) {
				return
			}
		}
		deliver(parser.Close(), yield)
	}
}

func deliver(events []Event, yield func(Event, error) bool) bool {
	for _, e := range events {
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

// fit makes the prompt of as many messages as the context holds with room for
// an answer. Turns go by the quarter of a context, so that the rest need not
// be read again for each.
func (s *Session) fit(r *Request, stats *Stats) (*Prompt, error) {
	size := s.s.Model().Info().Context
	room := size / 4
	if n := r.Generate.MaxTokens; n > 0 {
		room = min(n, size/2)
	}
	head, starts := r.Turns()
	prompt, err := s.from(r, head, starts[0])
	if err == nil && len(prompt.IDs)+room > size && len(starts) > 1 {
		room = max(room, size/4)
		least := 1 + sort.Search(len(starts)-2, func(i int) bool { // the last turn stays
			p, e := s.from(r, head, starts[1+i])
			return e != nil || len(p.IDs)+room <= size
		})
		stats.LeftOut = starts[least]
		prompt, err = s.from(r, head, starts[least])
	} else {
		stats.LeftOut = starts[0]
	}
	if err == nil && len(prompt.IDs) >= size {
		return nil, &engine.ContextError{New: len(prompt.IDs), Context: size}
	}
	return prompt, err
}

// Turns are the number of messages in front that always stay, and where the
// conversation may begin behind them, counted from there: first at LeftOut, then
// at each later turn.
func (r *Request) Turns() (head int, starts []int) {
	for head < len(r.Messages) && (r.Messages[head].Role == System || r.Messages[head].Role == Developer) {
		head++
	}
	rest := r.Messages[head:]
	starts = []int{min(max(r.LeftOut, 0), len(rest))}
	for i := starts[0] + 1; i < len(rest); i++ {
		if rest[i].Role == User {
			starts = append(starts, i)
		}
	}
	return head, starts
}

// from is the prompt without the first messages behind the head.
func (s *Session) from(r *Request, head, first int) (*Prompt, error) {
	o := r.Options
	o.AddGenerationPrompt = true
	return s.t.Prompt(slices.Concat(r.Messages[:head], r.Messages[head+first:]), r.Tools, o)
}

// continued are the tokens of a prompt: those of the last prompt and its
// answer, if it goes on from there.
func (s *Session) continued(p *Prompt) []int32 {
	rest, ok := strings.CutPrefix(p.marked, s.marked)
	if !ok || s.answer == "" {
		return p.IDs
	}
	if rest, ok = cutText(rest, s.answer); !ok || rest == "" {
		return p.IDs
	}
	more := s.t.encode(rest, true)
	if len(more) == 0 || !s.t.tokenizer.IsControl(more[0]) {
		return p.IDs // its tokens may reach back into the answer
	}
	return slices.Concat(s.tokens, more)
}

// cutText takes a text off the front of one that has marks in it.
func cutText(marked, text string) (rest string, ok bool) {
	for text != "" {
		if m := strings.TrimPrefix(marked, mark); m != marked {
			marked = m
			continue
		}
		if marked == "" || marked[0] != text[0] {
			return "", false
		}
		marked, text = marked[1:], text[1:]
	}
	return strings.TrimPrefix(marked, mark), true
}

// remember keeps the tokens of an answer. A stop text is in the tokens and not
// in the answer, so that these do not belong together.
func (s *Session) remember(p *Prompt, answer string, stats *Stats) {
	s.marked, s.answer, s.tokens = p.marked, answer, nil
	if stats.StopReason == "stop" || stats.NewTokens == 0 {
		s.answer = ""
		return
	}
	s.tokens = slices.Clone(s.s.Tokens())
}

// common is the length of the beginning that two texts share.
func common(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
