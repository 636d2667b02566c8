package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

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

// bound finds out what binds the answers: a format, or that a tool has to be
// called. Then an answer is JSON from its first token on, so nothing is
// thought before.
func (c *conversation) bound() (err error) {
	s, q := c.server, c.q
	if c.grammar, err = s.grammar(q.ResponseFormat, q.Grammar, q.IgnoreEOS); err != nil {
		return err
	}
	offered := len(q.Tools) > 0 && (q.ToolChoice == nil || q.ToolChoice.Mode != "none")
	if c.grammar != nil && offered {
		return openai.Invalid("tools", openai.CodeUnsupported,
			"'tools' are not supported together with 'response_format' or 'grammar', which no call would fit; send tool_choice \"none\".")
	}
	if offered && q.ToolChoice != nil && (q.ToolChoice.Mode == "required" || q.ToolChoice.Mode == "function") {
		c.forced = true
		if c.grammar, err = callGrammar(q.Tools, q.ToolChoice.Name); err != nil {
			return err
		}
		if q.IgnoreEOS {
			return openai.Invalid("ignore_eos", "invalid_value", "'ignore_eos' and 'tool_choice' exclude each other: a call ends where it is complete.")
		}
	}
	return nil
}

// localRef is a reference to the schema's own document.
var localRef = regexp.MustCompile(`("\$ref"\s*:\s*")#`)

// callGrammar is that of one call of a tool, or of the one that is named:
// {"name": …, "arguments": {…}}.
func callGrammar(tools []openai.Tool, name string) (*grammar.Grammar, error) {
	var branches [][]byte
	for i, t := range tools {
		if name != "" && t.Function.Name != name {
			continue
		}
		arguments := []byte(t.Function.Parameters)
		if len(arguments) == 0 || string(arguments) == "null" || string(arguments) == "{}" {
			arguments = []byte(`{"type":"object"}`)
		}
		if _, err := grammar.FromSchema(arguments); err != nil { // its paths are the caller's
			return nil, openai.Invalid(fmt.Sprintf("tools[%d].function.parameters", i), "invalid_value", "Invalid parameters of tool '%s': %v.", t.Function.Name, err)
		}
		arguments = localRef.ReplaceAll(arguments, fmt.Appendf(nil, "${1}#/anyOf/%d/properties/arguments", len(branches)))
		quoted, err := json.Marshal(t.Function.Name)
		if err != nil {
			return nil, err
		}
		branches = append(branches, fmt.Appendf(nil, `{"type":"object","properties":{"name":{"const":%s},"arguments":%s},"required":["name","arguments"]}`, quoted, arguments))
	}
	g, err := grammar.FromSchema(fmt.Appendf(nil, `{"anyOf":[%s]}`, bytes.Join(branches, []byte(","))))
	if err != nil {
		return nil, openai.Invalid("tools", "invalid_value", "Invalid 'tools': %v.", err)
	}
	return g, nil
}

// A splitter makes events of what a model writes; a chat.Parser is one.
type splitter interface {
	Push(text string) []chat.Event
	Close() []chat.Event
}

func (c *conversation) splitter() splitter {
	switch {
	case c.forced:
		return &callText{}
	case c.grammar != nil:
		return plainText{}
	}
	return c.server.template.NewParser(c.prompt.Text, c.tools)
}

// plainText is content, whatever it looks like.
type plainText struct{}

func (plainText) Push(text string) []chat.Event {
	if text == "" {
		return nil
	}
	return []chat.Event{{Kind: chat.ContentDelta, Text: text, Raw: text}}
}

func (plainText) Close() []chat.Event { return nil }

// callText is a text of callGrammar.
type callText struct{ text strings.Builder }

func (t *callText) Push(text string) []chat.Event {
	t.text.WriteString(text)
	return nil
}

// Close returns the call; one that was cut off is content, as no program could
// make the call.
func (t *callText) Close() []chat.Event {
	text := t.text.String()
	var call struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal([]byte(text), &call); err != nil {
		return plainText{}.Push(text)
	}
	whole := chat.ToolCall{ID: newID("call_"), Name: call.Name, Arguments: string(call.Arguments)}
	return []chat.Event{
		{Kind: chat.CallStart, Tool: chat.ToolCall{ID: whole.ID, Name: whole.Name}, Raw: text},
		{Kind: chat.CallArguments, Text: whole.Arguments},
		{Kind: chat.CallEnd, Tool: whole},
	}
}

// templateError is of the caller where messages do not suit the template, which
// may say so in its own words.
func templateError(err error) error {
	var wrong *chat.Error
	var refused *chat.RefusedError
	switch {
	case errors.As(err, &wrong):
		return openai.Invalid("messages", "invalid_value", "Invalid %s: %v.", wrong.Where, wrong.Err)
	case errors.As(err, &refused):
		return openai.Invalid("messages", "invalid_value", "The model's template refuses these messages: %s", refused.Message)
	}
	return err
}
