package jupyter

import (
	"encoding/json"
	"sync"
	"sync/atomic"
)

// A CommTarget is called when a front end opens a comm to it, with the data
// that came along. It may set the comm's functions. An error closes the comm.
//
// An Interpreter has targets when it has the method
//
//	CommTargets() map[string]CommTarget
//
// Targets and a comm's functions are called between cells, like Execute.
type CommTarget func(c *Comm, data map[string]any) error

// A Comm is a line of messages between the kernel and a part of the front end,
// a widget for instance.
type Comm struct {
	ID, Target string
	OnMessage  func(data map[string]any, buffers [][]byte)
	OnClose    func(data map[string]any)

	k      *kernel
	latest atomic.Pointer[message] // of the front end, for the parent header
}

// Send sends data, and buffers beside it, to the front end. It may be called
// at any time.
func (c *Comm) Send(data map[string]any, buffers ...[]byte) error {
	return c.k.iopub.publish("comm_msg", c.latest.Load().rawHeader, c.content(data), buffers, true)
}

// Close ends the comm.
func (c *Comm) Close(data map[string]any) error {
	c.k.comms.remove(c.ID)
	return c.k.iopub.publish("comm_close", c.latest.Load().rawHeader, c.content(data), nil, true)
}

func (c *Comm) content(data map[string]any) map[string]any {
	if data == nil {
		data = map[string]any{}
	}
	return map[string]any{"comm_id": c.ID, "data": data}
}

// comms are the open comms by id.
type comms struct {
	mu   sync.Mutex
	open map[string]*Comm
}

func (cs *comms) remove(id string) *Comm {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.open[id]
	delete(cs.open, id)
	return c
}

// handle takes a comm_open, comm_msg or comm_close of the front end. Messages
// to comms that are not open are dropped.
func (cs *comms) handle(k *kernel, m *message) {
	var msg struct {
		ID     string         `json:"comm_id"`
		Target string         `json:"target_name"`
		Data   map[string]any `json:"data"`
	}
	if err := json.Unmarshal(m.content, &msg); err != nil || msg.ID == "" {
		return
	}
	switch m.header.Type {
	case "comm_open":
		c := &Comm{ID: msg.ID, Target: msg.Target, k: k}
		c.latest.Store(m)
		cs.accept(c, msg.Data)
	case "comm_msg":
		cs.mu.Lock()
		c := cs.open[msg.ID]
		cs.mu.Unlock()
		if c != nil {
			c.latest.Store(m)
			if c.OnMessage != nil {
				c.OnMessage(msg.Data, m.buffers)
			}
		}
	case "comm_close":
		if c := cs.remove(msg.ID); c != nil && c.OnClose != nil {
			c.latest.Store(m)
			c.OnClose(msg.Data)
		}
	}
}

// accept opens c if there is such a target, and closes it again if not, as the
// protocol wants it.
func (cs *comms) accept(c *Comm, data map[string]any) {
	var target CommTarget
	if in, ok := c.k.in.(interface{ CommTargets() map[string]CommTarget }); ok {
		target = in.CommTargets()[c.Target]
	}
	if target == nil {
		c.Close(nil)
		return
	}
	cs.mu.Lock()
	if cs.open == nil {
		cs.open = make(map[string]*Comm)
	}
	cs.open[c.ID] = c
	cs.mu.Unlock()
	if err := protectError(func() error { return target(c, data) }); err != nil {
		c.Close(errorContent(err))
	}
}

// info is the content of comm_info_reply: the open comms, of one target or all.
func (cs *comms) info(target *string) any {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	list := map[string]any{}
	for id, c := range cs.open {
		if target == nil || *target == c.Target {
			list[id] = map[string]any{"target_name": c.Target}
		}
	}
	return map[string]any{"status": "ok", "comms": list}
}
