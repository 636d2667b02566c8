package jupyter

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A guardConn is a peer as zmq4 sees it. What zmq4 reads is a handshake made up
// from checked parts, then the peer's messages; commands are dealt with here.
// What zmq4 writes is cut into messages and queued.
//
// Reads and writes fail with io.EOF alone, the one error by which zmq4 forgets
// a connection.
type guardConn struct {
	net.Conn // the peer
	g        *guard
	r        *bufio.Reader

	// Reading, by zmq4's reader of this connection alone.
	replay  []byte          // to be read before anything from r
	body    uint64          // bytes of the current frame still in r
	more    bool            // the current frame is not the message's last
	parts   int             // frames of the current message
	size    uint64          // bytes of the current message
	topics  map[string]bool // subscriptions
	welcome []string        // subscriptions that zmq4 is about to take note of

	// Writing, by one goroutine of zmq4 at a time.
	skip    int    // bytes of zmq4's own handshake still to come: its greeting
	shaken  bool   // its READY was swallowed as well
	out     []byte // messages being written
	scanned int    // whole frames in out

	// tap takes the messages instead of the peer, see newTap.
	tap func()

	wmu      sync.Mutex
	queue    [][]byte
	holding  bool      // a welcome has to come first
	held     [][]byte  // messages after it
	queued   int       // bytes in queue and held
	progress time.Time // when the peer last took something, or the queue began
	closing  bool
	wake     chan struct{}
	dead     chan struct{}
	killed   sync.Once
}

func newGuardConn(g *guard, raw net.Conn, r *bufio.Reader, peerType, identity string) *guardConn {
	return &guardConn{
		Conn: raw, g: g, r: r,
		replay: appendReady(greeting(), peerType, identity),
		skip:   greetingBytes,
		wake:   make(chan struct{}, 1),
		dead:   make(chan struct{}),
	}
}

// newTap returns a subscriber that exists in this process only. zmq4 queues
// what is published without bound and serves its subscribers in the order they
// came: when the first of them, the tap, gets message n, all messages before n
// are in the guard's queues.
func newTap(g *guard, took func()) *guardConn {
	raw, _ := net.Pipe() // nobody speaks; Close ends the read
	c := newGuardConn(g, raw, bufio.NewReaderSize(raw, 16), "SUB", "")
	c.tap = took
	c.replay = appendFrame(c.replay, 0, []byte{1})
	c.welcome = []string{""}
	return c
}

func (c *guardConn) Read(p []byte) (int, error) {
	for {
		if len(p) == 0 {
			return 0, nil
		}
		if len(c.replay) > 0 {
			n := copy(p, c.replay)
			c.replay = c.replay[n:]
			return n, nil
		}
		if c.body > 0 {
			n, err := c.r.Read(p[:min(uint64(len(p)), c.body)])
			c.body -= uint64(n)
			if err != nil {
				return n, c.endRead()
			}
			return n, nil
		}
		if err := c.nextFrame(); err != nil {
			return 0, c.endRead()
		}
	}
}

func (c *guardConn) endRead() error {
	c.endMessage()
	c.closeSoon()
	return io.EOF
}

func (c *guardConn) endMessage() {
	c.g.partial.Add(-int64(c.size))
	c.parts, c.size = 0, 0
}

// nextFrame reads up to the body of the next frame that zmq4 should see. The
// errors say why the peer is dropped.
func (c *guardConn) nextFrame() error {
	if !c.more {
		c.endMessage()
	}
	// zmq4 comes back to read only after it has entered a subscription.
	for _, topic := range c.welcome {
		c.release(c.g.welcome(c, topic))
	}
	c.welcome = nil

	flags, size, raw, err := readHeader(c.r)
	if err != nil {
		return err
	}
	if flags&flagCommand != 0 {
		return c.command(size)
	}
	c.more = flags&flagMore != 0
	c.parts++
	if c.parts > maxParts {
		return fmt.Errorf("message of more than %d frames", maxParts)
	}
	if size > c.g.maxMessage || c.size+size > c.g.maxMessage {
		return fmt.Errorf("message of more than %d bytes", c.g.maxMessage)
	}
	c.size += size
	if c.g.partial.Add(int64(size)) > maxPartial {
		return fmt.Errorf("more than %d bytes of unfinished messages", maxPartial)
	}
	if c.g.socketType == "XPUB" {
		body := make([]byte, size)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return err
		}
		if len(body) == 0 || body[0] > 1 || c.more || c.parts > 1 {
			return fmt.Errorf("a subscriber sent something that is no subscription")
		}
		return c.subscribe(body[0] == 1, body[1:])
	}
	c.replay, c.body = raw, size
	return nil
}

// command handles a command of the peer, which zmq4 would show as a message.
func (c *guardConn) command(size uint64) error {
	name, data, err := readCommand(c.r, size)
	if err != nil {
		return err
	}
	switch name {
	case "PING": // ttl (2 bytes), context (up to 16)
		if len(data) > 2+16 || len(data) < 2 {
			return fmt.Errorf("PING of %d bytes", len(data))
		}
		return c.enqueue(appendCommand(nil, "PONG", data[2:]))
	case "SUBSCRIBE", "CANCEL": // ZMTP 3.1
		if c.g.socketType != "XPUB" {
			return fmt.Errorf("%s to a %s socket", name, c.g.socketType)
		}
		return c.subscribe(name == "SUBSCRIBE", data)
	case "ERROR":
		return fmt.Errorf("peer gave up: %.80q", data)
	}
	return nil
}

func (c *guardConn) subscribe(on bool, topic []byte) error {
	if c.topics == nil {
		c.topics = make(map[string]bool)
	}
	body := append([]byte{0}, topic...)
	if on {
		body[0] = 1
		c.topics[string(topic)] = true
		c.welcome = append(c.welcome, string(topic))
		c.hold()
	} else {
		delete(c.topics, string(topic))
	}
	if len(c.topics) > maxTopics {
		return fmt.Errorf("more than %d subscriptions", maxTopics)
	}
	c.replay = appendFrame(nil, 0, body)
	return nil
}
