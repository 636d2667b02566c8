package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// A cursor reads a file from front to back. The first fault stays: from then
// on everything read is zero, so that callers check once.
type cursor struct {
	data []byte
	cut  bool // data is not all of the file, but as much as metadata may take
	pos  int
	at   site
	text strings.Builder // the names, in one allocation
	err  *FormatError
}

// A site is what is being read, for errors: a name once it is known, a number
// until then.
type site struct {
	kind   string // "key", "tensor"
	name   string
	no, of int
}

func (s site) String() string {
	switch {
	case s.name != "":
		return fmt.Sprintf("%s %q", s.kind, s.name)
	case s.of > 0:
		return fmt.Sprintf("%s %d of %d", s.kind, s.no+1, s.of)
	}
	return s.kind
}

func (c *cursor) left() int { return len(c.data) - c.pos }

// fail notes a fault at the byte pos.
func (c *cursor) fail(pos int, format string, args ...any) {
	if c.err == nil {
		c.err = &FormatError{Where: c.at.String(), Offset: int64(pos), Err: fmt.Errorf(format, args...)}
	}
}

// room says in an error how many bytes are left.
func (c *cursor) room() string {
	if c.cut {
		return fmt.Sprintf("%d bytes are left of the %d that metadata may take", c.left(), maxMeta)
	}
	return fmt.Sprintf("%d bytes are left", c.left())
}

// take is the next n bytes, or nil when there are fewer.
func (c *cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > c.left() {
		c.fail(c.pos, "%d bytes wanted, %s", n, c.room())
		return nil
	}
	b := c.data[c.pos : c.pos+n]
	c.pos += n
	return b
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) f32() float32 { return math.Float32frombits(c.u32()) }
func (c *cursor) f64() float64 { return math.Float64frombits(c.u64()) }

func (c *cursor) bool() bool {
	b := c.u8()
	if b > 1 {
		c.fail(c.pos-1, "bool is %d, want 0 or 1", b)
	}
	return b == 1
}

// count reads how many things follow that take at least size bytes each.
func (c *cursor) count(what string, size int) int {
	pos := c.pos
	n := c.u64()
	if n > uint64(c.left()/size) || n > math.MaxInt32 {
		c.fail(pos, "%d %s do not fit, %s", n, what, c.room())
		return 0
	}
	return int(n)
}

// bytes is a length and as many bytes, as they lie in the file.
func (c *cursor) bytes() []byte {
	return c.take(c.count("bytes of a string", 1))
}

func (c *cursor) string() string { return string(c.bytes()) }

// strings reads n strings into one allocation of text. A file that somebody
// writes to meanwhile may have other lengths in the second pass: they only
// cost another allocation.
func (c *cursor) strings(n int) []string {
	start, size := c.pos, 0
	for range n {
		size += len(c.bytes())
	}
	if c.err != nil {
		return nil
	}
	c.pos = start
	var text strings.Builder
	text.Grow(size)
	all := make([]string, n)
	for i := range all {
		all[i] = c.keep(&text)
	}
	return all
}

// keep is the string that follows, copied to the end of text.
func (c *cursor) keep(text *strings.Builder) string {
	b := c.bytes()
	text.Write(b)
	s := text.String()
	return s[len(s)-len(b):]
}

// name reads the name of a key or tensor, which is some text, and makes it the
// site of what follows.
func (c *cursor) name() string {
	pos := c.pos
	s := c.keep(&c.text)
	switch {
	case c.err != nil:
	case s == "":
		c.fail(pos, "the name is empty")
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		c.fail(pos, "the name %.40q is not text", s)
	}
	c.at.name = s
	return s
}
