package openai

import (
	"encoding/json"
	"slices"
)

// ChatRequest is POST /v1/chat/completions.
type ChatRequest struct {
	Model    string    `json:"model"`
	Messages []Message `json:"messages"`
	Sampling

	MaxTokens           *int  `json:"max_tokens,omitempty"` // the older name
	MaxCompletionTokens *int  `json:"max_completion_tokens,omitempty"`
	Stop                Texts `json:"stop,omitempty"`
	N                   *int  `json:"n,omitempty"`

	Stream        bool           `json:"stream,omitempty"`
	StreamOptions *StreamOptions `json:"stream_options,omitempty"`

	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs *int `json:"top_logprobs,omitempty"`

	Tools             []Tool          `json:"tools,omitempty"`
	ToolChoice        *ToolChoice     `json:"tool_choice,omitempty"`
	ParallelToolCalls *bool           `json:"parallel_tool_calls,omitempty"`
	ResponseFormat    *ResponseFormat `json:"response_format,omitempty"`
	Functions         json.RawMessage `json:"functions,omitempty"` // what tools were before 2023

	Modalities      List[string] `json:"modalities,omitempty"`
	ReasoningEffort string       `json:"reasoning_effort,omitempty"`

	// What servers of open models add.
	Grammar            string                     `json:"grammar,omitempty"`              // llama-server: GBNF
	ChatTemplateKwargs map[string]json.RawMessage `json:"chat_template_kwargs,omitempty"` // vLLM, llama-server: {"enable_thinking": false}
}

// Limit is how many tokens may be generated; 0 is as many as there is room for.
func (r *ChatRequest) Limit() int {
	for _, n := range []*int{r.MaxCompletionTokens, r.MaxTokens} {
		if n != nil && *n > 0 {
			return *n
		}
	}
	return 0
}

// Check says what is wrong with the request, whatever the model is. Its error
// is an *Error.
func (r *ChatRequest) Check() error {
	if len(r.Messages) == 0 {
		return missing("messages")
	}
	for i := range r.Messages {
		if err := r.Messages[i].check(i); err != nil {
			return err
		}
	}
	if len(r.Functions) > 0 && string(r.Functions) != "null" {
		return Invalid("functions", CodeUnsupported, "'functions' are not supported; use 'tools'.")
	}
	if i := slices.IndexFunc(r.Modalities, func(m string) bool { return m != "text" }); i >= 0 {
		return Invalid("modalities", CodeUnsupported, "Invalid value: '%.80s'. This model writes text only: the supported value is 'text'.", r.Modalities[i])
	}
	one := 1
	for _, err := range []error{
		r.check(),
		checkLimit("max_tokens", r.MaxTokens),
		checkLimit("max_completion_tokens", r.MaxCompletionTokens),
		checkStops(r.Stop),
		within("n", "integer", r.N, one, MaxChoices),
		within("top_logprobs", "integer", r.TopLogprobs, 0, MaxTopLogprobs),
		checkTools(r.Tools, r.ToolChoice),
		r.ResponseFormat.check(),
	} {
		if err != nil {
			return err
		}
	}
	if r.TopLogprobs != nil && !r.Logprobs {
		return Invalid("top_logprobs", "invalid_value", "'top_logprobs' is only allowed when 'logprobs' is true.")
	}
	if r.StreamOptions != nil && !r.Stream {
		return Invalid("stream_options", "invalid_value", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	return nil
}

// check says what is wrong with message i.
func (m *Message) check(i int) error {
	if m.Role == "" {
		return missing(at("messages", i, "role"))
	}
	if err := oneOf(at("messages", i, "role"), m.Role, "system", "developer", "user", "assistant", "tool"); err != nil {
		return err
	}
	if m.Content == nil && m.Role != "assistant" {
		return missing(at("messages", i, "content"))
	}
	if m.Content == nil && len(m.ToolCalls) == 0 && m.Refusal == nil && m.ReasoningContent == "" && m.Reasoning == "" {
		return missing(at("messages", i, "content"))
	}
	if m.Content != nil {
		for k, p := range m.Content.Parts {
			if p.Type != "text" && p.Type != "refusal" {
				return Invalid(at("messages", i, at("content", k, "type")), CodeUnsupported,
					"Invalid value: '%.80s'. This model reads text only: the supported value is 'text'.", p.Type)
			}
		}
	}
	for k, c := range m.ToolCalls {
		if c.Function.Name == "" {
			return missing(at("messages", i, at("tool_calls", k, "function.name")))
		}
	}
	if m.Role == "tool" && m.ToolCallID == "" {
		return missing(at("messages", i, "tool_call_id"))
	}
	return nil
}

// ChatResponse answers a ChatRequest.
type ChatResponse struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"` // "chat.completion"
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []ChatChoice `json:"choices"`
	Usage             *Usage       `json:"usage,omitempty"`
	SystemFingerprint string       `json:"system_fingerprint,omitempty"`
}

// ChatChoice is one answer.
type ChatChoice struct {
	Index        int           `json:"index"`
	Message      Message       `json:"message"`
	Logprobs     *ChatLogprobs `json:"logprobs"`
	FinishReason string        `json:"finish_reason"`
}

// ChatLogprobs are the tokens of an answer with their probabilities.
type ChatLogprobs struct {
	Content []TokenLogprob `json:"content"`
}

// TokenLogprob is one token and the likeliest ones in its place.
type TokenLogprob struct {
	Logprob
	Top []Logprob `json:"top_logprobs"`
}

// Logprob is a token and the natural logarithm of its probability.
type Logprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"` // not []byte, which JSON has as base64
}

// ChatChunk is one event of a streamed answer. The last one has no choices and
// the usage, if it was asked for.
type ChatChunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"` // "chat.completion.chunk"
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	Choices           []ChunkChoice `json:"choices"`
	Usage             *Usage        `json:"usage,omitempty"`
	SystemFingerprint string        `json:"system_fingerprint,omitempty"`
}

// ChunkChoice is what is new in one answer.
type ChunkChoice struct {
	Index        int           `json:"index"`
	Delta        Delta         `json:"delta"`
	Logprobs     *ChatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"` // nil is null: it goes on
}

// Delta is what a chunk adds to a message.
type Delta struct {
	Role             string     `json:"role,omitempty"`
	Content          *string    `json:"content,omitempty"`
	ReasoningContent string     `json:"reasoning_content,omitempty"`
	Reasoning        string     `json:"reasoning,omitempty"`
	ToolCalls        []ToolCall `json:"tool_calls,omitempty"`
	Refusal          *string    `json:"refusal,omitempty"`
}
