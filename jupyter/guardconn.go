package jupyter

import (
	"bufio"
	"encoding/binary"
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
	queued   int
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
		c.g.welcome(c, topic)
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
	} else {
		delete(c.topics, string(topic))
	}
	if len(c.topics) > maxTopics {
		return fmt.Errorf("more than %d subscriptions", maxTopics)
	}
	c.replay = appendFrame(nil, 0, body)
	return nil
}

// Write collects what zmq4 writes, frame by frame, into whole messages and
// queues those. Its handshake is dropped: the guard had its own.
func (c *guardConn) Write(p []byte) (int, error) {
	n := len(p)
	if c.skip > 0 {
		drop := min(c.skip, len(p))
		c.skip -= drop
		p = p[drop:]
	}
	c.out = append(c.out, p...)
	for {
		size, last, ok := wholeFrame(c.out[c.scanned:])
		if !ok {
			return n, nil
		}
		c.scanned += size
		if !last {
			continue
		}
		msg := c.out[:c.scanned:c.scanned]
		c.out, c.scanned = c.out[c.scanned:], 0
		if len(c.out) == 0 {
			c.out = nil
		}
		if !c.shaken {
			c.shaken = true
			continue
		}
		if err := c.enqueue(msg); err != nil {
			return 0, io.EOF
		}
	}
}

// wholeFrame returns the length of the frame that p starts with, if all of it
// is there, and whether it ends its message.
func wholeFrame(p []byte) (size int, last, ok bool) {
	switch {
	case len(p) < 2 || p[0]&flagLong != 0 && len(p) < 9:
		return 0, false, false
	case p[0]&flagLong != 0:
		size = 9 + int(binary.BigEndian.Uint64(p[1:]))
	default:
		size = 2 + int(p[1])
	}
	return size, p[0]&flagMore == 0, size <= len(p)
}

// enqueue queues a whole message or command. It never blocks.
func (c *guardConn) enqueue(msg []byte) error {
	if c.tap != nil {
		c.tap()
		return nil
	}
	c.wmu.Lock()
	if c.closing {
		c.wmu.Unlock()
		return net.ErrClosed
	}
	if len(c.queue) == 0 {
		c.progress = time.Now()
	}
	c.queue = append(c.queue, msg)
	c.queued += len(msg)
	over := c.queued > maxQueued && len(c.queue) > 1
	c.wmu.Unlock()
	all := c.g.queued.Add(int64(len(msg)))
	select {
	case c.wake <- struct{}{}:
	default:
	}
	if over {
		c.kill()
		return net.ErrClosed
	}
	if all > maxQueuedAll {
		c.g.dropSlowest()
	}
	return nil
}

// writeLoop sends the queue, up to 64 KiB in one system call.
func (c *guardConn) writeLoop() {
	defer c.kill()
	for {
		batch, n, closing := c.next()
		if n == 0 {
			if closing {
				return
			}
			select {
			case <-c.wake:
			case <-c.dead:
				return
			}
			continue
		}
		if _, err := batch.WriteTo(c.Conn); err != nil {
			return
		}
		c.wmu.Lock()
		n = min(n, c.queued) // 0 after kill
		c.queued -= n
		c.progress = time.Now()
		c.wmu.Unlock()
		c.g.queued.Add(-int64(n))
		select {
		case c.g.drains <- struct{}{}:
		default:
		}
	}
}

// next takes up to 64 KiB from the queue.
func (c *guardConn) next() (batch net.Buffers, n int, closing bool) {
	const most = 64 << 10
	c.wmu.Lock()
	defer c.wmu.Unlock()
	for len(c.queue) > 0 && n < most {
		msg := c.queue[0]
		if len(batch) > 0 && n+len(msg) > most {
			break
		}
		piece := msg[:min(len(msg), most)]
		batch, n = append(batch, piece), n+len(piece)
		if len(piece) < len(msg) {
			c.queue[0] = msg[len(piece):]
			break
		}
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
	return batch, n, c.closing
}

// waiting returns the bytes that wait for the peer.
func (c *guardConn) waiting() int {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.queued
}

// slow reports whether much waits for a peer that still reads.
func (c *guardConn) slow() bool {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.queued > congestion && time.Since(c.progress) < stalled
}

// Close lets the queue drain and returns at once.
func (c *guardConn) Close() error {
	c.closeSoon()
	return nil
}

func (c *guardConn) closeSoon() {
	c.wmu.Lock()
	first := !c.closing
	c.closing = true
	c.wmu.Unlock()
	if !first {
		return
	}
	if c.tap != nil {
		c.kill()
		return
	}
	c.Conn.SetReadDeadline(time.Unix(1, 0))
	c.Conn.SetWriteDeadline(time.Now().Add(linger))
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// kill closes the connection and forgets its queue.
func (c *guardConn) kill() {
	c.killed.Do(func() {
		c.wmu.Lock()
		c.closing = true
		n := c.queued
		c.queue, c.queued = nil, 0
		c.wmu.Unlock()
		c.g.queued.Add(-int64(n))
		c.g.forget(c)
		c.Conn.Close()
		close(c.dead)
	})
}
