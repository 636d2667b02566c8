package jupyter_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// serves checks that the kernel is alive and serves a new front end, and that
// its memory is bounded: one message may have 64 MiB, one queue too, and the
// garbage collector is not in a hurry.
func (k *testKernel) serves(t *testing.T) {
	t.Helper()
	c := k.client(t)
	if r := c.control.reply(c.control.request("kernel_info_request", struct{}{})); r.content["status"] != "ok" {
		t.Errorf("kernel_info on control: %v", r.content)
	}
	r, out := c.execute("print alive")
	if r.content["status"] != "ok" || len(out) != 2 || out[1].content["text"] != "alive\n" {
		t.Errorf("execute: %v, %v", r.content, out)
	}
	hb := k.peer(t, "hb", "REQ", "")
	hb.Write(wire(nil, []byte("ping")))
	if frames, err := hb.message(); err != nil || len(frames) != 2 || string(frames[1]) != "ping" {
		t.Errorf("heartbeat: %q, %v", frames, err)
	}
	if rss := k.status(t, "VmRSS:") >> 10; rss > 384 && !race {
		t.Errorf("%d MiB of memory", rss)
	}
	for _, p := range []*peer{c.shell, c.control, c.iopub, hb} {
		p.Close()
	}
}

// status returns a number of /proc/PID/status, 0 where there is none.
func (k *testKernel) status(t *testing.T, key string) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.cmd.Process.Pid))
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, key) {
			var n int
			fmt.Sscan(strings.TrimPrefix(line, key), &n)
			return n
		}
	}
	return 0
}

func (k *testKernel) files(t *testing.T) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", k.cmd.Process.Pid))
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return len(entries)
}

// dropped checks that the kernel closes the connection.
func dropped(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 64<<10); ; {
		if _, err := c.Read(buf); err != nil {
			if err, ok := err.(net.Error); ok && err.Timeout() {
				t.Error("the connection is still open")
			}
			return
		}
	}
}

var sockets = []string{"shell", "control", "stdin", "hb", "iopub"}

func socketType(name string) string {
	if name == "iopub" {
		return "SUB"
	}
	return "DEALER"
}

func longHeader(flags byte, size uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{flags | 2}, size)
}

// The attacks of which any kills a kernel over plain zmq4, or locks it up.
var attacks = []struct {
	name string
	run  func(t *testing.T, k *testKernel)
}{
	{"malformed messages", func(t *testing.T, k *testKernel) {
		good, _ := signed("kernel_info_request", struct{}{})
		forged := append([][]byte{}, good...)
		forged[1] = bytes.Repeat([]byte{'0'}, 64)
		unsigned := append([][]byte{}, good...)
		unsigned[1] = nil
		noCode, _ := signed("execute_request", map[string]any{"silent": false})
		oddCode, _ := signed("execute_request", map[string]any{"code": 7})
		oddType, _ := signed("no_such_request", struct{}{})
		for _, name := range []string{"shell", "control", "stdin", "hb"} {
			p := k.peer(t, name, "DEALER", "")
			for _, frames := range [][][]byte{
				forged, unsigned, noCode, oddCode, oddType,
				{nil}, {nil, nil, nil, nil, nil, nil, nil, nil},
				{[]byte("no delimiter")}, good[1:], // missing delimiter
				good[:1], good[:3], good[:5], // short
				sign([]byte("{}"), []byte("{}"), []byte("{}"), []byte("{}")),          // no msg_id
				sign([]byte("{"), []byte("{}"), []byte("{}"), []byte("{}")),           // no JSON
				sign([]byte("[]"), []byte("7"), []byte("null"), []byte("[")),          // no objects
				sign(good[2], []byte("{}"), []byte("{}"), []byte("\xff\xfe\x00")),     // no UTF-8
				sign(bytes.Repeat([]byte("["), 1<<20), good[3], good[4], good[5]),     // deep
				sign(good[2], good[3], good[4], bytes.Repeat([]byte(`{"a":`), 1<<18)), // deep
			} {
				p.Write(wire(frames...))
			}
		}
	}},
	{"a request without code gets an error", func(t *testing.T, k *testKernel) {
		p := k.peer(t, "shell", "DEALER", "")
		for _, content := range []any{map[string]any{}, map[string]any{"code": 7}, map[string]any{"code": nil}} {
			if r := p.reply(p.request("execute_request", content)); r.content["status"] != "error" || r.content["ename"] != "BadRequest" {
				t.Errorf("%v: got %v", content, r.content)
			}
		}
		if r := p.reply(p.request("no_such_request", struct{}{})); r.msgType != "no_such_reply" || r.content["status"] != "error" {
			t.Errorf("got %v", r)
		}
	}},
	{"replay", func(t *testing.T, k *testKernel) {
		c := k.client(t)
		frames, id := signed("execute_request", map[string]any{"code": "print once"})
		for range 3 {
			c.shell.Write(wire(frames...))
		}
		if out := c.output(id); len(out) != 2 {
			t.Errorf("got %v", out)
		}
		marker := c.shell.request("execute_request", map[string]any{"code": "print twice"})
		for {
			r := c.iopub.next()
			if r.parent == id {
				t.Fatalf("the replayed request had an effect: %+v", r)
			}
			if r.parent == marker && r.content["execution_state"] == "idle" {
				return
			}
		}
	}},
	{"malformed READY", func(t *testing.T, k *testKernel) {
		for _, name := range sockets {
			for _, ready := range [][]byte{
				command("READY", "\xffSocket-Type"),
				command("READY", "\x0bSocket-Type\xff\xff\xff\xffSUB"),
				command("READY", "\x0bSocket-Type\x00\x00"),
				command("READY", "\x00"),
				command("READY", "\x0bSocket-Type"),
				command("READY", ""),
				command("READY", property("Socket-Type", "NONSENSE")),
				command("READY", property("Socket-Type", "PUSH")),
				command("HELLO", property("Socket-Type", socketType(name))),
				{4, 0}, {4, 1, 200}, {0, 5, 'R', 'E', 'A', 'D', 'Y'}, {0x80, 0},
				longHeader(4, 8<<30), longHeader(4, 1<<62), longHeader(4, 1<<63),
				append(longHeader(4, 300), command("READY", property("Socket-Type", socketType(name))+property("Identity", strings.Repeat("i", 256)))[2:]...),
			} {
				c := k.connect(t, name)
				c.Write(zmtpGreeting())
				c.Write(ready)
				if len(ready) > 12 && ready[0]&2 != 0 { // waits for the rest
					c.Write(make([]byte, 300))
				}
				dropped(t, c)
			}
		}
	}},
	{"bad greetings", func(t *testing.T, k *testKernel) {
		old, curve := zmtpGreeting(), zmtpGreeting()
		old[10] = 2
		copy(curve[12:], "CURVE")
		for _, name := range sockets {
			for _, hello := range [][]byte{old, curve, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), bytes.Repeat([]byte{0xff}, 200), make([]byte, 64)} {
				c := k.connect(t, name)
				c.Write(hello)
				dropped(t, c)
			}
		}
	}},
	{"silent and half-open connections", func(t *testing.T, k *testKernel) {
		var held []net.Conn
		for _, name := range sockets {
			for i := range 150 {
				c := k.connect(t, name)
				switch i % 3 {
				case 1:
					c.Write(zmtpGreeting()[:11])
				case 2:
					c.Write(zmtpGreeting())
				}
				held = append(held, c)
			}
		}
		k.serves(t) // while they are held
		for _, c := range held {
			dropped(t, c) // after 5 s
		}
	}},
	{"garbage and fast disconnects", func(t *testing.T, k *testKernel) {
		before := k.files(t)
		for i := range 1000 {
			c := k.connect(t, sockets[i%5])
			if i%5 == 0 {
				c.Write(bytes.Repeat([]byte{byte(i), 1, 2, 3}, 100))
			}
			c.Close()
		}
		waitFor(t, "descriptors to be closed", func() bool { return k.files(t) <= before+5 })
	}},
	{"huge frames", func(t *testing.T, k *testKernel) {
		for _, name := range sockets {
			for _, size := range []uint64{1 << 62, 1 << 63, 1<<64 - 1, 1 << 40, 65 << 20} {
				for _, flags := range []byte{0, 1, 4} {
					p := k.peer(t, name, socketType(name), "")
					p.Write(longHeader(flags, size))
					dropped(t, p)
				}
			}
		}
	}},
	{"many announced frames", func(t *testing.T, k *testKernel) {
		for range 20 { // 20 × 60 MiB, a part of each sent
			p := k.peer(t, "shell", "DEALER", "")
			p.Write(longHeader(0, 60<<20))
			p.Write(make([]byte, 1<<20))
		}
	}},
	{"endless MORE frames", func(t *testing.T, k *testKernel) {
		for _, name := range sockets {
			for _, frame := range [][]byte{{1, 0}, append(longHeader(1, 1<<20), make([]byte, 1<<20)...)} {
				p := k.peer(t, name, socketType(name), "")
				p.SetWriteDeadline(time.Now().Add(10 * time.Second))
				sent := 0
				for sent < 200<<20 {
					n, err := p.Write(bytes.Repeat(frame, max(1, 64<<10/len(frame))))
					sent += n
					if err != nil {
						break
					}
				}
				if sent >= 200<<20 {
					t.Errorf("%s took %d bytes", name, sent)
				}
			}
		}
	}},
	{"many subscriptions", func(t *testing.T, k *testKernel) {
		p := k.peer(t, "iopub", "SUB", "")
		for i := range 1000 {
			if _, err := p.Write(wire(fmt.Appendf([]byte{1}, "%d", i))); err != nil {
				break
			}
		}
		dropped(t, p)
	}},
	{"a subscriber that talks", func(t *testing.T, k *testKernel) {
		for _, msg := range [][]byte{wire([]byte("x")), wire(nil), wire([]byte{1}, []byte{2})} {
			p := k.peer(t, "iopub", "SUB", "")
			p.Write(msg)
			dropped(t, p)
		}
	}},
	{"PING", func(t *testing.T, k *testKernel) {
		for _, name := range sockets {
			p := k.peer(t, name, socketType(name), "")
			p.Write(command("PING", "\x00\x10context"))
			if flags, body, err := p.frame(); err != nil || flags != 4 || string(body) != "\x04PONGcontext" {
				t.Errorf("%s: got %d %q, %v", name, flags, body, err)
			}
			p.Write(command("PING", strings.Repeat("x", 100)))
			dropped(t, p)
		}
	}},
	{"subscribe commands of ZMTP 3.1", func(t *testing.T, k *testKernel) {
		p := k.peer(t, "iopub", "SUB", "")
		p.Write(command("SUBSCRIBE", ""))
		if r := p.next(); r.msgType != "iopub_welcome" {
			t.Errorf("got %v", r)
		}
	}},
	{"the welcome is the first message", func(t *testing.T, k *testKernel) {
		c := k.client(t)
		stop := make(chan struct{})
		defer func() { <-stop }()
		go func() { // publishes without a pause
			defer close(stop)
			for range 2000 {
				frames, _ := signed("kernel_info_request", struct{}{})
				c.shell.Write(wire(frames...))
			}
			c.shell.Close()
		}()
		go func() { // and is read
			for buf := make([]byte, 64<<10); ; {
				if _, err := c.shell.r.Read(buf); err != nil {
					return
				}
			}
		}()
		for range 100 {
			k.client(t).iopub.Close() // checks it
		}
	}},
	{"a front end that never reads replies", func(t *testing.T, k *testKernel) {
		p := k.peer(t, "shell", "DEALER", "")
		code := strings.Repeat("x", 1<<20) // comes back in every reply
		for range 80 {
			frames, _ := signed("execute_request", map[string]any{
				"code": "", "silent": true, "user_expressions": map[string]string{"v": code},
			})
			if _, err := p.Write(wire(frames...)); err != nil {
				break
			}
		}
		k.serves(t) // while it is connected
	}},
	{"a subscriber that reads slowly", func(t *testing.T, k *testKernel) {
		c := k.client(t)
		before := k.status(t, "VmRSS:")
		want := 1_500_000 // 18 MB
		if race {
			want /= 10
		}
		id := c.shell.request("execute_request", map[string]any{"code": fmt.Sprint("lines ", want)})
		last := time.Now()
		var text strings.Builder
		for {
			r := c.iopub.next()
			if r.msgType == "stream" {
				text.WriteString(r.content["text"].(string))
				time.Sleep(time.Until(last.Add(2 * time.Millisecond))) // 32 MB/s at best
				last = time.Now()
			}
			if r.parent == id && r.content["execution_state"] == "idle" {
				break
			}
		}
		n := 0
		for line := range strings.Lines(text.String()) {
			if line != fmt.Sprintf("line %d\n", n) {
				t.Fatalf("got %q as line %d", line, n)
			}
			n++
		}
		if n != want {
			t.Errorf("got %d lines, want %d", n, want)
		}
		if grown := k.status(t, "VmRSS:") - before; grown > 64<<10 && !race {
			t.Errorf("%d MiB more memory", grown>>10)
		}
	}},
	{"a subscriber that pauses", func(t *testing.T, k *testKernel) {
		c := k.client(t)
		id := c.shell.request("execute_request", map[string]any{"code": "blob 90"})
		time.Sleep(2 * time.Second) // a busy machine, a garbage collection
		got := 0
		for _, r := range c.output(id) {
			if r.msgType == "stream" {
				got += len(r.content["text"].(string))
			}
		}
		if want := 90 << 20; got != want {
			t.Errorf("got %d bytes, want %d", got, want)
		}
	}},
	{"a subscriber that never reads", func(t *testing.T, k *testKernel) {
		stuck := k.peer(t, "iopub", "SUB", "")
		stuck.Write(wire([]byte{1}))
		c := k.client(t)
		id := c.shell.request("execute_request", map[string]any{"code": "blob 90"})
		got := 0
		for _, r := range c.output(id) {
			if r.msgType == "stream" {
				got += len(r.content["text"].(string))
			}
		}
		if want := 90 << 20; got != want {
			t.Errorf("the other subscriber got %d bytes, want %d", got, want)
		}
		dropped(t, stuck)
	}},
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// All attacks go against one kernel, one after the other.
func TestAttacks(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			k := startKernel(t, transport)
			for _, a := range attacks {
				t.Run(a.name, func(t *testing.T) {
					a.run(t, k)
					k.serves(t)
				})
			}
			p := k.peer(t, "control", "DEALER", "")
			if r := p.reply(p.request("shutdown_request", map[string]any{"restart": false})); r.content["status"] != "ok" {
				t.Errorf("shutdown: %v", r)
			}
			if err := k.cmd.Wait(); err != nil {
				t.Errorf("the kernel ended with %v", err)
			}
			if transport == "ipc" {
				if left, _ := filepath.Glob(k.ip + "-*"); len(left) > 0 {
					t.Errorf("sockets left behind: %v", left)
				}
			}
		})
	}
}
