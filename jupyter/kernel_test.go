package jupyter_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/llcuda/llcuda/jupyter"
)

// Jupyter's own clients, see testdata/kernel_test.py.
func TestJupyterClients(t *testing.T) {
	t.Parallel()
	python := venv(t)
	kernel, samples := os.Getenv("LLCUDA_KERNEL"), "llcuda" // a path from the root of the repository
	if kernel != "" && !filepath.IsAbs(kernel) {
		kernel = filepath.Join("..", kernel)
	}
	if kernel == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		kernel, samples = exe, "echo"
	}
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(python, "testdata/kernel_test.py")
			cmd.Env = append(os.Environ(), "LLCUDA_KERNEL="+kernel, "LLCUDA_SAMPLES="+samples, "LLCUDA_TRANSPORT="+transport)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "test_recv_iopub_welcome_msg") {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "skipped") && samples == "echo" {
					t.Error(line)
				}
			}
		})
	}
}

func TestExecute(t *testing.T) {
	k := startKernel(t, "tcp")
	c := k.client(t)
	for _, tc := range []struct {
		name, code string
		reply      map[string]any // the part of it that matters
		types      string
	}{
		{"streams in order", "print a\neprint b\nprint c", map[string]any{"status": "ok"}, "stream stream stream"},
		{"stream before display", "print a\nshow b\nprint c", map[string]any{"status": "ok"}, "stream display_data stream"},
		{"update", "update x", map[string]any{"status": "ok"}, "display_data update_display_data"},
		{"clear", "clear wait", map[string]any{"status": "ok"}, "clear_output"},
		{"own error", "print a\nfail b", map[string]any{"status": "error", "ename": "Fail", "evalue": "b"}, "stream error"},
		{"plain error", "oops b", map[string]any{"status": "error", "ename": "Error", "evalue": "b"}, "error"},
		{"panic", "panic b", map[string]any{"status": "error", "ename": "panic", "evalue": "b"}, "error"},
		{"no JSON", "bad\nprint a", map[string]any{"status": "ok"}, "stream stream"},
		{"no input", "input ?", map[string]any{"status": "error", "ename": "Error"}, "error"},
		{"empty", "", map[string]any{"status": "ok"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, out := c.execute(tc.code)
			for key, want := range tc.reply {
				if got := r.content[key]; got != want {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}
			var types []string
			for _, m := range out[1:] {
				types = append(types, m.msgType)
			}
			if out[0].msgType != "execute_input" || strings.Join(types, " ") != tc.types {
				t.Errorf("got %s, want %s", types, tc.types)
			}
			if r.content["status"] == "error" {
				traceback, _ := r.content["traceback"].([]any)
				if len(traceback) == 0 {
					t.Error("no traceback")
				}
			}
		})
	}
}

func TestUserExpressions(t *testing.T) {
	c := startKernel(t, "tcp").client(t)
	id := c.shell.request("execute_request", map[string]any{
		"code": "", "user_expressions": map[string]string{"a": "x", "b": "fail", "c": "panic"},
	})
	got := c.shell.reply(id).content["user_expressions"].(map[string]any)
	want := map[string]any{"status": "ok", "data": map[string]any{"text/plain": "x"}, "metadata": map[string]any{}}
	if diff := cmp.Diff(got["a"], any(want)); diff != "" {
		t.Errorf("a (-got +want):\n%s", diff)
	}
	for _, name := range []string{"b", "c"} {
		if e := got[name].(map[string]any); e["status"] != "error" || e["evalue"] != "no value" {
			t.Errorf("%s is %v", name, e)
		}
	}
}

func TestPanicInQuestion(t *testing.T) {
	c := startKernel(t, "tcp").client(t)
	r := c.shell.reply(c.shell.request("complete_request", map[string]any{"code": "panic!", "cursor_pos": 6}))
	if r.msgType != "complete_reply" || r.content["status"] != "error" || r.content["ename"] != "panic" {
		t.Errorf("got %v", r)
	}
	// A cursor outside of the code is put inside.
	for _, cursor := range []int{-5, 100} {
		r := c.shell.reply(c.shell.request("complete_request", map[string]any{"code": "p", "cursor_pos": cursor}))
		if r.content["status"] != "ok" {
			t.Errorf("cursor %d: %v", cursor, r.content)
		}
	}
}

func TestComms(t *testing.T) {
	c := startKernel(t, "tcp").client(t)
	send := func(msgType, id, target string, data any, buffers ...[]byte) []reply {
		frames, msg := signed(msgType, map[string]any{"comm_id": id, "target_name": target, "data": data})
		c.shell.Write(wire(append(frames, buffers...)...))
		return c.output(msg)
	}
	info := func(content map[string]any) any {
		return c.shell.reply(c.shell.request("comm_info_request", content)).content["comms"]
	}
	if out := send("comm_open", "c", "echo", map[string]any{"x": 1.0}); len(out) != 1 || out[0].msgType != "comm_msg" {
		t.Fatalf("open: %v", out)
	}
	out := send("comm_msg", "c", "", map[string]any{"y": 2.0}, []byte("one"), []byte("two"))
	if len(out) != 1 || fmt.Sprint(out[0].content) != "map[comm_id:c data:map[y:2]]" || fmt.Sprintf("%s", out[0].buffers) != "[one two]" {
		t.Errorf("message: %v", out)
	}
	if got := fmt.Sprint(info(map[string]any{}), info(map[string]any{"target_name": "other"})); got != "map[c:map[target_name:echo]] map[]" {
		t.Errorf("comm_info: %s", got)
	}
	send("comm_close", "c", "", nil)
	if got := fmt.Sprint(info(map[string]any{})); got != "map[]" {
		t.Errorf("comm_info after close: %s", got)
	}
	for _, target := range []string{"refuse", "unknown"} {
		if out := send("comm_open", "d", target, nil); len(out) != 1 || out[0].msgType != "comm_close" {
			t.Errorf("%s: %v", target, out)
		}
	}
	if out := send("comm_msg", "nobody", "", nil); len(out) != 0 {
		t.Errorf("message to no comm: %v", out)
	}
}

// While a cell runs: the control channel and questions are served, and after
// each the front end is told that the kernel is still busy.
func TestBusyStaysBusy(t *testing.T) {
	c := startKernel(t, "tcp").client(t)
	cell := c.shell.request("execute_request", map[string]any{"code": "sleep 60000"})
	for c.iopub.next().msgType != "execute_input" {
	}
	question := c.shell.request("kernel_info_request", struct{}{})
	var states []string
	for len(states) < 3 {
		if r := c.iopub.next(); r.msgType == "status" {
			who := map[string]string{cell: "cell", question: "question"}[r.parent]
			states = append(states, fmt.Sprint(who, " ", r.content["execution_state"]))
		}
	}
	if diff := cmp.Diff(states, []string{"question busy", "question idle", "cell busy"}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if r := c.control.reply(c.control.request("interrupt_request", struct{}{})); r.content["status"] != "ok" {
		t.Errorf("interrupt: %v", r)
	}
	for {
		if r := c.shell.next(); r.parent == cell {
			if r.content["ename"] != "KeyboardInterrupt" {
				t.Errorf("got %v", r.content)
			}
			return
		}
	}
}

// A cell that does not listen to its context cannot keep the kernel from
// leaving.
func TestShutdownOfStuckCell(t *testing.T) {
	k := startKernel(t, "tcp")
	c := k.client(t)
	c.shell.request("execute_request", map[string]any{"code": "stuck 60000"})
	for c.iopub.next().msgType != "execute_input" {
	}
	r := c.control.reply(c.control.request("shutdown_request", map[string]any{"restart": true}))
	if r.msgType != "shutdown_reply" || r.content["restart"] != true {
		t.Errorf("got %v", r)
	}
	exits(t, k)
}

func exits(t *testing.T, k *testKernel) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- k.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the kernel ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the kernel is still there")
	}
}

func TestSIGTERM(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	k := startKernel(t, "ipc")
	k.client(t)
	k.cmd.Process.Signal(syscall.SIGTERM)
	exits(t, k)
	if left, _ := filepath.Glob(k.ip + "-*"); len(left) > 0 {
		t.Errorf("sockets left behind: %v", left)
	}
}

// A kernel whose parent is gone leaves. The parent here is a process that
// JPY_PARENT_PID names.
func TestParentDies(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("JPY_PARENT_PID is a handle on Windows")
	}
	parent := exec.Command("sleep", "60")
	if err := parent.Start(); err != nil {
		t.Skip(err)
	}
	k := startKernel(t, "tcp", fmt.Sprint("JPY_PARENT_PID=", parent.Process.Pid))
	k.client(t)
	parent.Process.Kill()
	parent.Wait()
	exits(t, k)
}

// Two kernels in one process, one after the other, leave nothing behind.
func TestServeLeaks(t *testing.T) {
	leak := goleak.IgnoreCurrent()
	for _, transport := range transports {
		k := connectionFile(t, transport, testKey)
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error)
		go func() { served <- jupyter.Serve(ctx, k.file, echo{}) }()
		c := k.client(t)
		c.execute("lines 1000")
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	goleak.VerifyNone(t, leak,
		// zmq4's Close leaves the writer of a PUB waiting.
		goleak.IgnoreAnyFunction("github.com/go-zeromq/zmq4.(*pubMWriter).run"))
}

// Without a key nothing is signed or refused.
func TestNoKey(t *testing.T) {
	k := connectionFile(t, "tcp", "")
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- jupyter.Serve(ctx, k.file, echo{}) }()
	p := k.peer(t, "shell", "DEALER", "")
	frames, _ := signed("kernel_info_request", struct{}{})
	frames[1] = nil
	for range 2 { // no replay either
		p.Write(wire(frames...))
		if got, err := p.message(); err != nil || len(got[1]) != 0 {
			t.Errorf("got %q, %v", got, err)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestConnectionFileRefused(t *testing.T) {
	const ports = `"ip": "127.0.0.1", "shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": `
	for _, c := range []struct{ name, file, want string }{
		{"no JSON", `{`, "unexpected end"},
		{"a port that is none", `{` + ports + `70000}`, "hb_port is 70000"},
		{"a port twice", `{` + ports + `4}`, "control_port and hb_port are both 4"},
		{"a missing port", `{"ip": "127.0.0.1"}`, "shell_port is 0"},
		{"no ip", `{}`, "no ip"},
		{"transport", `{"transport": "udp"}`, `transport "udp"`},
		{"scheme", `{"ip": "x", "key": "k", "signature_scheme": "hmac-md5"}`, `signature_scheme "hmac-md5"`},
		{"curve", `{"ip": "x", "curve_publickey": "k"}`, "curve"},
		{"a path too long", `{"transport": "ipc", "ip": "/` + strings.Repeat("x", 200) + `", ` + ports[19:] + `5}`, "longer"},
		{"a folder that is not there", `{"transport": "ipc", "ip": "/none/x", ` + ports[19:] + `5}`, "/none/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.json")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			err := jupyter.Serve(context.Background(), path, echo{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if err := jupyter.Serve(context.Background(), filepath.Join(t.TempDir(), "none"), echo{}); err == nil || !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("no file: got %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}
