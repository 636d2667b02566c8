package jupyter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/transport"
)

// Limits of every socket. They are far above what Jupyter clients need.
const (
	handshakeTime = 5 * time.Second
	maxPending    = 128             // connections in the handshake; the oldest gives way
	maxPeers      = 128             // connections past it; further ones are refused
	maxParts      = 1024            // frames of one message
	maxTopics     = 256             // subscriptions of one peer
	maxQueued     = 64 << 20        // bytes waiting for one peer; over it the peer is dropped
	maxQueuedAll  = 128 << 20       // bytes waiting for all peers; over it the slowest is dropped
	maxPartial    = 256 << 20       // bytes announced in messages that are not whole yet, all peers
	congestion    = 4 << 20         // bytes waiting for one peer from which on the publisher waits
	stalled       = 5 * time.Second // without reading, and the publisher waits no more
	linger        = time.Second
)

// A guard stands between the network and one zmq4 socket, because zmq4 v0.17.0
// trusts its peers: it shakes hands on the accept loop without a deadline,
// panics on malformed READY properties, allocates whatever a frame header says,
// writes to slow peers while it holds the lock of the socket, and shows PING to
// the application. The guard does the handshake itself, passes on only sound
// and bounded messages, and queues what zmq4 writes, per peer and bounded.
//
// zmq4 gets at it through the transport "guard", see [guard.listen].
type guard struct {
	net.Listener
	socketType string // of our side: ROUTER or XPUB
	maxMessage uint64 // bytes of one incoming message
	// welcome is called when a peer's subscription is in force, and returns the
	// message that the peer gets before any that is published. XPUB only.
	welcome func(c *guardConn, topic string) []byte

	ready  chan *guardConn
	done   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup // accept loop, handshakes, write loops
	drains chan struct{}  // a peer's queue became shorter

	queued  atomic.Int64 // bytes in all queues
	partial atomic.Int64 // bytes announced in unfinished messages

	mu      sync.Mutex
	pending []net.Conn
	peers   map[*guardConn]struct{}
}

func newGuard(l net.Listener, socketType string, maxMessage uint64) *guard {
	g := &guard{
		Listener: l, socketType: socketType, maxMessage: maxMessage,
		ready:  make(chan *guardConn, 1),
		done:   make(chan struct{}),
		drains: make(chan struct{}, 1),
		peers:  make(map[*guardConn]struct{}),
	}
	g.wg.Go(g.acceptLoop)
	return g
}

// guards is the transport by which zmq4 finds the guard made for it.
var guards guardTransport

func init() {
	if err := zmq4.RegisterTransport("guard", &guards); err != nil {
		panic(err)
	}
}

type guardTransport struct {
	waiting sync.Map // address → *guard
	last    atomic.Int64
}

// listen makes sock accept what comes through g.
func (g *guard) listen(sock zmq4.Socket) error {
	addr := strconv.FormatInt(guards.last.Add(1), 10)
	guards.waiting.Store(addr, g)
	return sock.Listen("guard://" + addr)
}

func (t *guardTransport) Listen(_ context.Context, addr string) (net.Listener, error) {
	g, ok := t.waiting.LoadAndDelete(addr)
	if !ok {
		return nil, fmt.Errorf("no guard at %q", addr)
	}
	return g.(*guard), nil
}

func (*guardTransport) Dial(context.Context, transport.Dialer, string) (net.Conn, error) {
	return nil, errors.New("a guard accepts connections only")
}

func (*guardTransport) Addr(ep string) (string, error) { return ep, nil }

// Accept returns the next peer that is past its handshake. It fails only when
// the guard is closed: zmq4 would try again without a pause.
func (g *guard) Accept() (net.Conn, error) {
	select {
	case c := <-g.ready:
		return c, nil
	case <-g.done:
		return nil, net.ErrClosed
	}
}

// Close stops listening, lets the peers' queues drain for a moment and closes
// what is left.
func (g *guard) Close() error {
	g.once.Do(func() {
		close(g.done)
		g.Listener.Close()
		g.mu.Lock()
		for _, raw := range g.pending {
			raw.Close()
		}
		peers := slices.Collect(maps.Keys(g.peers))
		g.mu.Unlock()
		for _, c := range peers {
			c.closeSoon()
		}
		g.wg.Wait() // bounded by the deadline that closeSoon set
	})
	return nil
}

func (g *guard) acceptLoop() {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			select {
			case <-g.done:
				return
			case <-time.After(10 * time.Millisecond): // out of descriptors, most likely
				continue
			}
		}
		if g.admit(raw) {
			g.wg.Go(func() { g.open(raw) })
		} else {
			raw.Close()
		}
	}
}

// admit counts raw as pending. When too many are, the oldest is closed: those
// that mean well are through in a millisecond.
func (g *guard) admit(raw net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.done:
		return false
	default:
	}
	if len(g.peers) >= maxPeers {
		return false
	}
	if len(g.pending) >= maxPending {
		g.pending[0].Close()
		g.pending = g.pending[1:]
	}
	g.pending = append(g.pending, raw)
	return true
}

// open shakes hands with raw and hands it to zmq4.
func (g *guard) open(raw net.Conn) {
	c, err := g.handshake(raw)
	g.mu.Lock()
	for i, p := range g.pending {
		if p == raw {
			g.pending = append(g.pending[:i], g.pending[i+1:]...)
			break
		}
	}
	select {
	case <-g.done:
		err = net.ErrClosed
	default:
	}
	if err != nil || len(g.peers) >= maxPeers {
		g.mu.Unlock()
		raw.Close()
		return
	}
	g.peers[c] = struct{}{}
	g.mu.Unlock()
	g.wg.Go(c.writeLoop)
	select {
	case g.ready <- c:
	case <-g.done:
		c.kill()
	}
}

func (g *guard) handshake(raw net.Conn) (*guardConn, error) {
	if err := raw.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return nil, err
	}
	if _, err := raw.Write(greeting()); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(raw, 16<<10)
	if err := readGreeting(r); err != nil {
		return nil, err
	}
	if _, err := raw.Write(appendReady(nil, g.socketType, "")); err != nil {
		return nil, err
	}
	flags, size, _, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	if flags&flagCommand == 0 {
		return nil, errors.New("a message before READY")
	}
	name, props, err := readCommand(r, size)
	if err != nil {
		return nil, err
	}
	if name != "READY" {
		return nil, fmt.Errorf("command %q before READY", name)
	}
	peerType, identity, err := parseReady(props)
	if err != nil {
		return nil, err
	}
	if !compatible(g.socketType, peerType) {
		return nil, fmt.Errorf("peer is a %q socket, this is %s", peerType, g.socketType)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return newGuardConn(g, raw, r, peerType, identity), nil
}

func compatible(ours, theirs string) bool {
	if ours == "XPUB" {
		return theirs == "SUB" || theirs == "XSUB"
	}
	return theirs == "DEALER" || theirs == "REQ" || theirs == "ROUTER"
}

// wait blocks while a peer that keeps reading has much to read, for a quarter
// of a second at most. So a slow front end slows a printing cell down instead
// of losing its output, and a stuck one does not stop it.
func (g *guard) wait() {
	if !g.congested() {
		return
	}
	timeout := time.NewTimer(250 * time.Millisecond)
	defer timeout.Stop()
	for g.congested() {
		select {
		case <-g.drains:
		case <-timeout.C:
			return
		case <-g.done:
			return
		}
	}
}

func (g *guard) congested() bool {
	if g.queued.Load() < congestion {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.peers {
		if c.slow() {
			return true
		}
	}
	return false
}

// dropSlowest drops the peer with the longest queue.
func (g *guard) dropSlowest() {
	g.mu.Lock()
	var worst *guardConn
	most := 0
	for c := range g.peers {
		if n := c.waiting(); n > most {
			worst, most = c, n
		}
	}
	g.mu.Unlock()
	if worst != nil {
		worst.kill()
	}
}

func (g *guard) forget(c *guardConn) {
	g.mu.Lock()
	delete(g.peers, c)
	g.mu.Unlock()
}
