// Package verify compares two forms of one model (a checkpoint and its GGUF, a
// base with an adapter and the two merged, a quantisation and what it was made
// of): tokens, template, probabilities and perplexity, with a verdict in words.
//
// Look reads one form and keeps what Compare needs, so that the two need never
// be loaded together. Faults finds what exports of models are known to get
// wrong.
package verify

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
)

// Text is what models are compared on: a story in English, other languages and
// scripts, code, numbers and signs.
//
//go:embed text.txt
var Text string

// Options say what is compared. The zero value is 256 tokens of Text.
type Options struct {
	Text   string
	Tokens int // that are computed, at most; what is encoded is all of Text
}

func (o *Options) defaults() {
	if o.Text == "" {
		o.Text = Text
	}
	if o.Tokens == 0 {
		o.Tokens = 256
	}
}

// A Side is what one form says.
type Side struct {
	Name string
	Info engine.Info
	Bits float64 // a number of its matrices has

	tokens   []int32
	pieces   []string
	written  []string // what each token of the vocabulary adds to a text
	end      int32    // the end of text; -1: none
	endText  string
	ends     []int32 // all that end a generation
	template string  // a conversation, rendered; "" without a template
	refused  string  // why it can't be rendered
	read     []int32
	logprobs [][]float32 // after each token that was read
}

// Look reads a model. The first of two reads its own tokens, the second, with
// first not nil, those.
func Look(ctx context.Context, m *engine.Model, name string, o Options, first *Side) (*Side, error) {
	o.defaults()
	s := &Side{Name: name, Info: m.Info(), Bits: bits(m.File())}
	tok := m.Tokenizer()
	s.tokens = tok.Encode(o.Text, tokenizer.Options{NoEOS: true})
	for _, id := range s.tokens {
		s.pieces = append(s.pieces, tok.Text(id))
	}
	s.end = -1
	if id, ok := tok.EOS(); ok {
		s.end, s.endText = id, tok.Text(id)
	}
	for id := range int32(tok.Len()) {
		s.written = append(s.written, string(tok.Piece(id)))
		if tok.IsEOG(id) {
			s.ends = append(s.ends, id)
		}
	}
	s.render(m)
	if s.Info.Encoder {
		return nil, fmt.Errorf("verify: %s is an encoder, which has no probabilities of texts; %w", name, errors.ErrUnsupported)
	}
	s.read = s.tokens[:min(len(s.tokens), o.Tokens, s.Info.Context)]
	if first != nil {
		s.read = first.read
	}
	if len(s.read) < 2 {
		return nil, fmt.Errorf("verify: the text has %d tokens; give one of 2 or more", len(s.read))
	}
	if slices.ContainsFunc(s.read, func(id int32) bool { return int(id) >= s.Info.Vocab }) || first != nil && first.Info.Vocab != s.Info.Vocab {
		return s, nil // Compare says so
	}
	if len(s.read) > s.Info.Context {
		return nil, fmt.Errorf("verify: %s has a context of %d tokens, %d are to be read; take fewer", name, s.Info.Context, len(s.read))
	}
	session, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	err = session.EvalAll(ctx, s.read, func(_ int, logits []float32) { s.logprobs = append(s.logprobs, logSoftmax(logits)) })
	return s, err
}

// render makes the prompt of a conversation of three messages.
func (s *Side) render(m *engine.Model) {
	t, err := chat.NewTemplate(m)
	switch {
	case err != nil:
		s.refused = err.Error()
		return
	case t.Completion():
		return
	}
	if s.template, err = t.Render(conversation(true), nil, chat.Options{AddGenerationPrompt: true}); err != nil {
		s.refused = err.Error()
	}
}

// conversation is a question, its answer and, if asked for, another question.
func conversation(more bool) (all []chat.Message) {
	text := `[{"role": "user", "content": "What is 2+2?"}, {"role": "assistant", "content": "It is 4."}`
	if more {
		text += `, {"role": "user", "content": "And 3+3?"}`
	}
	if err := json.Unmarshal([]byte(text+"]"), &all); err != nil {
		panic(err)
	}
	return all
}

// bits is how many bits a number of the matrices takes.
func bits(f *gguf.File) float64 {
	var bytes, n float64
	for i := range f.Tensors {
		if t := &f.Tensors[i]; len(t.Shape) > 1 {
			bytes, n = bytes+float64(t.Bytes()), n+float64(t.Len())
		}
	}
	return 8 * bytes / max(n, 1)
}

func logSoftmax(logits []float32) []float32 {
	most := slices.Max(logits)
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x - most))
	}
	l := make([]float32, len(logits))
	for i, x := range logits {
		l[i] = float32(float64(x-most) - math.Log(sum))
	}
	return l
}
