package jupyter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A kernel serves requests on three lanes, each in the order its requests
// came: execute and comm requests of the shell (they touch the interpreter's
// state), the shell's questions (they do not, and are answered while a cell
// runs), and the control channel.
type kernel struct {
	in      Interpreter
	info    Info
	session *session

	shell, control, stdin, heartbeat *socket
	iopub                            *publisher

	stop chan struct{}
	once sync.Once

	// Of the lane that executes.
	count      int
	abortUntil time.Time // requests received before are aborted
	history    history
	comms      comms

	mu      sync.Mutex
	running *message           // the cell that runs
	cancel  context.CancelFunc // interrupts it

	asking sync.Mutex // one input_request at a time
	answer atomic.Pointer[question]
}

// lane is how many requests of a front end wait in order before the kernel
// stops reading more.
const lane = 4096

// Serve runs a kernel on the sockets that connectionFile names, until a front
// end shuts it down, ctx ends, SIGTERM comes, or the process that started it
// (JPY_PARENT_PID) is gone; all of these are no error. SIGINT interrupts the
// cell that runs. Serve returns at the latest half a second after the running
// cell was cancelled, even when the cell does not return; what was sent has
// another second to leave.
func Serve(ctx context.Context, connectionFile string, in Interpreter) error {
	c, err := readConnection(connectionFile)
	if err != nil {
		return err
	}
	k := &kernel{in: in, info: in.Info(), stop: make(chan struct{})}
	if k.session, err = newSession(c.Key); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Before the sockets: who sees the kernel may be gone the next moment.
	orphaned := watchParent(ctx)
	if err := k.open(&c); err != nil {
		return err
	}
	defer k.close()
	return k.run(ctx, orphaned)
}

func (k *kernel) open(c *connection) (err error) {
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if k.iopub, err = newPublisher(c, k.session); err != nil {
		return err
	}
	for _, s := range []struct {
		sock       **socket
		port       int
		maxMessage uint64
	}{
		{&k.heartbeat, c.HBPort, maxHeartbeat},
		{&k.stdin, c.StdinPort, maxRequest},
		{&k.control, c.ControlPort, maxRequest},
		{&k.shell, c.ShellPort, maxRequest},
	} {
		if *s.sock, err = newRouter(c, s.port, s.maxMessage); err != nil {
			return err
		}
	}
	return nil
}

// close sends out what is queued and closes the sockets, all at the same time.
func (k *kernel) close() {
	var wg sync.WaitGroup
	for _, s := range []*socket{k.shell, k.control, k.stdin, k.heartbeat} {
		if s != nil {
			wg.Go(func() { s.Close() })
		}
	}
	if k.iopub != nil {
		wg.Go(func() { k.iopub.Close() })
	}
	wg.Wait()
}

func (k *kernel) run(ctx context.Context, orphaned <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)

	k.iopub.publish("status", nil, map[string]any{"execution_state": "starting"}, nil, false)
	work, questions := make(chan *message, lane), make(chan *message, lane)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		k.serve(ctx, work, k.shell, k.work)
	}()
	go k.serve(ctx, questions, k.shell, k.ask)
	go k.heartbeat.echo()
	go k.stdin.recv(k.receiveInput)
	go k.receive(ctx, k.shell, func(m *message) chan *message {
		if isWork(m.header.Type) {
			return work
		}
		return questions
	})
	controls := make(chan *message, lane)
	go k.receive(ctx, k.control, func(*message) chan *message { return controls })
	go k.serve(ctx, controls, k.control, k.command)

	for {
		select {
		case s := <-signals:
			if s == os.Interrupt {
				k.interrupt()
				continue
			}
		case <-orphaned:
		case <-ctx.Done():
		case <-k.stop:
		}
		break
	}
	cancel()
	select {
	case <-finished:
	case <-time.After(500 * time.Millisecond):
	}
	return nil
}

// receive passes the messages of a socket on to their lanes. Malformed and
// forged ones are dropped without a word: anybody can send them.
func (k *kernel) receive(ctx context.Context, s *socket, to func(*message) chan *message) {
	s.recv(func(frames [][]byte) {
		m, err := k.session.parse(frames)
		if err != nil {
			return
		}
		select {
		case to(m) <- m:
		case <-ctx.Done():
		}
	})
}

// serve answers the requests of a lane. handle returns the content of the
// reply, nil for none.
func (k *kernel) serve(ctx context.Context, lane <-chan *message, s *socket, handle func(context.Context, *message) any) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-lane:
			if ctx.Err() != nil {
				return
			}
			k.answerRequest(ctx, m, s, handle)
		}
	}
}

func (k *kernel) answerRequest(ctx context.Context, m *message, s *socket, handle func(context.Context, *message) any) {
	k.status(m, "busy")
	reply := protect(func() any { return handle(ctx, m) })
	if reply != nil && strings.HasSuffix(m.header.Type, "_request") {
		k.reply(s, m, strings.TrimSuffix(m.header.Type, "request")+"reply", reply)
	}
	k.status(m, "idle")
	// Front ends take any idle for theirs. When this one came from beside a
	// running cell, say that the kernel is busy still.
	k.mu.Lock()
	running := k.running
	k.mu.Unlock()
	if running != nil && running != m {
		k.status(running, "busy")
	}
	if m.last {
		k.once.Do(func() { close(k.stop) })
	}
}

// protect turns a panic of f into the content of an error reply.
func protect(f func() any) (reply any) {
	defer func() {
		if r := recover(); r != nil {
			reply = errorContent(panicError(r))
		}
	}()
	return f()
}

func panicError(r any) *Error {
	e := &Error{Name: "panic", Value: fmt.Sprint(r)}
	e.Traceback = append([]string{red(e.Error())}, strings.Split(strings.TrimRight(string(debug.Stack()), "\n"), "\n")...)
	return e
}

func red(s string) string { return "\x1b[31m" + s + "\x1b[0m" }

// asError gives err a name and a traceback, as far as it has none.
func asError(err error) *Error {
	e := &Error{Name: "Error", Value: err.Error()}
	var known *Error
	switch {
	case errors.As(err, &known):
		c := *known
		e = &c
	case errors.Is(err, context.Canceled):
		e = &Error{Name: "KeyboardInterrupt", Value: "the cell was interrupted"}
	}
	if len(e.Traceback) == 0 {
		e.Traceback = []string{red(e.Error())}
	}
	return e
}

func errorContent(err error) map[string]any {
	e := asError(err)
	return map[string]any{"status": "error", "ename": e.Name, "evalue": e.Value, "traceback": e.Traceback}
}

func (k *kernel) reply(s *socket, m *message, msgType string, content any) {
	frames, err := k.session.frames(msgType, m.rawHeader, content, nil)
	if err != nil { // something in a Bundle that is no JSON
		frames, _ = k.session.frames(msgType, m.rawHeader, errorContent(err), nil)
	}
	s.send(m.ids, frames)
}

func (k *kernel) status(m *message, state string) {
	k.iopub.publish("status", m.rawHeader, map[string]any{"execution_state": state}, nil, false)
}

// interrupt cancels the running cell. Between cells it does nothing.
func (k *kernel) interrupt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		k.cancel()
	}
}

// command serves the control channel.
func (k *kernel) command(ctx context.Context, m *message) any {
	switch m.header.Type {
	case "interrupt_request":
		k.interrupt()
		return map[string]any{"status": "ok"}
	case "shutdown_request":
		return k.shutdown(m)
	}
	return k.ask(ctx, m)
}

// shutdown makes run return once the reply is sent.
func (k *kernel) shutdown(m *message) any {
	var req struct {
		Restart bool `json:"restart"`
	}
	json.Unmarshal(m.content, &req)
	content := map[string]any{"status": "ok", "restart": req.Restart}
	k.iopub.publish("shutdown_reply", m.rawHeader, content, nil, false)
	m.last = true
	return content
}
