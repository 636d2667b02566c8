package jupyter_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// A front end for the tests, written from the specifications and not with the
// package's own code: it has to be able to do everything wrong.

const testKey = "a0436f6c-1916-498b-8eb9-e81ab9368e84"

// A testKernel is a kernel in a process of its own.
type testKernel struct {
	transport, ip string
	ports         map[string]int
	cmd           *exec.Cmd
	file          string
}

var transports = []string{"tcp", "ipc"}

// connectionFile writes a connection file with ports that are free.
func connectionFile(t testing.TB, transport, key string) *testKernel {
	t.Helper()
	dir, err := os.MkdirTemp("", "k") // short: paths of sockets are
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	k := &testKernel{transport: transport, ip: "127.0.0.1", ports: map[string]int{}, file: filepath.Join(dir, "c.json")}
	if transport == "ipc" {
		k.ip = filepath.Join(dir, "ipc")
	}
	for i, name := range []string{"shell", "iopub", "stdin", "control", "hb"} {
		k.ports[name] = i + 1
		if transport == "tcp" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			k.ports[name] = l.Addr().(*net.TCPAddr).Port
		}
	}
	c := map[string]any{"transport": transport, "ip": k.ip, "key": key, "signature_scheme": "hmac-sha256"}
	for name, port := range k.ports {
		c[name+"_port"] = port
	}
	data, _ := json.Marshal(c)
	if err := os.WriteFile(k.file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

func startKernel(t testing.TB, transport string, env ...string) *testKernel {
	t.Helper()
	k := connectionFile(t, transport, testKey)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k.cmd = exec.Command(exe, "kernel", k.file)
	k.cmd.Stderr = os.Stderr
	k.cmd.Env = append(os.Environ(), env...)
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.cmd.Process.Kill()
		k.cmd.Wait()
	})
	return k
}

// patience is how long the kernel has for anything, on a machine with much else to
// do: a fault of its own takes forever.
const patience = time.Minute

// connect dials one of the kernel's sockets, waiting for a kernel that starts.
func (k *testKernel) connect(t testing.TB, name string) net.Conn {
	t.Helper()
	network, addr := "tcp", net.JoinHostPort(k.ip, strconv.Itoa(k.ports[name]))
	if k.transport == "ipc" {
		network, addr = "unix", k.ip+"-"+strconv.Itoa(k.ports[name])
	}
	for start := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		c, err := net.Dial(network, addr)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			return c
		}
		if time.Since(start) > 10*time.Second { // it will not
			t.Fatal(err)
		}
	}
}

// A peer is a ZMTP connection past its handshake.
type peer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func zmtpGreeting() []byte {
	g := make([]byte, 64)
	copy(g, "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL")
	return g
}

func property(name, value string) string {
	return string(rune(len(name))) + name + string(binary.BigEndian.AppendUint32(nil, uint32(len(value)))) + value
}

func command(name, data string) []byte {
	body := string(rune(len(name))) + name + data
	return append([]byte{4, byte(len(body))}, body...)
}

func (k *testKernel) peer(t testing.TB, name, socketType, identity string) *peer {
	t.Helper()
	p := &peer{Conn: k.connect(t, name), t: t}
	p.r = bufio.NewReader(p.Conn)
	p.Write(zmtpGreeting())
	p.Write(command("READY", property("Socket-Type", socketType)+property("Identity", identity)))
	if _, err := io.ReadFull(p.r, make([]byte, 64)); err != nil {
		t.Fatalf("%s: greeting: %v", name, err)
	}
	if flags, body, err := p.frame(); err != nil || flags != 4 || !bytes.HasPrefix(body, []byte("\x05READY")) {
		t.Fatalf("%s: got %v %q, %v; want READY", name, flags, body, err)
	}
	return p
}

func (p *peer) frame() (flags byte, body []byte, err error) {
	p.SetReadDeadline(time.Now().Add(patience)) // for each: 90 MiB of them take long
	var h [9]byte
	if _, err := io.ReadFull(p.r, h[:2]); err != nil {
		return 0, nil, err
	}
	size := uint64(h[1])
	if h[0]&2 != 0 {
		if _, err := io.ReadFull(p.r, h[2:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(h[1:])
	}
	body = make([]byte, size)
	_, err = io.ReadFull(p.r, body)
	return h[0], body, err
}

func (p *peer) message() ([][]byte, error) {
	var frames [][]byte
	for {
		flags, body, err := p.frame()
		if err != nil {
			return nil, err
		}
		frames = append(frames, body)
		if flags&1 == 0 {
			return frames, nil
		}
	}
}

func wire(frames ...[]byte) []byte {
	var b []byte
	for i, f := range frames {
		flags := byte(1)
		if i == len(frames)-1 {
			flags = 0
		}
		if len(f) > 255 {
			b = binary.BigEndian.AppendUint64(append(b, flags|2), uint64(len(f)))
		} else {
			b = append(b, flags, byte(len(f)))
		}
		b = append(b, f...)
	}
	return b
}

var lastID atomic.Int64

// signed makes the frames of a message and returns them with its id.
func signed(msgType string, content any) (frames [][]byte, id string) {
	id = fmt.Sprintf("test-%d", lastID.Add(1))
	h, _ := json.Marshal(map[string]string{
		"msg_id": id, "msg_type": msgType, "session": "s", "username": "u", "date": "2026-01-01T00:00:00Z", "version": "5.4",
	})
	c, _ := json.Marshal(content)
	return sign(h, []byte("{}"), []byte("{}"), c), id
}

func sign(parts ...[]byte) [][]byte {
	mac := hmac.New(sha256.New, []byte(testKey))
	for _, p := range parts {
		mac.Write(p)
	}
	sum := []byte(hex.EncodeToString(mac.Sum(nil)))
	return append([][]byte{[]byte("<IDS|MSG>"), sum}, parts...)
}

// A reply is a message of the kernel.
type reply struct {
	msgType, parent string
	content         map[string]any
	buffers         [][]byte
}

func parseReply(t testing.TB, frames [][]byte) reply {
	t.Helper()
	for len(frames) > 0 && string(frames[0]) != "<IDS|MSG>" {
		frames = frames[1:]
	}
	if len(frames) < 6 {
		t.Fatalf("message of %d frames", len(frames))
	}
	if want := sign(frames[2:6]...)[1]; !bytes.Equal(frames[1], want) {
		t.Fatalf("signature %s, want %s", frames[1], want)
	}
	var h, parent struct {
		ID      string `json:"msg_id"`
		Type    string `json:"msg_type"`
		Version string `json:"version"`
	}
	var r reply
	for i, v := range []any{&h, &parent, &map[string]any{}, &r.content} {
		if err := json.Unmarshal(frames[2+i], v); err != nil {
			t.Fatal(err)
		}
	}
	if h.ID == "" || h.Version != "5.4" {
		t.Fatalf("header %s", frames[2])
	}
	r.msgType, r.parent, r.buffers = h.Type, parent.ID, frames[6:]
	return r
}

func (p *peer) request(msgType string, content any) (id string) {
	p.t.Helper()
	frames, id := signed(msgType, content)
	p.SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.Write(wire(frames...)); err != nil {
		p.t.Fatal(err)
	}
	return id
}

// next returns the next message of the kernel.
func (p *peer) next() reply {
	p.t.Helper()
	frames, err := p.message()
	if err != nil {
		p.t.Fatal(err)
	}
	return parseReply(p.t, frames)
}

// reply skips to the reply to a request.
func (p *peer) reply(id string) reply {
	p.t.Helper()
	for {
		if r := p.next(); r.parent == id {
			return r
		}
	}
}

// A client has the three sockets that most tests need.
type client struct {
	shell, control, iopub *peer
}

func (k *testKernel) client(t testing.TB) *client {
	t.Helper()
	c := &client{
		shell:   k.peer(t, "shell", "DEALER", ""),
		control: k.peer(t, "control", "DEALER", ""),
		iopub:   k.peer(t, "iopub", "SUB", ""),
	}
	c.iopub.Write(wire([]byte{1}))
	if r := c.iopub.next(); r.msgType != "iopub_welcome" || r.content["subscription"] != "" {
		t.Fatalf("got %+v, want iopub_welcome", r)
	}
	return c
}

// execute runs a cell and returns its reply and what came on iopub.
func (c *client) execute(code string) (reply, []reply) {
	c.shell.t.Helper()
	id := c.shell.request("execute_request", map[string]any{"code": code})
	return c.shell.reply(id), c.output(id)
}

// output returns what a request caused on iopub, between busy and idle.
func (c *client) output(id string) []reply {
	c.iopub.t.Helper()
	var out []reply
	for {
		r := c.iopub.next()
		if r.parent != id {
			continue
		}
		if r.msgType == "status" {
			if r.content["execution_state"] == "idle" {
				return out
			}
			continue
		}
		out = append(out, r)
	}
}
