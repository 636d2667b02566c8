package remote

import (
	"encoding/json"
	"fmt"
	"maps"
)

// A Request is a text to continue, or a conversation to answer.
type Request struct {
	Model    string
	Prompt   string          // is continued, where there are no messages
	Messages json.RawMessage // a JSON array, as the API has it; a conversation to answer

	MaxTokens int            // 0: the server's limit
	Stop      []string       // texts that end the answer
	Fields    map[string]any // further fields of the API: "temperature", "seed", "tools", …
}

// body is the request as JSON, in the words that this server takes.
func (c *Client) body(q *Request, chat, stream bool) ([]byte, error) {
	m := map[string]any{"model": q.Model, "stream": stream}
	switch {
	case !chat:
		m["prompt"] = q.Prompt
	case q.Messages != nil:
		m["messages"] = q.Messages
	default:
		m["messages"] = []map[string]string{{"role": "user", "content": q.Prompt}}
	}
	if q.MaxTokens > 0 && chat && c.noMaxTokens.Load() {
		m["max_completion_tokens"] = q.MaxTokens
	} else if q.MaxTokens > 0 {
		m["max_tokens"] = q.MaxTokens
	}
	if len(q.Stop) > 0 {
		m["stop"] = q.Stop
	}
	if stream && !c.noStreamOptions.Load() {
		m["stream_options"] = map[string]bool{"include_usage": true}
	}
	maps.Copy(m, q.Fields)
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("remote: request: %w", err)
	}
	return b, nil
}
