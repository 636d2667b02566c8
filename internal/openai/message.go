package openai

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
)

// A Message is one turn of a chat.
type Message struct {
	Role       string     `json:"role"`
	Content    *Content   `json:"content"` // nil is null, as beside tool calls
	Name       string     `json:"name,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"` // role tool: the call that this is the result of
	Refusal    *string    `json:"refusal,omitempty"`

	// Reasoning goes by two names: DeepSeek's and llama-server's, and vLLM's.
	ReasoningContent string `json:"reasoning_content,omitempty"`
	Reasoning        string `json:"reasoning,omitempty"`
}

// Text is the content as one text.
func (m *Message) Text() string {
	if m.Content == nil {
		return ""
	}
	return m.Content.String()
}

// Content is a text, or parts of several kinds. In JSON it is a string, or an
// array where Parts is not nil.
type Content struct {
	Text  string
	Parts []Part
}

// Text is a content of one text.
func Text(s string) *Content { return &Content{Text: s} }

// String is the text, or that of all parts that have one.
func (c *Content) String() string {
	if c.Parts == nil {
		return c.Text
	}
	var b strings.Builder
	for _, p := range c.Parts {
		b.WriteString(p.Text)
		b.WriteString(p.Refusal)
	}
	return b.String()
}

// A Part is one piece of a message. Only texts are understood; the Type of
// others says what they are.
type Part struct {
	Type    string `json:"type"` // "text"; "input_text" and "output_text" in the responses API
	Text    string `json:"text,omitempty"`
	Refusal string `json:"refusal,omitempty"`
}

func (c Content) MarshalJSON() ([]byte, error) {
	if c.Parts != nil {
		return json.Marshal(c.Parts)
	}
	return json.Marshal(c.Text)
}

func (c *Content) UnmarshalJSON(b []byte) error {
	return either[Content](b, &c.Text, &c.Parts)
}

// either reads a string into text or an array into list. The error names T.
func either[T any](b []byte, text, list any) error {
	switch b[0] {
	case '"':
		return json.Unmarshal(b, text)
	case '[':
		return json.Unmarshal(b, list)
	case 'n': // null
		return nil
	}
	return &json.UnmarshalTypeError{Value: kindOf(b), Type: reflect.TypeFor[T]()}
}

// kindOf is what encoding/json calls a value in its errors.
func kindOf(b []byte) string {
	switch b[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	}
	return "number"
}

// A ToolCall is what a model wants to have called.
type ToolCall struct {
	Index    *int         `json:"index,omitempty"` // in chunks: which call the piece belongs to
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"` // "function"
	Function FunctionCall `json:"function"`
}

// A FunctionCall names a function and its arguments, as JSON in a string: what
// the model wrote, which may be no valid JSON.
type FunctionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// A Tool is a function that a model may call.
type Tool struct {
	Type     string   `json:"type"` // "function"
	Function Function `json:"function"`
}

// A Function is described by a JSON schema of its arguments.
type Function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // a schema; absent: no parameters
	Strict      *bool           `json:"strict,omitempty"`
}

// A ToolChoice says whether tools are called: "none", "auto", "required", or
// the one function that is.
type ToolChoice struct {
	Mode string // "none", "auto", "required", "function"
	Name string // of the function
}

type wireChoice struct {
	Type     string `json:"type"`
	Name     string `json:"name,omitempty"` // the responses API
	Function *struct {
		Name string `json:"name"`
	} `json:"function,omitempty"`
}

func (c ToolChoice) MarshalJSON() ([]byte, error) {
	if c.Mode != "function" {
		return json.Marshal(c.Mode)
	}
	return json.Marshal(map[string]any{"type": "function", "function": map[string]string{"name": c.Name}})
}

func (c *ToolChoice) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		return json.Unmarshal(b, &c.Mode)
	case 'n':
		return nil
	case '{':
		var w wireChoice
		if err := json.Unmarshal(b, &w); err != nil {
			return err
		}
		if w.Type == "" {
			return missing("tool_choice.type")
		}
		c.Mode, c.Name = w.Type, w.Name
		if w.Function != nil {
			c.Name = w.Function.Name
		}
		return nil
	}
	return &json.UnmarshalTypeError{Value: kindOf(b), Type: reflect.TypeFor[ToolChoice]()}
}

// toolName is what can be called: OpenAI's names, which have at most 64 letters,
// digits, _ and -, and those of others (files.read, server/tool).
var toolName = regexp.MustCompile(`^[A-Za-z0-9_./:-]{1,128}$`)

// checkTools checks a request's tools and which of them is chosen.
func checkTools(tools []Tool, choice *ToolChoice) error {
	names := map[string]bool{}
	for i, t := range tools {
		if err := oneOf(at("tools", i, "type"), t.Type, "function"); err != nil {
			return err
		}
		name := t.Function.Name
		if name == "" {
			return missing(at("tools", i, "function.name"))
		}
		if !toolName.MatchString(name) {
			return Invalid(at("tools", i, "function.name"), "invalid_value", "Invalid '%s': %.80q; want 1 to 128 letters, digits and . _ / : -",
				at("tools", i, "function.name"), name)
		}
		if names[name] {
			return Invalid(at("tools", i, "function.name"), "invalid_value", "Two tools are called %q.", name)
		}
		names[name] = true
		if p := t.Function.Parameters; len(p) > 0 && string(p) != "null" {
			if err := objectAt(at("tools", i, "function.parameters"), p); err != nil {
				return err
			}
		}
	}
	switch {
	case choice == nil:
		return nil
	case choice.Mode == "function" && choice.Name == "":
		return missing("tool_choice.function.name")
	case choice.Mode == "function" && !names[choice.Name]:
		return Invalid("tool_choice", "invalid_value", "Tool choice %q is not among 'tools'.", choice.Name)
	case len(tools) == 0 && choice.Mode == "required":
		return Invalid("tool_choice", "invalid_value", "'tool_choice' is only allowed when 'tools' are specified.")
	}
	return oneOf("tool_choice", choice.Mode, "none", "auto", "required", "function")
}

// objectAt checks that a schema is an object; true and false are no schemas of
// this API.
func objectAt(name string, b []byte) error {
	if b[0] == '{' {
		return nil
	}
	return Invalid(name, "invalid_type", "Invalid type for '%s': expected an object, but got %s instead.", name, found(kindOf(b)))
}

// A ResponseFormat binds the text of an answer.
type ResponseFormat struct {
	Type       string      `json:"type"` // "text", "json_object", "json_schema"
	JSONSchema *JSONSchema `json:"json_schema,omitempty"`
}

// A JSONSchema is named for the model's sake.
type JSONSchema struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

func (f *ResponseFormat) check() error {
	if f == nil {
		return nil
	}
	if err := oneOf("response_format.type", f.Type, "text", "json_object", "json_schema"); err != nil {
		return err
	}
	if f.Type != "json_schema" {
		return nil
	}
	const name = "response_format.json_schema.schema"
	if f.JSONSchema == nil || len(f.JSONSchema.Schema) == 0 || string(f.JSONSchema.Schema) == "null" {
		return missing(name)
	}
	return objectAt(name, f.JSONSchema.Schema)
}
