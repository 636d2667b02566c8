package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/llcuda/llcuda/engine/grammar"
)

// A ToolChoice says which tools an answer calls. The zero value leaves it to
// the model.
type ToolChoice struct {
	Name     string // this tool alone; "": any
	Required bool   // the answer is a call
	Parallel bool   // it may be several
	Loose    bool   // arguments whose schema a grammar cannot keep are any object, and no error
}

// ToolGrammar is the texts of an answer that calls tools as the model's family
// writes it, with arguments that are valid for the tools' schemas. prompt is
// the rendered one: it may have begun with the reasoning. nil is that there is
// nothing to keep to, where a call is the model's choice and has no mark of
// its own. Constrain it with Template.Visible.
func (t *Template) ToolGrammar(prompt string, tools []Tool, c ToolChoice) (*grammar.Grammar, error) {
	if t.format.harmony {
		return nil, errors.New("chat: tool calls in the format of gpt-oss cannot be constrained; leave tool_choice and strict out")
	}
	form := t.callStyle()
	if form.open == "" && !c.Required {
		return nil, nil
	}
	var calls []*grammar.Grammar
	size := 0.0
	for i, tool := range tools {
		if c.Name != "" && tool.Name != c.Name {
			continue
		}
		if size > MostTools {
			if !c.Loose {
				return nil, errors.New("chat: the parameters of all tools are too large together for a grammar")
			}
			tool.Parameters = anyObject
		}
		g, err := form.call(tool, c.Loose)
		if err != nil {
			return nil, &Error{fmt.Sprintf("tool %d (%s)", i, tool.Name), err}
		}
		calls = append(calls, g)
		size += g.Size()
	}
	if len(calls) == 0 {
		return nil, fmt.Errorf("chat: no tool %q to be called", c.Name)
	}
	b := builder{}
	g := b.either(calls...)
	if c.Parallel && form.between != "" {
		g = b.concat(g, b.repeat(b.concat(grammar.Literal(form.between), g), 0, 15))
	}
	g = b.concat(grammar.Literal(form.open+form.list), g, grammar.Literal(form.end))
	if !c.Required {
		g = b.concat(grammar.Until(form.open), b.repeat(g, 0, 1))
	}
	g = b.reasoned(t, prompt, g)
	return g, b.err
}

// AnswerGrammar is an answer whose content is one of g's texts; a model that
// reasons may do so before it. Constrain it with Template.Visible.
func (t *Template) AnswerGrammar(prompt string, g *grammar.Grammar) (*grammar.Grammar, error) {
	b := builder{}
	if t.format.harmony {
		const final = "<|channel|>final<|message|>"
		return b.concat(grammar.Until(final), grammar.Literal(final), g), b.err
	}
	return b.reasoned(t, prompt, g), b.err
}

// MostTools is the size, as of Grammar.Size, of the calls of some tools beyond
// which those of others are not kept to: a small request may have the longest
// texts in the parameters of each of its tools.
const MostTools = 0.25

var anyObject = json.RawMessage(`{"type":"object"}`)

// A builder composes grammars and remembers the first error.
type builder struct{ err error }

func (b *builder) keep(g *grammar.Grammar, err error) *grammar.Grammar {
	if err != nil {
		if b.err == nil {
			b.err = err
		}
		return grammar.Literal("")
	}
	return g
}

func (b *builder) concat(parts ...*grammar.Grammar) *grammar.Grammar {
	return b.keep(grammar.Concat(parts...))
}

func (b *builder) either(parts ...*grammar.Grammar) *grammar.Grammar {
	return b.keep(grammar.Either(parts...))
}

func (b *builder) repeat(g *grammar.Grammar, min, max int) *grammar.Grammar {
	return b.keep(grammar.Repeat(g, min, max))
}

// reasoned is g behind the reasoning that the prompt has begun, or that the
// model may begin with.
func (b *builder) reasoned(t *Template, prompt string, g *grammar.Grammar) *grammar.Grammar {
	before := strings.TrimRight(prompt, " \n")
	blanks := b.repeat(grammar.Literal("\n"), 0, 2)
	for _, tags := range t.format.thinking {
		rest := b.concat(grammar.Until(tags[1]), grammar.Literal(tags[1]), blanks)
		switch {
		case strings.HasSuffix(before, tags[1]):
			return g
		case strings.HasSuffix(before, tags[0]):
			return b.concat(rest, g)
		case strings.Contains(t.source, tags[0]):
			return b.concat(b.repeat(b.concat(grammar.Literal(tags[0]), rest), 0, 1), g)
		}
	}
	return g
}

// A callStyle is how calls are written: open list call between call end, each
// call with before, the name, middle, the arguments and after.
type callStyle struct {
	open, list, between, end string
	before, middle, after    string
}

// callStyle is that of the model's family; without open a call looks like
// other JSON.
func (t *Template) callStyle() callStyle {
	has := func(s string) bool { return strings.Contains(t.source, s) }
	switch {
	case has(mistralForm.open) && has("[ARGS]"):
		return callStyle{open: mistralForm.open, between: mistralForm.open, middle: "[ARGS]"}
	case has(mistralForm.open):
		return callStyle{open: mistralForm.open, list: "[", between: ", ", end: "]", before: `{"name": "`, middle: `", "arguments": `, after: "}"}
	case has(phiForm.open):
		return callStyle{open: phiForm.open, list: "[", between: ", ", end: "]<|/tool_call|>", before: `{"name": "`, middle: `", "arguments": `, after: "}"}
	case has(deepseekForm.open):
		return callStyle{open: "<｜tool▁calls▁begin｜>", between: "\n", end: "<｜tool▁calls▁end｜>",
			before: "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", middle: "\n```json\n", after: "\n```<｜tool▁call▁end｜>"}
	case has(hermesForm.open):
		return callStyle{open: hermesForm.open, list: "\n", between: "\n</tool_call>\n<tool_call>\n", end: "\n</tool_call>",
			before: `{"name": "`, middle: `", "arguments": `, after: "}"}
	case has("<|python_tag|>") || has("<|start_header_id|>"):
		return callStyle{before: `{"name": "`, middle: `", "parameters": `, after: "}"}
	}
	return callStyle{before: `{"name": "`, middle: `", "arguments": `, after: "}"}
}

func (s callStyle) call(t Tool, loose bool) (*grammar.Grammar, error) {
	if !callName.MatchString(t.Name) {
		return nil, fmt.Errorf("name %q: want letters, digits and . _ / : -", t.Name)
	}
	arguments := grammar.Literal("{}")
	if len(t.Parameters) > 0 && string(t.Parameters) != "null" {
		var err error
		if arguments, err = grammar.FromSchema(t.Parameters); err != nil {
			if !loose {
				return nil, fmt.Errorf("parameters: %w", err)
			}
			arguments = grammar.AnyObject()
		}
	}
	return grammar.Concat(grammar.Literal(s.before+t.Name+s.middle), arguments, grammar.Literal(s.after))
}
