package openai

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

type event struct{ Name, Data string }

func readEvents(r io.Reader) (all []event, err error) {
	for e, err := range Events(r) {
		if err != nil {
			return all, err
		}
		all = append(all, event{e.Name, string(e.Data)})
	}
	return all, nil
}

// The streams and what comes of them are those of web-platform-tests,
// eventsource/format-*.any.js, but the last ones.
func TestEvents(t *testing.T) {
	long := strings.Repeat("x", 2*1024)
	for _, c := range []struct {
		name, stream string
		want         []event
	}{
		{"bom", "\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3\n\n", []event{{"", "1"}, {"", "3"}}},
		{"bom twice", "\uFEFF\uFEFFdata:1\n\ndata:2\n\ndata:3\n\n", []event{{"", "2"}, {"", "3"}}},
		{"comments", "data:1\r:\x00\n:\r\ndata:2\n:" + long + "\rdata:3\n:data:fail\r:" + long + "\ndata:4\n\n", []event{{"", "1\n2\n3\n4"}}},
		{"data", "data:\n\ndata\ndata\n\ndata:test\n\n", []event{{"", ""}, {"", "\n"}, {"", "test"}}},
		{"event", "event:test\ndata:x\n\ndata:x\n\n", []event{{"test", "x"}, {"", "x"}}},
		{"event without data", "event:test\n\ndata:x\n\n", []event{{"", "x"}}},
		{"last event counts", "event:a\nevent: b\ndata:x\n\n", []event{{"b", "x"}}},
		{"fields", "data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
			[]event{{"", "\x00\n 2\n1\n3\n\n4"}}},
		{"leading space", "data:\ttest\rdata: \ndata:test\n\n", []event{{"", "\ttest\n\ntest"}}},
		{"newlines", "data:test\r\ndata\ndata:test\r\n\r", []event{{"", "test\n\ntest"}}},
		{"null", "data:\x00\n\n\n\n", []event{{"", "\x00"}}},
		{"id and retry", "id: 3\nretry: 10\ndata: a\n\nretry: 1\n\n", []event{{"", "a"}}},

		// The standard's own examples.
		{"stocks", "data: YHOO\ndata: +2\ndata: 10\n\n", []event{{"", "YHOO\n+2\n10"}}},
		{"blocks", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			[]event{{"", "first event"}, {"", "second event"}, {"", " third event"}}},
		{"empty", "data\n\ndata\ndata\n\n", []event{{"", ""}, {"", "\n"}}},

		{"nothing", "", nil},
		{"colons", "data: {\"a\": \"b:c\"}\n\n", []event{{"", `{"a": "b:c"}`}}},
		{"no line after the last", "data: a\n\ndata: [DONE]\n", []event{{"", "a"}, {"", "[DONE]"}}}, // the standard drops it
		{"no end of the last line", "data: a\n\ndata: [DONE]", []event{{"", "a"}, {"", "[DONE]"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.stream), iotest.OneByteReader(strings.NewReader(c.stream)),
				iotest.DataErrReader(iotest.HalfReader(strings.NewReader(c.stream)))} {
				got, err := readEvents(r)
				if d := cmp.Diff(c.want, got); d != "" || err != nil {
					t.Errorf("%v\n%s", err, d)
				}
			}
		})
	}
}

// endless is a line without an end; it counts what is taken of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestEventsBounded(t *testing.T) {
	for name, start := range map[string]string{"line": "data: ", "comment": ":"} {
		tail := new(endless)
		if got, err := readEvents(io.MultiReader(strings.NewReader(start), tail)); !errors.Is(err, ErrHugeEvent) || got != nil || tail.read > maxEvent+64<<10 {
			t.Errorf("%s: got %v, %v after %d bytes, want %v", name, got, err, tail.read, ErrHugeEvent)
		}
	}
	lines := strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", maxEvent>>20)
	if got, err := readEvents(strings.NewReader(lines + "\n")); !errors.Is(err, ErrHugeEvent) {
		t.Errorf("many lines: got %d events, %v", len(got), err)
	}
	if got, err := readEvents(strings.NewReader("data: " + strings.Repeat("x", maxEvent-6) + "\n\ndata: b\n\n")); err != nil || len(got) != 2 {
		t.Errorf("an event as large as allowed: %d events, %v", len(got), err)
	}
	broken := io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(io.ErrClosedPipe))
	if got, err := readEvents(broken); !errors.Is(err, io.ErrClosedPipe) || len(got) != 1 {
		t.Errorf("a broken connection: got %v, %v", got, err)
	}
}

// However a stream is cut into reads, and whichever of the three ends its
// lines have, the events are the same.
func FuzzEvents(f *testing.F) {
	f.Add("data: a\n\nevent: error\ndata: b\ndata:c\n\n: ping\n\ndata: [DONE]\n\n")
	f.Add("\uFEFFdata\n\n\n:\nid:1")
	f.Fuzz(func(t *testing.T, stream string) {
		want, err := readEvents(strings.NewReader(stream))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readEvents(iotest.OneByteReader(strings.NewReader(stream))); err != nil || !cmp.Equal(got, want) {
			t.Fatalf("byte by byte: got %q, %v, want %q", got, err, want)
		}
		if strings.Contains(stream, "\r") {
			return
		}
		for _, end := range []string{"\r\n", "\r"} {
			if got, err := readEvents(strings.NewReader(strings.ReplaceAll(stream, "\n", end))); err != nil || !cmp.Equal(got, want) {
				t.Fatalf("with %q: got %q, %v, want %q", end, got, err, want)
			}
		}
		for _, e := range want {
			if strings.Count(e.Data, "\n") > strings.Count(stream, "\n") {
				t.Fatalf("%q has more lines than %q", e.Data, stream)
			}
		}
	})
}

func TestEventsCut(t *testing.T) {
	for stream, want := range map[string]string{"data: a\n\ndata: b\n\n": "whole whole", "data: a\n\ndata: b\n": "whole cut", "data: a\n\nda": "whole"} {
		var got []string
		for e := range Events(strings.NewReader(stream)) {
			got = append(got, map[bool]string{true: "cut", false: "whole"}[e.Cut])
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: got %s, want %s", stream, s, want)
		}
	}
}

// An event is there as soon as its last line is, whatever ends the line.
func TestEventsAtOnce(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		r, w := io.Pipe()
		go w.Write([]byte("data: a" + end + end))
		for e, err := range Events(r) {
			if err != nil || string(e.Data) != "a" {
				t.Errorf("%q: got %q, %v", end, e.Data, err)
			}
			break // the pipe stays open: a reader that waits for more hangs
		}
		r.Close()
	}
}
