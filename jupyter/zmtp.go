package jupyter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The parts of ZMTP 3.0 (https://rfc.zeromq.org/spec/23/) that the guard speaks
// itself, before zmq4 sees a byte.

const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4

	greetingBytes = 64
	maxCommand    = 4 << 10 // READY, PING and the like are short
)

// greeting is ours: signature, version 3.0, mechanism NULL, not a server.
func greeting() []byte {
	g := make([]byte, greetingBytes)
	g[0], g[8], g[9], g[10] = 0xff, 1, 0x7f, 3
	copy(g[12:], "NULL")
	return g
}

func readGreeting(r io.Reader) error {
	var g [greetingBytes]byte
	// The signature is checked before the rest is waited for: who speaks HTTP
	// is told apart at once.
	if _, err := io.ReadFull(r, g[:10]); err != nil {
		return err
	}
	if g[0] != 0xff || g[9]&1 == 0 {
		return errors.New("no ZMTP signature")
	}
	if _, err := io.ReadFull(r, g[10:]); err != nil {
		return err
	}
	if g[10] < 3 {
		return fmt.Errorf("ZMTP version %d, at least 3 needed", g[10])
	}
	if mechanism := strings.TrimRight(string(g[12:32]), "\x00"); mechanism != "NULL" {
		return fmt.Errorf("security mechanism %q, only NULL is offered", mechanism)
	}
	return nil
}

func appendFrame(dst []byte, flags byte, body []byte) []byte {
	if len(body) > 255 {
		dst = append(dst, flags|flagLong)
		dst = binary.BigEndian.AppendUint64(dst, uint64(len(body)))
	} else {
		dst = append(dst, flags, byte(len(body)))
	}
	return append(dst, body...)
}

// appendMessage appends frames as one message.
func appendMessage(dst []byte, frames [][]byte) []byte {
	for i, f := range frames {
		flags := byte(flagMore)
		if i == len(frames)-1 {
			flags = 0
		}
		dst = appendFrame(dst, flags, f)
	}
	return dst
}

// readHeader reads a frame header. raw is the header as read.
func readHeader(r io.Reader) (flags byte, size uint64, raw []byte, err error) {
	var h [9]byte
	if _, err = io.ReadFull(r, h[:2]); err != nil {
		return 0, 0, nil, err
	}
	flags = h[0]
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, 0, nil, fmt.Errorf("frame with reserved flags %#x", flags)
	}
	if flags&flagLong == 0 {
		return flags, uint64(h[1]), h[:2:2], nil
	}
	if _, err = io.ReadFull(r, h[2:]); err != nil {
		return 0, 0, nil, err
	}
	return flags, binary.BigEndian.Uint64(h[1:]), h[:], nil
}

// readCommand reads the body of a command and splits off its name.
func readCommand(r io.Reader, size uint64) (name string, data []byte, err error) {
	if size > maxCommand {
		return "", nil, fmt.Errorf("command of %d bytes, at most %d allowed", size, maxCommand)
	}
	body := make([]byte, size)
	if _, err = io.ReadFull(r, body); err != nil {
		return "", nil, err
	}
	if size == 0 || int(body[0]) > len(body)-1 {
		return "", nil, errors.New("command without a name")
	}
	n := 1 + int(body[0])
	return string(body[1:n]), body[n:], nil
}

func appendCommand(dst []byte, name string, data []byte) []byte {
	body := append([]byte{byte(len(name))}, name...)
	return appendFrame(dst, flagCommand, append(body, data...))
}

// appendReady appends the READY command of a socket.
func appendReady(dst []byte, socketType, identity string) []byte {
	var props []byte
	for _, p := range [][2]string{{"Socket-Type", socketType}, {"Identity", identity}} {
		props = append(props, byte(len(p[0])))
		props = append(props, p[0]...)
		props = binary.BigEndian.AppendUint32(props, uint32(len(p[1])))
		props = append(props, p[1]...)
	}
	return appendCommand(dst, "READY", props)
}

// parseReady checks the properties of a READY command and returns the two that
// matter. Names compare without case.
func parseReady(props []byte) (socketType, identity string, err error) {
	malformed := errors.New("READY with a malformed property")
	for len(props) > 0 {
		n := 1 + int(props[0])
		if n == 1 || len(props) < n+4 {
			return "", "", malformed
		}
		name := string(props[1:n])
		size := uint64(binary.BigEndian.Uint32(props[n:]))
		props = props[n+4:]
		if size > uint64(len(props)) {
			return "", "", malformed
		}
		switch value := string(props[:size]); strings.ToLower(name) {
		case "socket-type":
			socketType = value
		case "identity":
			identity = value
		}
		props = props[size:]
	}
	if len(identity) > 255 {
		return "", "", fmt.Errorf("identity of %d bytes, at most 255 allowed", len(identity))
	}
	return socketType, identity, nil
}
