package jupyter

import (
	"bytes"
	"context"
	"encoding/json"
)

// A question is an input_request that waits for its reply.
type question struct {
	asked  []byte // identity of the front end
	answer chan string
}

// input asks the front end that sent m.
func (k *kernel) input(ctx context.Context, m *message, prompt string, password bool) (string, error) {
	if len(m.ids) == 0 {
		return "", ErrNoStdin
	}
	k.asking.Lock()
	defer k.asking.Unlock()
	q := &question{asked: m.ids[0], answer: make(chan string, 1)}
	k.answer.Store(q)
	defer k.answer.Store(nil)
	frames, err := k.session.frames("input_request", m.rawHeader, map[string]any{"prompt": prompt, "password": password}, nil)
	if err != nil {
		return "", err
	}
	k.stdin.send(m.ids, frames)
	select {
	case s := <-q.answer:
		return s, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// receiveInput takes what comes on the stdin channel. An answer that nobody
// waits for is dropped.
func (k *kernel) receiveInput(frames [][]byte) {
	m, err := k.session.parse(frames)
	if err != nil || m.header.Type != "input_reply" || len(m.ids) == 0 {
		return
	}
	var reply struct {
		Value string `json:"value"`
	}
	q := k.answer.Load()
	if q == nil || !bytes.Equal(q.asked, m.ids[0]) || json.Unmarshal(m.content, &reply) != nil {
		return
	}
	select {
	case q.answer <- reply.Value:
	default:
	}
}
