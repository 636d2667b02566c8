package jupyter

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"time"
)

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
	if c.queued == 0 {
		c.progress = time.Now()
	}
	over := c.queued > 0 && c.queued+len(msg) > maxQueued
	c.queued += len(msg)
	if c.holding {
		c.held = append(c.held, msg)
	} else {
		c.queue = append(c.queue, msg)
	}
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

// hold keeps messages back until release. zmq4 may send what is published from
// the moment it has entered a subscription, before it tells.
func (c *guardConn) hold() {
	c.wmu.Lock()
	c.holding = true
	c.wmu.Unlock()
}

// release queues first, then what was held.
func (c *guardConn) release(first []byte) {
	c.wmu.Lock()
	held := c.held
	c.holding, c.held = false, nil
	c.queue = append(c.queue, held...)
	if len(first) > 0 && !c.closing {
		c.queue = slices.Insert(c.queue, len(c.queue)-len(held), first)
		c.queued += len(first)
		c.g.queued.Add(int64(len(first)))
	}
	c.wmu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
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
		c.queue, c.held, c.queued = nil, nil, 0
		c.wmu.Unlock()
		c.g.queued.Add(-int64(n))
		c.g.forget(c)
		c.Conn.Close()
		close(c.dead)
	})
}
