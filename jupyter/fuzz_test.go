package jupyter

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// Whatever comes from the network, parse returns a message or an error, and
// what frames makes, parse reads.
func FuzzParse(f *testing.F) {
	s, err := newSession("key")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"msg_id":"1","msg_type":"x"}`), []byte("{}"), []byte("{}"), true)
	f.Add([]byte(`[]`), []byte("{"), []byte("null"), true)
	f.Add([]byte(``), []byte(delimiter), []byte("\xff"), false)
	f.Fuzz(func(t *testing.T, header, parent, content []byte, signed bool) {
		parts := [][]byte{header, parent, []byte("{}"), content}
		frames := append([][]byte{[]byte("id"), []byte(delimiter), []byte("0"), nil}, parts...)
		if signed {
			frames = append([][]byte{[]byte("id"), []byte(delimiter), s.sign(parts)}, parts...)
		}
		m, err := s.parse(frames)
		if (m == nil) == (err == nil) {
			t.Fatalf("got %v and %v", m, err)
		}
		if err != nil {
			return
		}
		if !signed {
			t.Fatal("took a message that was not signed")
		}
		if _, err := s.parse(frames); err == nil {
			t.Fatal("took a message twice")
		}
		again, err := s.frames(m.header.Type, m.rawHeader, m.content, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m2, err := s.parse(again); err != nil || !bytes.Equal(again[3], m.rawHeader) || m2.header.Type == "" {
			t.Fatalf("its own message: %v", err)
		}
	})
}

// A guard gives zmq4 whole, bounded messages or the end, whatever a peer sends
// after its handshake.
func FuzzGuardRead(f *testing.F) {
	f.Add([]byte{0, 1, 'x', 1, 0, 0, 0, 4, 7, 4, 'P', 'I', 'N', 'G', 0, 0, 0, 0})
	f.Add([]byte{2, 0x40, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{4, 0})
	f.Add([]byte{0x80, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []string{"ROUTER", "XPUB"} {
			g := &guard{socketType: kind, maxMessage: 1 << 10, welcome: func(*guardConn, string) []byte { return nil }, peers: map[*guardConn]struct{}{}}
			raw := &script{r: bytes.NewReader(data)}
			c := newGuardConn(g, raw, bufio.NewReader(raw), "DEALER", "")
			c.replay = nil
			total, parts := uint64(0), 0
			for {
				flags, size, _, err := readHeader(c)
				if err != nil {
					break
				}
				if flags&flagCommand != 0 {
					t.Fatal("zmq4 sees a command")
				}
				total, parts = total+size, parts+1
				if total > 1<<10 || parts > maxParts {
					t.Fatalf("%s: message of %d bytes in %d frames", kind, total, parts)
				}
				if _, err := io.CopyN(io.Discard, c, int64(size)); err != nil {
					break
				}
				if flags&flagMore == 0 {
					total, parts = 0, 0
				}
			}
			if n := g.partial.Load(); n != 0 {
				t.Fatalf("%s: %d bytes still counted", kind, n)
			}
		}
	})
}

// A script is a connection that says what r holds.
type script struct {
	net.Conn
	r *bytes.Reader
}

func (s *script) Read(p []byte) (int, error)       { return s.r.Read(p) }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func FuzzREADY(f *testing.F) {
	f.Add(appendReady(nil, "DEALER", "me")[8:])
	f.Add([]byte("\xffSocket-Type"))
	f.Fuzz(func(t *testing.T, props []byte) {
		kind, id, err := parseReady(props)
		if err != nil {
			return
		}
		if len(id) > 255 {
			t.Fatalf("identity of %d bytes", len(id))
		}
		// What is replayed to zmq4 reads as the same.
		_, size, raw, _ := readHeader(bytes.NewReader(appendReady(nil, kind, id)))
		_, again, err := readCommand(bytes.NewReader(appendReady(nil, kind, id)[len(raw):]), size)
		if err != nil { // a Socket-Type that fills the command
			return
		}
		if k, i, err := parseReady(again); k != kind || i != id || err != nil {
			t.Fatalf("got %q %q %v, want %q %q", k, i, err, kind, id)
		}
	})
}

// A notebook that was read once is written the same from then on.
func FuzzNotebook(f *testing.F) {
	f.Add([]byte(`{"nbformat": 4, "metadata": {"n": [1.0, 1e400, -0, 1E-7]}, "cells": [{"cell_type": "code", "metadata": {}, "source": ["a\r", "\nb\u2028"], "outputs": [{"output_type": "stream", "text": ["x", "\u0000"]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		nb, err := ParseNotebook(data)
		if err != nil {
			return
		}
		first := nb.Bytes()
		if bytes.Contains(first, []byte("Infinity")) {
			return // which Python writes and Go does not read
		}
		again, err := ParseNotebook(first)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if got := again.Bytes(); !bytes.Equal(got, first) {
			t.Fatalf("got\n%s\nwant\n%s", got, first)
		}
	})
}
