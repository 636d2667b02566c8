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
}

// maxEvent bounds the bytes of an event.
const maxEvent = 16 << 20

// Events reads a stream until its end or the first error. Comments, which keep
// a connection alive, are left out; an event that the end cut off, too.
func Events(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 4096), maxEvent)
		lines.Split(scanLines)
		var e Event
		has := false
		for lines.Scan() {
			line := lines.Bytes()
			if len(line) == 0 {
				if has && !yield(e, nil) {
					return
				}
				e, has = Event{Data: e.Data[:0]}, false
				continue
			}
			field, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(field) {
			case "event":
				e.Name = string(value)
			case "data":
				if has {
					e.Data = append(e.Data, '\n')
				}
				if e.Data, has = append(e.Data, value...), true; len(e.Data) > maxEvent {
					yield(Event{}, fmt.Errorf("openai: an event of more than %d bytes", maxEvent))
					return
				}
			}
		}
		if err := lines.Err(); err != nil {
			yield(Event{}, fmt.Errorf("openai: read events: %w", err))
		}
	}
}

// scanLines splits at \n, \r\n and \r, as events may.
func scanLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0 && atEOF && len(data) > 0:
		return len(data), data, nil
	case i < 0:
		return 0, nil, nil
	case data[i] == '\n':
		return i + 1, data[:i], nil
	case i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	case i+1 == len(data) && !atEOF:
		return 0, nil, nil // \n may follow
	}
	return i + 1, data[:i], nil
}
