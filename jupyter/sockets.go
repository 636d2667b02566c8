package jupyter

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"sync"

	"github.com/go-zeromq/zmq4"
)

// Bytes of one incoming message.
const (
	maxRequest      = 64 << 20 // widgets send images
	maxSubscription = 1 << 10
	maxHeartbeat    = 4 << 10
)

// A socket is a ROUTER of the kernel.
type socket struct {
	zmq4.Socket
	mu sync.Mutex // for sending
}

// newRouter makes a ROUTER that listens behind a guard of its own. It lives until
// Close: zmq4 would cut off what is still to be sent if a context ended.
func newRouter(c *connection, port int, maxMessage uint64) (*socket, error) {
	l, err := c.listen(port)
	if err != nil {
		return nil, err
	}
	s := &socket{Socket: zmq4.NewRouter(context.Background(), quiet)}
	if err := newGuard(l, "ROUTER", maxMessage).listen(s.Socket); err != nil {
		l.Close()
		return nil, err
	}
	return s, nil
}

// quiet keeps zmq4 from writing to stderr.
var quiet = zmq4.WithLogger(log.New(io.Discard, "", 0))

// send sends frames to the peer that the first ones name. A peer that is gone
// is no error.
func (s *socket) send(ids [][]byte, frames [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append(append(make([][]byte, 0, len(ids)+len(frames)), ids...), frames...)
	s.SendMulti(zmq4.NewMsgFrom(all...))
}

// recv calls handle with the frames of every message until the socket is closed.
func (s *socket) recv(handle func(frames [][]byte)) {
	for {
		msg, err := s.Recv()
		if errors.Is(err, context.Canceled) {
			return
		}
		if err == nil && msg.Type == zmq4.UsrMsg {
			handle(msg.Frames)
		}
	}
}

// echo answers every message with itself: that is the heartbeat. A REP socket
// would do the same but for zmq4's, which stumbles over odd messages.
func (s *socket) echo() {
	s.recv(func(frames [][]byte) { s.send(frames[:1], frames[1:]) })
}

// A publisher is the iopub socket: what all front ends see.
type publisher struct {
	sock    zmq4.Socket
	guard   *guard
	session *session

	mu          sync.Mutex
	cond        *sync.Cond
	sent, taken int // messages given to zmq4, and passed on by it
	closed      bool
}

// window is how many messages may be inside of zmq4, whose queue is unbounded.
const window = 8

func newPublisher(c *connection, s *session) (*publisher, error) {
	l, err := c.listen(c.IOPubPort)
	if err != nil {
		return nil, err
	}
	p := &publisher{
		sock:    zmq4.NewXPub(context.Background(), quiet),
		guard:   newGuard(l, "XPUB", maxSubscription),
		session: s,
	}
	p.cond = sync.NewCond(&p.mu)
	live := make(chan struct{})
	tap := newTap(p.guard, p.took)
	p.guard.welcome = func(peer *guardConn, topic string) []byte {
		if peer == tap {
			close(live)
			return nil
		}
		return p.welcome(topic)
	}
	p.guard.ready <- tap
	if err := p.guard.listen(p.sock); err != nil {
		p.guard.Close()
		return nil, err
	}
	<-live
	return p, nil
}

func (p *publisher) took() {
	p.mu.Lock()
	p.taken++
	p.cond.Broadcast()
	p.mu.Unlock()
}

// welcome is the message that tells a new subscriber that it misses nothing from
// now on (https://jupyter.org/enhancement-proposals/65-jupyter-xpub/jupyter-xpub.html).
func (p *publisher) welcome(topic string) []byte {
	frames, err := p.session.frames("iopub_welcome", nil, map[string]any{"subscription": topic}, nil)
	if err != nil {
		return nil
	}
	return appendMessage(nil, append([][]byte{[]byte(topic)}, frames...))
}

// publish sends a message to all subscribers, in the order of the calls. With
// patience it waits for those that are slow to read.
func (p *publisher) publish(msgType string, parent json.RawMessage, content any, buffers [][]byte, patience bool) error {
	if patience {
		p.guard.wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	frames, err := p.session.frames(msgType, parent, content, buffers)
	if err != nil {
		return err
	}
	for p.sent-p.taken >= window && !p.closed {
		p.cond.Wait()
	}
	if p.closed {
		return net.ErrClosed
	}
	p.sent++
	msg := append([][]byte{[]byte(msgType)}, frames...)
	return p.sock.SendMulti(zmq4.NewMsgFrom(msg...))
}

// Close waits until everything is with the guard and closes the socket, which
// lets the guard's queues drain.
func (p *publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.cond.Broadcast()
	for p.taken < p.sent { // zmq4 does not wait for peers: this takes no time
		p.cond.Wait()
	}
	p.mu.Unlock()
	return p.sock.Close()
}
