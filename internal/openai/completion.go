package openai

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// CompletionRequest is POST /v1/completions. A prompt that is null or empty is
// the beginning of a document.
type CompletionRequest struct {
	Model  string  `json:"model"`
	Prompt Prompts `json:"prompt"`
	Sampling

	MaxTokens *int   `json:"max_tokens,omitempty"` // 16 with OpenAI
	Stop      Texts  `json:"stop,omitempty"`
	N         *int   `json:"n,omitempty"`
	BestOf    *int   `json:"best_of,omitempty"`
	Echo      bool   `json:"echo,omitempty"`
	Suffix    string `json:"suffix,omitempty"`
	Logprobs  *int   `json:"logprobs,omitempty"` // how many alternatives

	Stream        bool           `json:"stream,omitempty"`
	StreamOptions *StreamOptions `json:"stream_options,omitempty"`

	// What servers of open models add.
	Grammar        string          `json:"grammar,omitempty"`         // llama-server: GBNF
	ResponseFormat *ResponseFormat `json:"response_format,omitempty"` // vLLM
}

// Check says what is wrong with the request, whatever the model is. Its error
// is an *Error.
func (r *CompletionRequest) Check() error {
	if r.Prompt.Len() == 0 && !r.Prompt.Null {
		return missing("prompt")
	}
	one := 1
	limit := r.MaxTokens
	if limit != nil && *limit == 0 { // the prompt alone
		limit = nil
	}
	for _, err := range []error{
		r.check(),
		checkLimit("max_tokens", limit),
		checkStops(r.Stop),
		within("n", "integer", r.N, one, MaxChoices),
		within("best_of", "integer", r.BestOf, one, MaxChoices),
		within("logprobs", "integer", r.Logprobs, 0, MaxTopLogprobs),
		r.ResponseFormat.check(),
	} {
		if err != nil {
			return err
		}
	}
	if r.StreamOptions != nil && !r.Stream {
		return Invalid("stream_options", "invalid_value", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	return nil
}

// Texts is a list of texts, or one, in JSON a string.
type Texts []string

func (t *Texts) UnmarshalJSON(b []byte) error {
	var one string
	if err := either[Texts](b, &one, (*List[string])(t)); err != nil {
		return err
	}
	if b[0] == '"' {
		*t = Texts{one}
	}
	return nil
}

// Prompts are texts or lists of tokens: one of the two is filled. One is a
// string, or an array of integers, in JSON.
type Prompts struct {
	Texts  []string
	Tokens [][]int32
	Null   bool // JSON's null
}

// Len is how many there are.
func (p *Prompts) Len() int { return len(p.Texts) + len(p.Tokens) }

func (p Prompts) MarshalJSON() ([]byte, error) {
	switch {
	case len(p.Tokens) == 1 && p.Texts == nil:
		return json.Marshal(p.Tokens[0])
	case p.Tokens != nil && p.Texts == nil:
		return json.Marshal(p.Tokens)
	case len(p.Texts) == 1:
		return json.Marshal(p.Texts[0])
	}
	return json.Marshal(p.Texts)
}

func (p *Prompts) UnmarshalJSON(b []byte) error {
	*p = Prompts{}
	switch b[0] {
	case '"':
		p.Texts = []string{""}
		return json.Unmarshal(b, &p.Texts[0])
	case 'n':
		p.Null = true
		return nil
	case '[':
		var err error
		switch rest := bytes.TrimLeft(b[1:], " \t\r\n"); rest[0] {
		case ']':
		case '"':
			err = json.Unmarshal(b, (*List[string])(&p.Texts))
		case '[':
			var lists List[List[int32]]
			err = json.Unmarshal(b, &lists)
			for _, l := range lists {
				p.Tokens = append(p.Tokens, l)
			}
		default:
			p.Tokens = make([][]int32, 1)
			err = json.Unmarshal(b, (*List[int32])(&p.Tokens[0]))
		}
		if err == nil {
			return nil
		}
	}
	return &json.UnmarshalTypeError{Value: kindOf(b), Type: reflect.TypeFor[Prompts]()}
}

// CompletionResponse answers a CompletionRequest, and is an event of a
// streamed answer.
type CompletionResponse struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"` // "text_completion"
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	Choices           []CompletionChoice `json:"choices"`
	Usage             *Usage             `json:"usage,omitempty"`
	SystemFingerprint string             `json:"system_fingerprint,omitempty"`
}

// CompletionChoice is one text.
type CompletionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	Logprobs     *CompletionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"` // nil is null: it goes on
}

// CompletionLogprobs are the tokens of a text, one entry each in all lists.
type CompletionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // in characters
}
