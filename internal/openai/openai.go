// Package openai is the wire format of the OpenAI API, for both of its ends:
// engine/server reads requests and writes responses, engine/remote the other
// way around. https://platform.openai.com/docs/api-reference
//
// Unknown fields are ignored, as every client library sends some of its own;
// fields that other servers of this API have (top_k, min_p, …) are here too.
// A field of the wrong type, or a number out of its range, is an *Error whose
// Param names the field.
package openai

// Usage counts the tokens of a request.
type Usage struct {
	PromptTokens     int               `json:"prompt_tokens"`
	CompletionTokens int               `json:"completion_tokens"`
	TotalTokens      int               `json:"total_tokens"`
	PromptDetails    *PromptDetails    `json:"prompt_tokens_details,omitempty"`
	CompletionDetail *CompletionDetail `json:"completion_tokens_details,omitempty"`
}

// PromptDetails say how much of a prompt did not have to be computed.
type PromptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// CompletionDetail says how much of a completion was reasoning.
type CompletionDetail struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

// Model is one of GET /v1/models.
type Model struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`

	// What servers of open models add.
	MaxModelLen int `json:"max_model_len,omitempty"` // vLLM: tokens of a context
}

// ModelList is GET /v1/models.
type ModelList struct {
	Object string  `json:"object"` // "list"
	Data   []Model `json:"data"`
}

// StreamOptions of a streamed request.
type StreamOptions struct {
	IncludeUsage bool `json:"include_usage,omitempty"`
}

// Why a choice ended.
const (
	FinishStop      = "stop"       // the model ended its text, or a stop text came
	FinishLength    = "length"     // max_tokens, or the context is full
	FinishToolCalls = "tool_calls" // the model waits for the results of its calls
)
