package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// A Model is one that a server lists. What a server does not tell is zero.
type Model struct {
	ID      string
	OwnedBy string // "vllm", "llamacpp", "openai", …: says which server it is
	Context int    // tokens
	Params  int64
	Size    int64 // bytes of its weights
}

// Models lists what the server has. NoList tells the error of one that has no
// list.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	r, err := c.send(ctx, "/models", nil)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("remote: %s: reading its models: %w", c.base.Host, err)
	}
	var list struct {
		Data []struct {
			ID      string
			OwnedBy string `json:"owned_by"`
			Context int    `json:"max_model_len"` // vLLM
			Meta    struct {
				Context  int   `json:"n_ctx"` // llama-server
				Training int   `json:"n_ctx_train"`
				Params   int64 `json:"n_params"`
				Size     int64
			}
		}
		Error json.RawMessage
	}
	if err := json.Unmarshal(b, &list); err != nil || list.Data == nil && list.Error == nil {
		return nil, fmt.Errorf("remote: %s/models: the answer is %w", c.base, errNotAPI)
	}
	if list.Data == nil {
		return nil, c.parseError(0, b)
	}
	var models []Model
	for _, m := range list.Data {
		if m.ID == "" {
			continue
		}
		context := m.Context
		for _, n := range []int{m.Meta.Context, m.Meta.Training} {
			if context == 0 {
				context = n
			}
		}
		models = append(models, Model{ID: m.ID, OwnedBy: m.OwnedBy, Context: context, Params: m.Meta.Params, Size: m.Meta.Size})
	}
	return models, nil
}

// NoList reports whether err is that of a server which does not list models.
func NoList(err error) bool { return missing(err) }
