package jupyter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llcuda/llcuda/jupyter"
)

// A recorder is a Sink that writes down what it gets.
type recorder struct {
	mu  sync.Mutex
	got []string
}

func (r *recorder) Send(msgType string, content map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch msgType {
	case "stream":
		r.got = append(r.got, fmt.Sprintf("%s %q", content["name"], content["text"]))
	case "clear_output":
		r.got = append(r.got, fmt.Sprint("clear_output ", content["wait"]))
	default:
		id := ""
		if transient, ok := content["transient"].(map[string]any); ok {
			id = fmt.Sprint(" ", transient["display_id"])
		}
		r.got = append(r.got, fmt.Sprint(msgType, id, " ", content["data"]))
	}
}

func (r *recorder) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

func TestDisplayOrder(t *testing.T) {
	r := &recorder{}
	d := jupyter.NewDisplay(r)
	text := func(s string) jupyter.Bundle { return jupyter.Bundle{"text/plain": s} }
	io.WriteString(d.Stdout(), "a")
	io.WriteString(d.Stdout(), "b")
	io.WriteString(d.Stderr(), "c")
	io.WriteString(d.Stdout(), "d")
	d.Show(text("e"))
	io.WriteString(d.Stdout(), "f")
	d.ShowID("id", text("g"))
	d.Update("id", text("h"))
	io.WriteString(d.Stderr(), "i")
	d.Clear(true)
	d.Result(text("j"))
	d.Result(text("k"))
	d.Show(jupyter.Bundle{"image/png": []byte("png")})
	io.WriteString(d.Stdout(), "l")
	d.Flush()
	want := []string{
		`stdout "ab"`, `stderr "c"`, `stdout "d"`, `display_data map[text/plain:e]`, `stdout "f"`,
		`display_data id map[text/plain:g]`, `update_display_data id map[text/plain:h]`, `stderr "i"`,
		`clear_output true`, `execute_result map[text/plain:j]`, `display_data map[text/plain:k]`,
		`display_data map[image/png:cG5n]`, `stdout "l"`,
	}
	if diff := cmp.Diff(r.messages(), want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

// Printed text leaves by itself, without an end of the line or of the cell.
func TestDisplayLeavesInTime(t *testing.T) {
	r := &recorder{}
	d := jupyter.NewDisplay(r)
	for _, token := range []string{"one", "two"} {
		io.WriteString(d.Stdout(), token)
		waitFor(t, token, func() bool { return strings.Contains(strings.Join(r.messages(), ""), token) })
	}
}

func TestDisplayKeepsRunesWhole(t *testing.T) {
	text := strings.Repeat("aé漢😀", 40000)
	for _, size := range []int{1, 2, 3, 5, 7, 1000, 65535, 65536, 65537, len(text)} {
		var got strings.Builder
		d := jupyter.NewDisplay(sinkFunc(func(_ string, content map[string]any) {
			s := content["text"].(string)
			if strings.ToValidUTF8(s, "") != s {
				t.Errorf("pieces of %d: a message with half a rune", size)
			}
			if len(s) > 64<<10 {
				t.Errorf("pieces of %d: a message of %d bytes", size, len(s))
			}
			got.WriteString(s)
		}))
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if m, err := io.WriteString(d.Stdout(), rest[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		d.Flush()
		if got.String() != text {
			t.Errorf("pieces of %d: got %d bytes, want %d", size, got.Len(), len(text))
		}
	}
}

type sinkFunc func(msgType string, content map[string]any)

func (f sinkFunc) Send(msgType string, content map[string]any) { f(msgType, content) }

// Bytes that are no text at all do not get stuck.
func TestDisplayBinary(t *testing.T) {
	r := &recorder{}
	d := jupyter.NewDisplay(r)
	for i := range 256 {
		d.Stdout().Write([]byte{byte(i)})
	}
	d.Stdout().Write([]byte("end"))
	d.Flush()
	if got := strings.Join(r.messages(), ""); !strings.Contains(got, `\xffend`) {
		t.Errorf("got %s", got)
	}
}

// Lines printed at the same time stay whole and in each printer's order.
func TestDisplayConcurrent(t *testing.T) {
	var got strings.Builder
	d := jupyter.NewDisplay(sinkFunc(func(_ string, content map[string]any) {
		got.WriteString(content["text"].(string))
		time.Sleep(time.Microsecond)
	}))
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				fmt.Fprintf(d.Stdout(), "%d %d\n", p, i)
			}
		})
	}
	wg.Wait()
	d.Flush()
	next := make([]int, 4)
	for line := range strings.Lines(got.String()) {
		var p, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &p, &i); err != nil || i != next[p] {
			t.Fatalf("line %q, want %d from printer %d", line, next[p], p)
		}
		next[p]++
	}
	if diff := cmp.Diff(next, []int{5000, 5000, 5000, 5000}); diff != "" {
		t.Error(diff)
	}
}

func TestDisplayWithoutFrontEnd(t *testing.T) {
	d := jupyter.NewDisplay(&recorder{})
	if d.Interactive() {
		t.Error("a plain sink is interactive")
	}
	if _, err := d.Input(context.Background(), "?", false); !errors.Is(err, jupyter.ErrNoStdin) {
		t.Errorf("input: got %v", err)
	}
	d.Page(jupyter.Bundle{"text/plain": "help"})
	d.SetNextInput("x", true)
	want := []map[string]any{
		{"source": "page", "data": map[string]any{"text/plain": "help"}, "start": 0},
		{"source": "set_next_input", "text": "x", "replace": true},
	}
	if diff := cmp.Diff(d.Payloads(), want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}
