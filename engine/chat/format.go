package chat

import (
	"math/rand/v2"
	"strings"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

// A format is how a family of models marks what is no plain answer. It is
// known by what the template writes.
type format struct {
	harmony  bool        // gpt-oss
	thinking [][2]string // tags around the reasoning
	calls    []callForm
}

// A callForm is a way to write tool calls. read looks at p.buf, which begins
// with open: with yes, the first n bytes are calls.
type callForm struct {
	open string
	read func(p *Parser) (n int, calls []ToolCall, v verdict)
	tags []string // more that have to be seen, should they be control tokens
}

type verdict uint8

const (
	unknown verdict = iota // more has to come
	wrong
	yes
)

var (
	bareForm     = callForm{read: readBare}
	hermesForm   = callForm{"<tool_call>", readHermes, []string{"</tool_call>"}}
	mistralForm  = callForm{"[TOOL_CALLS]", readMistral, []string{"[ARGS]", "[CALL_ID]"}}
	pythonForm   = callForm{"<|python_tag|>", readPython, nil}
	functionForm = callForm{"<function=", readFunction, nil}
	phiForm      = callForm{"<|tool_call|>", readPhi, []string{"<|/tool_call|>"}}
	deepseekForm = callForm{"<｜tool▁call▁begin｜>", readDeepSeek, []string{"<｜tool▁sep｜>", "<｜tool▁call▁end｜>"}}
	deepseekList = []callForm{
		{"<｜tool▁calls▁begin｜>", readMarker, nil},
		{"<｜tool▁calls▁end｜>", readMarker, nil},
	}
)

func formatOf(source string) format {
	has := func(s string) bool { return strings.Contains(source, s) }
	f := format{harmony: has("<|channel|>") && has("<|message|>"), thinking: [][2]string{{"<think>", "</think>"}}}
	if has("[THINK]") {
		f.thinking = append(f.thinking, [2]string{"[THINK]", "[/THINK]"})
	}
	if has("[TOOL_CALLS]") {
		f.calls = append(f.calls, mistralForm)
	}
	if has("<|python_tag|>") || has("<|start_header_id|>") {
		f.calls = append(f.calls, pythonForm, functionForm)
	}
	if has(phiForm.open) {
		f.calls = append(f.calls, phiForm)
	}
	if has(deepseekForm.open) {
		f.calls = append(f.calls, deepseekForm, deepseekList[0], deepseekList[1])
	}
	if has(hermesForm.open) || len(f.calls) == 0 {
		f.calls = append(f.calls, hermesForm)
	}
	return f
}

// Visible are the control tokens that a Parser has to see as text, for
// engine.GenerateOptions: models open calls with them.
func (t *Template) Visible() []int32 { return visible(t.tokenizer, t.format) }

func visible(tok *tokenizer.Tokenizer, f format) (ids []int32) {
	if tok == nil {
		return nil
	}
	var tags []string
	for _, t := range f.thinking {
		tags = append(tags, t[:]...)
	}
	for _, c := range f.calls {
		tags = append(append(tags, c.open), c.tags...)
	}
	if f.harmony {
		tags = append(tags, harmonyTags...)
	}
	for _, tag := range tags {
		if id, ok := tok.ID(tag); ok && tok.IsControl(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// newID is the name of a call, in the form that Mistral's templates insist on.
func newID() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	id := make([]byte, 9)
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	return string(id)
}
