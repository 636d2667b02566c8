package safetensors

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/llcuda/llcuda/gguf"
)

// A Source is a tensor to be written. Write gives its numbers when their turn
// comes, as many bytes as the shape has; so one tensor at a time is in memory,
// or less.
type Source struct {
	Name  string
	DType DType
	Shape []int
	Write func(io.Writer) error
}

// Bytes is a Source whose numbers are in memory.
func Bytes(name string, d DType, shape []int, data []byte) Source {
	return Source{name, d, shape, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// Sources are the tensors of a file as they can be written elsewhere.
func (f *File) Sources() []Source {
	var all []Source
	for i := range f.Tensors {
		t := &f.Tensors[i]
		all = append(all, Source{t.Name, t.DType, t.Shape, func(w io.Writer) error {
			return gguf.Guard(func() error {
				_, err := w.Write(t.Data)
				return err
			})
		}})
	}
	return all
}

// Sort puts tensors in the order of the reference implementation: the widest
// type first, so that each is aligned to its type, then by name.
func Sort(tensors []Source) {
	slices.SortStableFunc(tensors, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.DType.rank(), a.DType.rank()), cmp.Compare(a.Name, b.Name))
	})
}

// Write writes one file, metadata and tensors in the order given, and with the
// tensors sorted by Sort the bytes that the reference implementation writes.
// Everything that can be checked before the first byte is.
func Write(dst io.Writer, meta []KV, tensors []Source) error {
	header, err := header(meta, tensors)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(dst, 1<<18)
	if _, err := w.Write(header); err != nil {
		return errorf("safetensors: write the header: %w", err)
	}
	for i := range tensors {
		s := &tensors[i]
		n, _ := size(s.DType, s.Shape) // header checked it
		c := counter{dst: w, left: n}
		if err := s.Write(&c); err != nil {
			return errorf("safetensors: write %s: %w", named("tensor", s.Name), err)
		}
		if c.left != 0 {
			return errorf("safetensors: write %s: %d bytes came, shape %v of %s is %d", named("tensor", s.Name), n-c.left, s.Shape, s.DType, n)
		}
	}
	if err := w.Flush(); err != nil {
		return errorf("safetensors: write: %w", err)
	}
	return nil
}

// A counter lets so many bytes pass.
type counter struct {
	dst  io.Writer
	left uint64
}

func (c *counter) Write(b []byte) (int, error) {
	if uint64(len(b)) > c.left {
		return 0, errorf("more bytes came than the shape has")
	}
	n, err := c.dst.Write(b)
	c.left -= uint64(n)
	return n, err
}

// header is a file up to its first number: the header, padded with spaces to 8
// bytes, behind its length.
func header(meta []KV, tensors []Source) ([]byte, error) {
	refuse := func(kind, name string, err error) ([]byte, error) {
		return nil, errorf("safetensors: write %s: %w", named(kind, name), err)
	}
	b := append(make([]byte, 8), '{')
	seen := map[string]bool{}
	if len(meta) > 0 {
		b = append(b, `"`+metaKey+`":{`...)
		for i, kv := range meta {
			switch {
			case seen[kv.Key]:
				return refuse("metadata", kv.Key, errorf("is there twice"))
			case !utf8.ValidString(kv.Key) || !utf8.ValidString(kv.Value):
				return refuse("metadata", kv.Key, errorf("is not UTF-8"))
			}
			seen[kv.Key] = true
			b = append(quote(comma(b, i), kv.Key), ':')
			b = quote(b, kv.Value)
		}
		b = append(b, '}')
	}
	clear(seen)
	at := uint64(0)
	for i := range tensors {
		s := &tensors[i]
		n, err := size(s.DType, s.Shape)
		switch {
		case err != nil:
		case s.Name == metaKey || seen[s.Name]:
			err = errorf("the name is taken")
		case !utf8.ValidString(s.Name):
			err = errorf("is not UTF-8")
		case at+n > maxInt:
			err = errorf("the file gets too large")
		}
		if err != nil {
			return refuse("tensor", s.Name, err)
		}
		seen[s.Name] = true
		if i > 0 || len(meta) > 0 {
			b = append(b, ',')
		}
		b = append(quote(b, s.Name), fmt.Sprintf(`:{"dtype":"%s","shape":[`, s.DType)...)
		for k, n := range s.Shape {
			b = strconv.AppendInt(comma(b, k), int64(n), 10)
		}
		b = append(b, fmt.Sprintf(`],"data_offsets":[%d,%d]}`, at, at+n)...)
		at += n
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > maxHeader {
		return nil, errorf("safetensors: write: the header is %d bytes long, at most %d allowed", len(b)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

// quote appends a JSON string as serde_json writes it: encoding/json would
// escape more.
func quote(b []byte, s string) []byte {
	const short = "btn\x00fr" // of 8 to 13
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 8 && c <= 13 && c != 11:
			b = append(b, '\\', short[c-8])
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
