package jupyter

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// isWork tells the requests that have to wait for the running cell.
func isWork(msgType string) bool {
	return msgType == "execute_request" || strings.HasPrefix(msgType, "comm_") && msgType != "comm_info_request"
}

// work serves the lane of the interpreter's state.
func (k *kernel) work(ctx context.Context, m *message) any {
	if m.header.Type != "execute_request" {
		k.comms.handle(k, m)
		return nil
	}
	if !m.received.After(k.abortUntil) {
		return map[string]any{"status": "aborted", "execution_count": k.count}
	}
	req := executeRequest{StoreHistory: true, StopOnError: true}
	if err := json.Unmarshal(m.content, &req); err != nil {
		return errorContent(&Error{Name: "BadRequest", Value: "execute_request: " + err.Error()})
	}
	if req.Code == nil {
		return errorContent(&Error{Name: "BadRequest", Value: "execute_request: no code"})
	}
	return k.execute(ctx, m, req)
}

type executeRequest struct {
	Code            *string           `json:"code"`
	Silent          bool              `json:"silent"`
	StoreHistory    bool              `json:"store_history"`
	UserExpressions map[string]string `json:"user_expressions"`
	AllowStdin      bool              `json:"allow_stdin"`
	StopOnError     bool              `json:"stop_on_error"`
}

// execute runs a cell: execute_input, its output, an error if it fails.
func (k *kernel) execute(ctx context.Context, m *message, req executeRequest) any {
	blank := strings.TrimSpace(*req.Code) == "" // Colab sends one at its start
	c := Cell{
		Code: *req.Code, Count: k.count + 1, Silent: req.Silent,
		StoreHistory: req.StoreHistory && !req.Silent && !blank, AllowStdin: req.AllowStdin,
	}
	if c.StoreHistory {
		k.count = c.Count
	}
	out := &output{k: k, m: m, cell: c}
	d := NewDisplay(out)
	if !c.Silent {
		k.iopub.publish("execute_input", m.rawHeader, map[string]any{"code": c.Code, "execution_count": c.Count}, nil, false)
	}

	ctx, cancel := context.WithCancel(ctx)
	k.setRunning(m, cancel)
	var err error
	if !blank {
		err = protectError(func() error { return k.in.Execute(ctx, c, d) })
	}
	d.finish()
	values := map[string]any{}
	if err == nil {
		for name, expr := range req.UserExpressions {
			values[name] = k.eval(ctx, expr)
		}
	}
	k.setRunning(nil, nil)
	cancel()

	if c.StoreHistory {
		k.history.add(c.Count, c.Code, out.resultText())
	}
	if err == nil {
		return map[string]any{
			"status": "ok", "execution_count": c.Count, "payload": d.Payloads(), "user_expressions": values,
		}
	}
	reply := errorContent(err)
	if !c.Silent {
		k.iopub.publish("error", m.rawHeader, map[string]any{
			"ename": reply["ename"], "evalue": reply["evalue"], "traceback": reply["traceback"],
		}, nil, true)
	}
	if req.StopOnError {
		k.abortUntil = time.Now()
	}
	reply["execution_count"] = c.Count
	reply["payload"] = d.Payloads()
	reply["user_expressions"] = values
	return reply
}

// setRunning notes the cell that an interrupt cancels.
func (k *kernel) setRunning(m *message, cancel context.CancelFunc) {
	k.mu.Lock()
	k.running, k.cancel = m, cancel
	k.mu.Unlock()
}

func (k *kernel) eval(ctx context.Context, expr string) any {
	var b Bundle
	err := protectError(func() (err error) {
		b, err = k.in.Eval(ctx, expr)
		return err
	})
	if err != nil {
		return errorContent(err)
	}
	c := content(b)
	c["status"] = "ok"
	return c
}

// protectError turns a panic of f into an error.
func protectError(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	return f()
}

// output is the Sink of a cell in the kernel.
type output struct {
	k      *kernel
	m      *message
	cell   Cell
	result map[string]any // data of execute_result
}

// Send publishes in the name of the cell's request. It waits for front ends
// that are slow to read. Called one at a time.
func (o *output) Send(msgType string, content map[string]any) {
	if o.cell.Silent {
		return
	}
	if msgType == "execute_result" {
		content["execution_count"] = o.cell.Count
		o.result, _ = content["data"].(map[string]any)
	}
	if err := o.k.iopub.publish(msgType, o.m.rawHeader, content, nil, true); err != nil {
		o.k.iopub.publish("stream", o.m.rawHeader, map[string]any{"name": "stderr", "text": err.Error() + "\n"}, nil, true)
	}
}

func (o *output) Interactive() bool { return !o.cell.Silent }

func (o *output) Input(ctx context.Context, prompt string, password bool) (string, error) {
	if !o.cell.AllowStdin {
		return "", ErrNoStdin
	}
	return o.k.input(ctx, o.m, prompt, password)
}

func (o *output) resultText() string {
	s, _ := o.result["text/plain"].(string)
	return s
}
