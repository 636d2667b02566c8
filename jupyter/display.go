package jupyter

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// ErrNoStdin is returned by Display.Input where nobody can be asked.
var ErrNoStdin = errors.New("input is not possible here: the front end does not allow stdin for this cell")

// A Sink takes the messages of a Display one at a time, in order. Send may
// block; that is the back-pressure on whoever prints. msgType and content are
// those of the protocol (stream, display_data, update_display_data,
// execute_result, clear_output), less execution_count.
//
// A Sink may also have the methods
//
//	Input(ctx context.Context, prompt string, password bool) (string, error)
//	Interactive() bool
type Sink interface {
	Send(msgType string, content map[string]any)
}

const (
	streamDelay = 25 * time.Millisecond // the longest that printed text waits
	streamBatch = 64 << 10              // bytes of text in one stream message
)

// A Display is where an executing cell's output goes. All methods may be called
// concurrently; what one goroutine does stays in order. It still works after
// the cell has ended, for what the cell left running.
type Display struct {
	sink Sink

	mu       sync.Mutex // held while sink.Send runs: that keeps messages in order
	name     string     // stream that text belongs to
	text     []byte     // printed, not yet sent
	armed    bool       // the flush timer runs
	out, err stream
	shown    bool // execute_result was sent
	payload  []map[string]any
}

// NewDisplay returns a Display that sends to sink.
func NewDisplay(sink Sink) *Display {
	d := &Display{sink: sink}
	d.out = stream{d: d, name: "stdout"}
	d.err = stream{d: d, name: "stderr"}
	return d
}

// A stream is the io.Writer of one of the two standard streams.
type stream struct {
	d       *Display
	name    string
	partial []byte // the first bytes of a rune that is not whole yet
}

// Stdout returns the writer of the cell's standard output. Text is coalesced
// and leaves after 25 ms, at 64 KiB, or before any other output.
func (d *Display) Stdout() io.Writer { return &d.out }

// Stderr returns the writer of the cell's standard error, in order with Stdout.
func (d *Display) Stderr() io.Writer { return &d.err }

// Write never fails. A rune cut in two by the end of p waits for its rest.
func (s *stream) Write(p []byte) (int, error) {
	d := s.d
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(p)
	if len(s.partial) > 0 {
		p = append(s.partial, p...)
		s.partial = nil
	}
	if cut := wholeRunes(p); cut < len(p) {
		s.partial = append([]byte(nil), p[cut:]...)
		p = p[:cut]
	}
	if d.name != s.name {
		d.flush()
		d.name = s.name
	}
	for len(d.text)+len(p) >= streamBatch {
		cut := max(wholeRunes(p[:streamBatch-len(d.text)]), 0)
		d.text = append(d.text, p[:cut]...)
		p = p[cut:]
		d.flush()
	}
	d.text = append(d.text, p...)
	if len(d.text) > 0 && !d.armed {
		d.armed = true
		time.AfterFunc(streamDelay, d.Flush)
	}
	return n, nil
}

// wholeRunes returns the length of p without a rune that is cut off at its end.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				return len(p)
			}
			return i
		}
	}
	return len(p)
}

// Flush sends what was printed so far.
func (d *Display) Flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = false
	d.flush()
}

func (d *Display) flush() {
	if len(d.text) == 0 {
		return
	}
	text := string(d.text)
	d.text = d.text[:0]
	d.sink.Send("stream", map[string]any{"name": d.name, "text": text})
}

// finish sends everything at the end of a cell, halves of runes included.
func (d *Display) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range []*stream{&d.out, &d.err} {
		if len(s.partial) > 0 {
			if d.name != s.name {
				d.flush()
				d.name = s.name
			}
			d.text = append(d.text, s.partial...)
			s.partial = nil
		}
	}
	d.flush()
}

func (d *Display) send(msgType string, content map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush()
	d.sink.Send(msgType, content)
}

// Show displays b below the cell.
func (d *Display) Show(b Bundle) { d.send("display_data", content(b)) }

// ShowID displays b so that Update can replace it. id has to be unique in the
// notebook; one made from time or random numbers is.
func (d *Display) ShowID(id string, b Bundle) { d.send("display_data", withID(id, b)) }

// Update replaces what ShowID displayed under id, wherever it stands.
func (d *Display) Update(id string, b Bundle) { d.send("update_display_data", withID(id, b)) }

// Result displays b as the value of the cell. A cell has one result: further
// ones are displayed like Show does.
func (d *Display) Result(b Bundle) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush()
	msgType := "execute_result"
	if d.shown {
		msgType = "display_data"
	}
	d.shown = true
	d.sink.Send(msgType, content(b))
}

// Clear removes the cell's output; with wait, only when the next output comes.
func (d *Display) Clear(wait bool) { d.send("clear_output", map[string]any{"wait": wait}) }

// Page shows b in the front end's pager.
func (d *Display) Page(b Bundle) {
	d.addPayload(map[string]any{"source": "page", "data": content(b)["data"], "start": 0})
}

// SetNextInput proposes the text of a new cell below, or of this one.
func (d *Display) SetNextInput(text string, replace bool) {
	d.addPayload(map[string]any{"source": "set_next_input", "text": text, "replace": replace})
}

func (d *Display) addPayload(p map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.payload = append(d.payload, p)
}

// Payloads returns what Page and SetNextInput collected for execute_reply.
func (d *Display) Payloads() []map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]map[string]any{}, d.payload...)
}

// Input asks the user for a line, hidden when it is a password. It fails with
// ErrNoStdin where nobody can be asked, and with ctx's error when interrupted.
func (d *Display) Input(ctx context.Context, prompt string, password bool) (string, error) {
	in, ok := d.sink.(interface {
		Input(ctx context.Context, prompt string, password bool) (string, error)
	})
	if !ok {
		return "", ErrNoStdin
	}
	d.Flush()
	return in.Input(ctx, prompt, password)
}

// Interactive reports whether somebody watches: in headless runs and silent
// cells nobody does, and live progress is wasted.
func (d *Display) Interactive() bool {
	in, ok := d.sink.(interface{ Interactive() bool })
	return ok && in.Interactive()
}

// content is b as the content of a display message.
func content(b Bundle) map[string]any {
	data := make(map[string]any, len(b))
	for mime, v := range b {
		if raw, ok := v.([]byte); ok {
			v = base64.StdEncoding.EncodeToString(raw)
		}
		data[mime] = v
	}
	return map[string]any{"data": data, "metadata": map[string]any{}}
}

func withID(id string, b Bundle) map[string]any {
	c := content(b)
	c["transient"] = map[string]any{"display_id": id}
	return c
}
