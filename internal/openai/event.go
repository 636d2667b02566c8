package openai

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
)

// Done is the data of the event that ends a stream.
const Done = "[DONE]"

// An Event is one server-sent event.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type Event struct {
	Name string // "" is "message"
	Data []byte // lines joined with \n; valid until the next one
	Cut  bool   // the stream ended within it: it may be whole, or not
}

// maxEvent bounds the bytes of an event.
const maxEvent = 16 << 20

// ErrHugeEvent: an event is larger than any of this API.
var ErrHugeEvent = fmt.Errorf("openai: an event of more than %d MiB", maxEvent>>20)

// Events reads a stream until its end or the first error. Each event comes as
// soon as it is whole. Comments, which keep a connection alive, are left out.
// What the end of the stream cut off is an event too, unlike in the standard:
// there are servers that leave out the empty line behind the last one.
func Events(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		l := lines{r: bufio.NewReader(r)}
		if start, _ := l.r.Peek(3); string(start) == "\uFEFF" {
			l.r.Discard(3)
		}
		var e Event
		has, size := false, 0
		for {
			switch err := l.read(maxEvent - size); {
			case err == io.EOF:
				if e.Cut = true; has {
					yield(e, nil)
				}
				return
			case err != nil:
				yield(Event{}, err)
				return
			case len(l.line) == 0:
				if has && !yield(e, nil) {
					return
				}
				e, has, size = Event{Data: e.Data[:0]}, false, 0
				continue
			}
			size += len(l.line)
			field, value, _ := bytes.Cut(l.line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(field) {
			case "event":
				e.Name = string(value)
			case "data":
				if has {
					e.Data = append(e.Data, '\n')
				}
				e.Data, has = append(e.Data, value...), true
			}
		}
	}
}

// lines are those of a stream of events: they end in \n, \r\n or \r.
type lines struct {
	r    *bufio.Reader
	line []byte
	cr   bool // the last line ended in \r: a \n belongs to it
}

// read sets l.line to the next line. A last one that nothing ends is a line.
func (l *lines) read(limit int) error {
	l.line = l.line[:0]
	for {
		b, err := l.r.ReadByte()
		after := l.cr
		l.cr = false
		switch {
		case err == io.EOF && len(l.line) > 0:
			return nil
		case err == io.EOF:
			return err
		case err != nil:
			return fmt.Errorf("openai: read events: %w", err)
		case b == '\n' && after:
			continue
		case b == '\n':
			return nil
		case b == '\r': // does not wait for a \n, which may be long in coming
			l.cr = true
			return nil
		}
		if len(l.line) >= limit {
			return ErrHugeEvent
		}
		l.line = append(l.line, b)
	}
}
