package remote

import (
	"bytes"
	"encoding/json"

	"github.com/llcuda/llcuda/internal/openai"
)

// A Piece is a part of an answer, as it came.
type Piece struct {
	Text      string
	Reasoning string            // what a model thinks before it answers
	ToolCalls []openai.ToolCall // parts of calls: those with one Index belong together, and Arguments are joined
}

func (p *Piece) bytes() int {
	n := len(p.Text) + len(p.Reasoning)
	for _, c := range p.ToolCalls {
		n += len(c.Function.Name) + len(c.Function.Arguments)
	}
	return n
}

// empty is a piece that only says that the answer goes on.
func (p *Piece) empty() bool { return p.Text == "" && p.Reasoning == "" && len(p.ToolCalls) == 0 }

// A chunk is one event of a stream, or a whole answer: of chats and of
// completions, with what servers are known to do differently.
type chunk struct {
	Choices []struct {
		Index        int
		Text         string // of a completion
		Delta        delta
		Message      delta
		FinishReason string `json:"finish_reason"`
	}
	Usage *openai.Usage
	Error json.RawMessage
}

type delta struct {
	Content          content
	ReasoningContent string  `json:"reasoning_content"` // DeepSeek, llama-server, vLLM
	Reasoning        loose   `json:"reasoning"`         // OpenRouter, vLLM of 2026
	Refusal          *string // OpenAI: stands in place of the content
	ToolCalls        []struct {
		Index    *int // missing in whole answers, and with some servers in streams
		ID       string
		Function struct {
			Name      string
			Arguments arguments
		}
	} `json:"tool_calls"`
}

// failed reports whether the server gave up.
func (k *chunk) failed() bool { return len(k.Error) > 0 && string(k.Error) != "null" }

// piece is what the chunk adds to the first choice, and why that one ends.
func (k *chunk) piece() (p Piece, finish string) {
	for i := range k.Choices {
		c := &k.Choices[i]
		if c.Index != 0 {
			continue
		}
		p.Text += c.Text
		finish = c.FinishReason
		for _, d := range []*delta{&c.Delta, &c.Message} {
			p.Text += string(d.Content)
			if d.Refusal != nil {
				p.Text += *d.Refusal
			}
			if d.ReasoningContent != "" {
				p.Reasoning += d.ReasoningContent
			} else {
				p.Reasoning += string(d.Reasoning)
			}
			for n, t := range d.ToolCalls {
				if t.Index != nil {
					n = *t.Index
				}
				p.ToolCalls = append(p.ToolCalls, openai.ToolCall{Index: &n, ID: t.ID, Type: "function",
					Function: openai.FunctionCall{Name: t.Function.Name, Arguments: string(t.Function.Arguments)}})
			}
		}
	}
	return p, finish
}

// content is a text, null, or a list of parts of which the texts count.
type content string

func (c *content) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*c = content(text)
		return nil
	}
	var parts []struct{ Text string }
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		*c += content(p.Text)
	}
	return nil
}

// loose is a string, or the text of any other value.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*l = loose(s)
	return nil
}

// arguments are a JSON text in a string; some servers send the object itself.
type arguments string

func (a *arguments) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = string(bytes.TrimSpace(b))
	}
	*a = arguments(text)
	return nil
}
