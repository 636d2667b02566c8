package openai

import (
	"encoding/json"
)

// ResponseRequest is POST /v1/responses.
type ResponseRequest struct {
	Model        string `json:"model"`
	Input        Input  `json:"input"`
	Instructions string `json:"instructions,omitempty"`
	Sampling

	MaxOutputTokens *int `json:"max_output_tokens,omitempty"`
	Stream          bool `json:"stream,omitempty"`
	TopLogprobs     *int `json:"top_logprobs,omitempty"`

	Text              *ResponseText     `json:"text,omitempty"`
	Tools             []ResponseTool    `json:"tools,omitempty"`
	ToolChoice        *ToolChoice       `json:"tool_choice,omitempty"`
	ParallelToolCalls *bool             `json:"parallel_tool_calls,omitempty"`
	Reasoning         *ReasoningOptions `json:"reasoning,omitempty"`
	Include           List[string]      `json:"include,omitempty"`
	Metadata          Map[string]       `json:"metadata,omitempty"`

	// What needs a server that remembers.
	PreviousResponseID string          `json:"previous_response_id,omitempty"`
	Conversation       json.RawMessage `json:"conversation,omitempty"`
	Background         bool            `json:"background,omitempty"`
	Store              *bool           `json:"store,omitempty"`
}

// ReasoningOptions say how much a model is to think.
type ReasoningOptions struct {
	Effort string `json:"effort,omitempty"`
}

// ResponseText binds the text of an answer.
type ResponseText struct {
	Format *TextFormat `json:"format,omitempty"`
}

// TextFormat is a ResponseFormat, flat.
type TextFormat struct {
	Type        string          `json:"type"` // "text", "json_object", "json_schema"
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// Format is f as chats have it; nil for nil.
func (f *TextFormat) Format() *ResponseFormat {
	if f == nil {
		return nil
	}
	r := &ResponseFormat{Type: f.Type}
	if f.Type == "json_schema" {
		r.JSONSchema = &JSONSchema{Name: f.Name, Description: f.Description, Schema: f.Schema, Strict: f.Strict}
	}
	return r
}

// ResponseTool is a Tool, flat.
type ResponseTool struct {
	Type string `json:"type"` // "function"
	Function
}

// Input is a text or a list of items; a text is one message of the user.
type Input struct {
	Text  *string // may be empty, as OpenAI's may
	Items []InputItem
}

func (in Input) MarshalJSON() ([]byte, error) {
	if in.Items != nil {
		return json.Marshal(in.Items)
	}
	return json.Marshal(in.Text)
}

func (in *Input) UnmarshalJSON(b []byte) error { return either[Input](b, &in.Text, &in.Items) }

// An InputItem is a message, a call or its output, a piece of reasoning.
type InputItem struct {
	Type    string   `json:"type,omitempty"` // "message" (also ""), "function_call", "function_call_output", "reasoning"
	Role    string   `json:"role,omitempty"`
	Content *Content `json:"content,omitempty"`

	CallID    string   `json:"call_id,omitempty"`
	Name      string   `json:"name,omitempty"`
	Arguments string   `json:"arguments,omitempty"`
	Output    *Content `json:"output,omitempty"`
}

// Chat is the request as a chat. Its error is an *Error: of what it may not
// ask for, or of what Check of a chat finds, whose Param has the chat's names
// for what only a chat has.
func (r *ResponseRequest) Chat() (*ChatRequest, error) {
	if err := r.checkMemory(); err != nil {
		return nil, err
	}
	c := &ChatRequest{Model: r.Model, Sampling: r.Sampling, MaxCompletionTokens: r.MaxOutputTokens, Stream: r.Stream,
		ToolChoice: r.ToolChoice, ParallelToolCalls: r.ParallelToolCalls, TopLogprobs: r.TopLogprobs}
	for _, what := range r.Include {
		c.Logprobs = c.Logprobs || what == "message.output_text.logprobs"
	}
	if !c.Logprobs {
		c.TopLogprobs = nil
	}
	if r.Reasoning != nil {
		c.ReasoningEffort = r.Reasoning.Effort
	}
	if r.Text != nil {
		c.ResponseFormat = r.Text.Format.Format()
	}
	for i, t := range r.Tools {
		if t.Type != "function" {
			return nil, Invalid(at("tools", i, "type"), CodeUnsupported, "Invalid value: '%.80s'. The only tools here are those of type 'function'.", t.Type)
		}
		c.Tools = append(c.Tools, Tool{Type: t.Type, Function: t.Function})
	}
	if r.Instructions != "" {
		c.Messages = append(c.Messages, Message{Role: "system", Content: Text(r.Instructions)})
	}
	if err := r.Input.messages(c); err != nil {
		return nil, err
	}
	one := 1
	if err := within("max_output_tokens", "integer", r.MaxOutputTokens, one, 1<<31-1); err != nil {
		return nil, err
	}
	if err := within("top_logprobs", "integer", r.TopLogprobs, 0, MaxTopLogprobs); err != nil {
		return nil, err
	}
	return c, c.Check()
}

// checkMemory refuses what needs a server that keeps responses.
func (r *ResponseRequest) checkMemory() error {
	const why = "responses are not stored here; send the whole conversation as 'input'."
	switch {
	case r.PreviousResponseID != "":
		return Invalid("previous_response_id", CodeUnsupported, "'previous_response_id' is not supported: %s", why)
	case len(r.Conversation) > 0 && string(r.Conversation) != "null":
		return Invalid("conversation", CodeUnsupported, "'conversation' is not supported: %s", why)
	case r.Background:
		return Invalid("background", CodeUnsupported, "'background' is not supported: %s", why)
	case r.Input.Text == nil && len(r.Input.Items) == 0:
		return missing("input")
	}
	return nil
}

// messages appends the items as messages of a chat.
func (in *Input) messages(c *ChatRequest) error {
	if in.Text != nil {
		c.Messages = append(c.Messages, Message{Role: "user", Content: Text(*in.Text)})
		return nil
	}
	for i, item := range in.Items {
		switch item.Type {
		case "", "message":
			m, err := item.message(i)
			if err != nil {
				return err
			}
			c.Messages = append(c.Messages, m)
		case "function_call":
			if item.CallID == "" {
				return missing(at("input", i, "call_id"))
			}
			call := ToolCall{ID: item.CallID, Type: "function", Function: FunctionCall{Name: item.Name, Arguments: item.Arguments}}
			if n := len(c.Messages); n > 0 && c.Messages[n-1].Role == "assistant" { // one turn: text, and calls side by side
				c.Messages[n-1].ToolCalls = append(c.Messages[n-1].ToolCalls, call)
				continue
			}
			c.Messages = append(c.Messages, Message{Role: "assistant", ToolCalls: []ToolCall{call}})
		case "function_call_output":
			if item.Output == nil {
				return missing(at("input", i, "output"))
			}
			if err := item.Output.texts(at("input", i, "output")); err != nil {
				return err
			}
			c.Messages = append(c.Messages, Message{Role: "tool", ToolCallID: item.CallID, Content: Text(item.Output.String())})
		case "reasoning": // of an earlier turn: templates leave it out
		default:
			return Invalid(at("input", i, "type"), CodeUnsupported,
				"Invalid value: '%.80s'. Supported values are: 'message', 'function_call', 'function_call_output' and 'reasoning'.", item.Type)
		}
	}
	if len(c.Messages) == 0 {
		return missing("input")
	}
	return nil
}

// message is item i as a message of a chat.
func (item *InputItem) message(i int) (Message, error) {
	m := Message{Role: item.Role, Content: item.Content}
	if item.Role == "" {
		return m, missing(at("input", i, "role"))
	}
	if item.Content == nil {
		return m, missing(at("input", i, "content"))
	}
	if item.Content.Parts == nil {
		return m, nil
	}
	if err := item.Content.texts(at("input", i, "content")); err != nil {
		return m, err
	}
	m.Content = Text(item.Content.String())
	return m, nil
}

// texts refuses parts of another kind. name is that of the content.
func (c *Content) texts(name string) error {
	for k, p := range c.Parts {
		switch p.Type {
		case "input_text", "output_text", "text", "refusal":
		default:
			return Invalid(at(name, k, "type"), CodeUnsupported,
				"Invalid value: '%.80s'. This model reads text only: the supported values are 'input_text' and 'output_text'.", p.Type)
		}
	}
	return nil
}

// Response answers a ResponseRequest.
type Response struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"` // "response"
	CreatedAt         int64              `json:"created_at"`
	Status            string             `json:"status"` // "in_progress", "completed", "incomplete", "failed"
	Error             *ResponseError     `json:"error"`
	IncompleteDetails *IncompleteDetails `json:"incomplete_details"`
	Instructions      *string            `json:"instructions"`
	MaxOutputTokens   *int               `json:"max_output_tokens"`
	Model             string             `json:"model"`
	Output            []OutputItem       `json:"output"`
	ParallelToolCalls bool               `json:"parallel_tool_calls"`
	PreviousID        *string            `json:"previous_response_id"`
	Store             bool               `json:"store"`
	Temperature       *float64           `json:"temperature"`
	Text              ResponseText       `json:"text"`
	ToolChoice        ToolChoiceOrName   `json:"tool_choice"`
	Tools             []ResponseTool     `json:"tools"`
	TopP              *float64           `json:"top_p"`
	Truncation        string             `json:"truncation"` // "disabled"
	Usage             *ResponseUsage     `json:"usage"`
	Metadata          map[string]string  `json:"metadata"`
}

// ToolChoiceOrName is a ToolChoice as the responses API writes it: flat.
type ToolChoiceOrName ToolChoice

func (c ToolChoiceOrName) MarshalJSON() ([]byte, error) {
	if c.Mode != "function" {
		return json.Marshal(c.Mode)
	}
	return json.Marshal(map[string]string{"type": "function", "name": c.Name})
}

func (c *ToolChoiceOrName) UnmarshalJSON(b []byte) error { return (*ToolChoice)(c).UnmarshalJSON(b) }

// ResponseError says why a response failed.
type ResponseError struct {
	Code    string `json:"code"` // "server_error"
	Message string `json:"message"`
}

// IncompleteDetails say why a response is cut off.
type IncompleteDetails struct {
	Reason string `json:"reason"` // "max_output_tokens"
}

// ResponseUsage is Usage in the words of the responses API.
type ResponseUsage struct {
	InputTokens   int              `json:"input_tokens"`
	InputDetails  PromptDetails    `json:"input_tokens_details"`
	OutputTokens  int              `json:"output_tokens"`
	OutputDetails CompletionDetail `json:"output_tokens_details"`
	TotalTokens   int              `json:"total_tokens"`
}

// An OutputItem is a message, a call or a piece of reasoning.
type OutputItem struct {
	ID     string `json:"id"`
	Type   string `json:"type"`             // "message", "function_call", "reasoning"
	Status string `json:"status,omitempty"` // "in_progress", "completed", "incomplete"

	Role    string       `json:"role,omitempty"` // "assistant"
	Content []OutputPart `json:"content,omitempty"`

	CallID    string  `json:"call_id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Arguments *string `json:"arguments,omitempty"`

	Summary []OutputPart `json:"summary,omitempty"`
}

// MarshalJSON keeps the empty lists that a kind of item always has.
func (o OutputItem) MarshalJSON() ([]byte, error) {
	type plain OutputItem
	switch {
	case o.Type == "message" && len(o.Content) == 0:
		return json.Marshal(struct {
			plain
			Content []OutputPart `json:"content"`
		}{plain(o), []OutputPart{}})
	case o.Type == "reasoning" && len(o.Summary) == 0:
		return json.Marshal(struct {
			plain
			Summary []OutputPart `json:"summary"`
		}{plain(o), []OutputPart{}})
	}
	return json.Marshal(plain(o))
}

// An OutputPart is a text of an item. A message's has annotations and
// logprobs, which are none and perhaps some.
type OutputPart struct {
	Type        string          `json:"type"` // "output_text", "reasoning_text"
	Text        string          `json:"text"`
	Annotations []string        `json:"annotations,omitempty"`
	Logprobs    *[]TokenLogprob `json:"logprobs,omitempty"`
}

// MarshalJSON keeps the empty list of annotations that the API promises.
func (p OutputPart) MarshalJSON() ([]byte, error) {
	type plain OutputPart
	if p.Type != "output_text" {
		return json.Marshal(plain(p))
	}
	logprobs := []TokenLogprob{}
	if p.Logprobs != nil {
		logprobs = *p.Logprobs
	}
	return json.Marshal(struct {
		plain
		Annotations []string       `json:"annotations"`
		Logprobs    []TokenLogprob `json:"logprobs"`
	}{plain(p), []string{}, logprobs})
}

// ResponseEvent is one event of a streamed response; which fields it has
// depends on its type.
type ResponseEvent struct {
	Type     string `json:"type"` // also the name of the event: "response.output_text.delta", …
	Sequence int    `json:"sequence_number"`

	Response    *Response   `json:"response,omitempty"`
	OutputIndex *int        `json:"output_index,omitempty"`
	Item        *OutputItem `json:"item,omitempty"`

	ItemID       string          `json:"item_id,omitempty"`
	ContentIndex *int            `json:"content_index,omitempty"`
	Part         *OutputPart     `json:"part,omitempty"`
	Delta        *string         `json:"delta,omitempty"`
	Text         *string         `json:"text,omitempty"`
	Logprobs     *[]TokenLogprob `json:"logprobs,omitempty"`
	Name         string          `json:"name,omitempty"`
	Arguments    *string         `json:"arguments,omitempty"`

	// Of type "error".
	Code    string  `json:"code,omitempty"`
	Message string  `json:"message,omitempty"`
	Param   *string `json:"param,omitempty"`
}
