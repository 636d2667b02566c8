package server

import (
	"errors"
	"fmt"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/internal/openai"
)

// grammar returns what a request binds its texts to; nil: nothing.
func (s *Server) grammar(f *openai.ResponseFormat, gbnf string, ignoreEOS bool) (g *grammar.Grammar, err error) {
	param := "response_format"
	switch {
	case gbnf != "" && f != nil && f.Type != "text":
		return nil, openai.Invalid("grammar", "invalid_value", "'grammar' and 'response_format' exclude each other.")
	case gbnf != "":
		param = "grammar"
		g, err = grammar.Parse(gbnf)
	case f == nil || f.Type == "text":
		return nil, nil
	case f.Type == "json_object" || f.JSONSchema == nil || len(f.JSONSchema.Schema) == 0:
		g = grammar.AnyObject()
	default:
		param = "response_format.json_schema.schema"
		g, err = grammar.FromSchema(f.JSONSchema.Schema)
	}
	if err != nil {
		return nil, openai.Invalid(param, "invalid_value", "Invalid '%s': %v.", param, err)
	}
	if ignoreEOS {
		return nil, openai.Invalid("ignore_eos", "invalid_value", "'ignore_eos' and '%s' exclude each other: a bound text ends where it is complete.", param)
	}
	return g, nil
}

// bind makes a constraint for one text; nil for nil.
func (s *Server) bind(g *grammar.Grammar, visible []int32) engine.Constraint {
	if g == nil {
		return nil
	}
	return s.o.Model.Constrain(g, visible...)
}

// forced says that the answer is a call.
func forced(q *openai.ChatRequest) bool {
	return q.ToolChoice != nil && (q.ToolChoice.Mode == "required" || q.ToolChoice.Mode == "function")
}

// bound finds out what binds the answers, before there is a prompt: a format,
// and tools that are strict.
func (c *conversation) bound() (err error) {
	s, q := c.server, c.q
	if c.format, err = s.grammar(q.ResponseFormat, q.Grammar, q.IgnoreEOS); err != nil {
		return err
	}
	if forced(q) && q.IgnoreEOS {
		return openai.Invalid("ignore_eos", "invalid_value", "'ignore_eos' and 'tool_choice' exclude each other: a call ends where it is complete.")
	}
	if q.ToolChoice != nil && q.ToolChoice.Mode == "none" {
		return nil
	}
	size := 0.0
	for i, t := range q.Tools {
		f := t.Function
		c.tools = append(c.tools, chat.Tool{Name: f.Name, Description: f.Description, Parameters: f.Parameters})
		if f.Strict == nil || !*f.Strict || len(f.Parameters) == 0 || string(f.Parameters) == "null" {
			continue
		}
		c.strict = true
		g, err := grammar.FromSchema(f.Parameters)
		if err != nil {
			return openai.Invalid(fmt.Sprintf("tools[%d].function.parameters", i), "invalid_value", "Invalid parameters of tool '%s': %v; leave 'strict' out, or change them.", f.Name, err)
		}
		if size += g.Size(); size > chat.MostTools {
			return openai.Invalid("tools", "invalid_value", "The parameters of strict tools are too large together; leave 'strict' out of some.")
		}
	}
	return nil
}

// constrain makes the grammar of the answers, in the model's own format, which
// go on from the prompt: its reasoning first, where it reasons, and then calls
// or content. Arguments of tools that are not strict follow their schema where a
// grammar can hold them to it.
func (c *conversation) constrain() error {
	q, t, prompt := c.q, c.server.template, c.prompt.Text
	call := chat.ToolChoice{Required: forced(q) || c.format != nil, Loose: true}
	if q.ToolChoice != nil {
		call.Name = q.ToolChoice.Name
	}
	call.Parallel = call.Name == "" && (q.ParallelToolCalls == nil || *q.ParallelToolCalls)
	var either []*grammar.Grammar
	if len(c.tools) > 0 && (call.Required || c.strict) && !q.IgnoreEOS {
		g, err := t.ToolGrammar(prompt, c.tools, call)
		if err != nil {
			return openai.Invalid("tools", "invalid_value", "Invalid 'tools': %v.", err)
		}
		if g != nil {
			either = append(either, g)
		}
	}
	if c.format != nil && !forced(q) {
		g, err := t.AnswerGrammar(prompt, c.format)
		if err != nil {
			return openai.Invalid("response_format", "invalid_value", "Invalid 'response_format': %v.", err)
		}
		either = append(either, g)
	}
	switch len(either) {
	case 0:
		return nil
	case 1:
		c.grammar = either[0]
		return nil
	}
	var err error
	if c.grammar, err = grammar.Either(either...); err != nil {
		return openai.Invalid("response_format", "invalid_value", "Invalid 'response_format': %v.", err)
	}
	return nil
}

// templateError is of the caller: messages that do not suit the template, which
// may say so in its own words or trip over them.
func templateError(err error) error {
	var wrong *chat.Error
	var refused *chat.RefusedError
	switch {
	case errors.As(err, &wrong):
		return openai.Invalid("messages", "invalid_value", "Invalid %s: %v.", wrong.Where, wrong.Err)
	case errors.As(err, &refused):
		return openai.Invalid("messages", "invalid_value", "The model's template refuses these messages: %s", refused.Message)
	}
	return openai.Invalid("messages", "invalid_value", "The model's template cannot render these messages: %v.", err)
}
