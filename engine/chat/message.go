package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Roles of messages. Developer is a system message to templates that do not
// know it; Function is the older name of Tool.
const (
	System    = "system"
	Developer = "developer"
	User      = "user"
	Assistant = "assistant"
	ToolRole  = "tool"
	Function  = "function"
)

var roles = []string{System, Developer, User, Assistant, ToolRole, Function}

// A Message is one entry of a conversation.
type Message struct {
	Role       string
	Content    string     // its text
	Parts      []Part     // what Content was given as, when it was a list; Content is their text then
	Reasoning  string     // what an assistant thought before; "reasoning_content" in JSON
	ToolCalls  []ToolCall // of an assistant
	ToolCallID string     // the call that a tool's message answers
	Name       string     // of who speaks, or of the tool
}

// A Part is a piece of a message's content. Only texts are understood; other
// types (images, audio) are kept as they came and refused when rendered.
type Part struct {
	Type string // "text", "image_url", …
	Text string
	Raw  json.RawMessage // as it came; nil: made from Type and Text
}

// A ToolCall is what an assistant wants to have done.
type ToolCall struct {
	ID        string
	Name      string
	Arguments string // JSON, normally an object; kept as the model wrote it
}

// A Tool describes a function that the model may call.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // JSON schema of its arguments; nil: none
	Raw         json.RawMessage // the definition as it came, which templates show; nil: made from the other fields
}

// An Error is a message, a tool or an option that cannot be rendered: the
// caller's mistake.
type Error struct {
	Where string // "message 3", "tool 0"
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("chat: %s: %v", e.Where, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

type wireMessage struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"` // null, a string or parts
	Reasoning  string          `json:"reasoning_content,omitempty"`
	ToolCalls  []ToolCall      `json:"tool_calls,omitempty"`
	ToolCallID string          `json:"tool_call_id,omitempty"`
	Name       string          `json:"name,omitempty"`
}

// MarshalJSON writes OpenAI's form.
func (m Message) MarshalJSON() ([]byte, error) {
	w := wireMessage{m.Role, json.RawMessage("null"), m.Reasoning, m.ToolCalls, m.ToolCallID, m.Name}
	var err error
	switch {
	case m.Parts != nil:
		w.Content, err = encode(m.Parts)
	case m.Content != "" || len(m.ToolCalls) == 0:
		w.Content, err = encode(m.Content)
	}
	if err != nil {
		return nil, err
	}
	return encode(w)
}

// UnmarshalJSON reads OpenAI's form. "reasoning" is taken for
// "reasoning_content", as some servers write it.
func (m *Message) UnmarshalJSON(data []byte) error {
	var w struct {
		wireMessage
		Other string `json:"reasoning"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*m = Message{Role: w.Role, Reasoning: w.Reasoning, ToolCalls: w.ToolCalls, ToolCallID: w.ToolCallID, Name: w.Name}
	if m.Reasoning == "" {
		m.Reasoning = w.Other
	}
	switch content := bytes.TrimSpace(w.Content); {
	case len(content) == 0 || string(content) == "null":
	case content[0] == '"':
		return json.Unmarshal(content, &m.Content)
	case content[0] == '[':
		if err := json.Unmarshal(content, &m.Parts); err != nil {
			return err
		}
		if m.Parts == nil {
			m.Parts = []Part{}
		}
		m.Content = m.text()
	default:
		return fmt.Errorf("chat: message content is %.20s, want a string or a list of parts", content)
	}
	return nil
}

// text is the texts of the parts, a line each.
func (m *Message) text() string {
	var texts []string
	for _, p := range m.Parts {
		if p.Type == "text" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// Check says what is wrong with a message for any template.
func (m *Message) Check() error {
	if !slices.Contains(roles, m.Role) {
		return fmt.Errorf("role %q: want %s", m.Role, strings.Join(roles, ", "))
	}
	for _, p := range m.Parts {
		if p.Type != "text" {
			return fmt.Errorf("a content part of type %q: the model reads only text", p.Type)
		}
	}
	return nil
}

func (p Part) MarshalJSON() ([]byte, error) {
	if p.Raw != nil {
		return p.Raw, nil
	}
	return encode(struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}{p.Type, p.Text})
}

func (p *Part) UnmarshalJSON(data []byte) error {
	var w struct{ Type, Text string }
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	switch w.Type {
	case "input_text", "output_text": // of the responses API
		w.Type = "text"
	}
	*p = Part{Type: w.Type, Text: w.Text}
	if w.Type != "text" {
		p.Raw = bytes.Clone(data)
	}
	return nil
}

type wireCall struct {
	ID       string `json:"id,omitempty"`
	Type     string `json:"type"`
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

func (c ToolCall) MarshalJSON() ([]byte, error) {
	w := wireCall{ID: c.ID, Type: "function"}
	w.Function.Name = c.Name
	var err error
	if w.Function.Arguments, err = encode(c.Arguments); err != nil {
		return nil, err
	}
	return encode(w)
}

// UnmarshalJSON also takes arguments that are an object instead of a string of
// one, and calls without "function" around name and arguments.
func (c *ToolCall) UnmarshalJSON(data []byte) error {
	var w struct {
		wireCall
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	if w.Function.Name == "" {
		w.Function.Name, w.Function.Arguments = w.Name, w.Arguments
	}
	*c = ToolCall{ID: w.ID, Name: w.Function.Name, Arguments: argumentText(w.Function.Arguments)}
	return nil
}

// argumentText is the JSON of arguments that may come as a string of it.
func argumentText(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

type wireTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
	} `json:"function"`
}

func (t Tool) MarshalJSON() ([]byte, error) {
	if t.Raw != nil {
		return t.Raw, nil
	}
	w := wireTool{Type: "function"}
	w.Function.Name, w.Function.Description, w.Function.Parameters = t.Name, t.Description, t.Parameters
	return encode(w)
}

// UnmarshalJSON reads a definition and keeps it as it is. A bare function,
// without {"type": "function", "function": …} around it, gets that.
func (t *Tool) UnmarshalJSON(data []byte) error {
	var w wireTool
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	raw := bytes.Clone(data)
	if w.Function.Name == "" && (w.Type == "" || w.Type == "function") {
		if err := json.Unmarshal(data, &w.Function); err != nil {
			return err
		}
		raw = slices.Concat([]byte(`{"type": "function", "function": `), raw, []byte("}"))
		if w.Type != "" { // the flat form of the responses API
			raw = nil
		}
	}
	if w.Function.Name == "" {
		return fmt.Errorf("chat: tool %.60s: want {\"type\": \"function\", \"function\": {\"name\": …, \"parameters\": …}}", data)
	}
	*t = Tool{w.Function.Name, w.Function.Description, w.Function.Parameters, raw}
	return nil
}

// encode is json.Marshal without escapes for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
