package remote

import (
	"bufio"
	"fmt"
	"io"
)

// maxEvent bounds what one event may take, in bytes.
const maxEvent = 8 << 20

var errHugeEvent = fmt.Errorf("one event of the stream is larger than %d MiB", maxEvent>>20)

// events reads a stream of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
// Ids and times to reconnect are left out: nothing is reconnected here.
type events struct {
	r    *bufio.Reader
	line []byte
	cr   bool // the last line ended in \r: a \n belongs to it

	begun bool // a byte order mark was looked for
	ended bool // the stream has ended
}

func newEvents(r io.Reader) *events { return &events{r: bufio.NewReader(r)} }

// next returns the next event that has data, as it arrives. At the end of the
// stream it returns io.EOF, after what came without the empty line that ends
// an event: servers exist that leave it out.
func (e *events) next() (name string, data []byte, err error) {
	has, size := false, 0
	for {
		switch err := e.readLine(maxEvent - size); {
		case err == io.EOF && has:
			return name, data, nil
		case err != nil:
			return "", nil, err
		case len(e.line) == 0 && has:
			return name, data, nil
		case len(e.line) == 0:
			name, size = "", 0
			continue
		}
		size += len(e.line)
		field, value := cut(e.line)
		switch field {
		case "event":
			name = string(value)
		case "data":
			if has {
				data = append(data, '\n')
			}
			data, has = append(data, value...), true
		}
	}
}

// cut splits a line at its first colon; one blank behind it is not part of the
// value.
func cut(line []byte) (field string, value []byte) {
	for i, b := range line {
		if b == ':' {
			value = line[i+1:]
			if len(value) > 0 && value[0] == ' ' {
				value = value[1:]
			}
			return string(line[:i]), value
		}
	}
	return string(line), nil
}

// readLine sets e.line to the next line, without the \n, \r\n or \r that ends
// it. A last line that nothing ends is a line.
func (e *events) readLine(limit int) error {
	e.line = e.line[:0]
	if !e.begun {
		e.begun = true
		if start, _ := e.r.Peek(3); string(start) == "\uFEFF" {
			e.r.Discard(3)
		}
	}
	for {
		b, err := e.r.ReadByte()
		if err != nil {
			e.ended = err == io.EOF
			if e.ended && len(e.line) > 0 {
				return nil
			}
			return err
		}
		after := e.cr
		e.cr = false
		switch {
		case b == '\n' && after:
			continue
		case b == '\n':
			return nil
		case b == '\r':
			e.cr = true
			return nil
		}
		if len(e.line) >= limit {
			return errHugeEvent
		}
		e.line = append(e.line, b)
	}
}
