package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llcuda/llcuda/tensor"
)

// A Writer writes one file from front to back. Keys and tensors are only noted
// by Add and AddTensor, in this order; Close writes everything, and asks for
// the numbers of one tensor at a time. The same calls give the same bytes.
//
// The first error stays: what follows it does nothing, and Close returns it.
// Close does not close the destination.
type Writer struct {
	Version uint32 // 3 unless it is set to 2

	dst     *bufio.Writer
	pos     int64
	meta    []KV
	names   map[string]bool // kind, tab, name
	tensors []source
	align   int
	open    bool // the end is not padded
	err     error
}

// A source is a tensor to be written.
type source struct {
	Tensor
	write func(io.Writer) error
}

// NewWriter begins a file.
func NewWriter(dst io.Writer) *Writer {
	return &Writer{Version: 3, dst: bufio.NewWriterSize(dst, 1<<18), names: map[string]bool{}, align: defaultAlignment}
}

// Write writes the file as one, without the keys of shards where it had some.
// Parse and Write give the same bytes, unless there were bytes after the last
// tensor or padding that was not zero; Check reports both. A map that became
// shorter is ErrFileChanged.
func (f *File) Write(dst io.Writer) error {
	return Guard(func() error { return f.write(dst) })
}

func (f *File) write(dst io.Writer) error {
	w := NewWriter(dst)
	w.Version = f.Version
	w.open = len(f.shards) == 1 && !f.shards[0].padded
	for _, kv := range f.Meta {
		if len(f.shards) == 1 || f.part || !strings.HasPrefix(kv.Key, "split.") {
			w.Add(kv.Key, kv.Value)
		}
	}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		w.AddTensorFunc(t.Name, t.DType, t.Shape, t.write)
	}
	return w.Close()
}

// Add notes metadata. The value has one of the types that KV lists;
// general.alignment is heeded.
func (w *Writer) Add(key string, value any) error {
	if err := w.name("key", key, math.MaxInt); err != nil {
		return err
	}
	if _, _, ok := typeOf(value); !ok {
		return w.fail("key %q: a %T cannot be stored", key, value)
	}
	if key == keyAlignment {
		c := cursor{at: site{kind: "key", name: key}}
		if c.checkAlignment(-1, value); c.err != nil {
			return w.failed(c.err)
		}
		w.align = int(value.(uint32))
	}
	w.meta = append(w.meta, KV{key, value})
	return nil
}

// AddTensor notes a tensor whose numbers are in memory; data must stay as it
// is until Close.
func (w *Writer) AddTensor(name string, d tensor.DType, shape []int, data []byte) error {
	return w.AddTensorFunc(name, d, shape, func(dst io.Writer) error {
		_, err := dst.Write(data)
		return err
	})
}

// AddTensorFunc notes a tensor whose numbers write gives when Close asks for
// them, as many bytes as the shape (outermost first) has.
func (w *Writer) AddTensorFunc(name string, d tensor.DType, shape []int, write func(io.Writer) error) error {
	if err := w.name("tensor", name, maxName); err != nil {
		return err
	}
	if len(shape) == 0 || len(shape) > maxDims {
		return w.fail("tensor %q: %d dimensions, 1 to %d allowed", name, len(shape), maxDims)
	}
	for i, n := range shape {
		if n < 1 || n > math.MaxInt64/8/tensor.Count(shape[:i]) {
			return w.fail("tensor %q: shape %v", name, shape)
		}
	}
	if d.Foreign() {
		return w.fail("tensor %q: %s is no type of GGUF, which no other program could read; convert it first", name, d)
	}
	if !d.Known() || shape[len(shape)-1]%d.BlockLen() != 0 {
		return w.fail("tensor %q: rows of %d numbers do not fit %s", name, shape[len(shape)-1], d)
	}
	w.tensors = append(w.tensors, source{Tensor{Name: name, DType: d, Shape: slices.Clone(shape)}, write})
	return nil
}

// name checks the name of a key or a tensor.
func (w *Writer) name(kind, name string, most int) error {
	id := kind + "\t" + name
	switch {
	case w.err != nil:
		return w.err
	case name == "" || len(name) > most || !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return w.fail("%s %q: not a name", kind, name)
	case w.names[id]:
		return w.fail("%s %q: added twice", kind, name)
	}
	w.names[id] = true
	return nil
}

// Close writes the file.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.Version != 2 && w.Version != 3 {
		return w.fail("version %d, want 2 or 3", w.Version)
	}
	w.header()
	for i := range w.tensors {
		w.pad()
		w.data(&w.tensors[i])
	}
	if !w.open {
		w.pad()
	}
	if err := w.dst.Flush(); err != nil {
		w.failed(err)
	}
	err := w.err
	w.failed(errors.New("gguf: write: the writer is closed"))
	return err
}

func (w *Writer) header() {
	w.bytes([]byte(magic))
	w.put(w.Version)
	w.put(uint64(len(w.tensors)))
	w.put(uint64(len(w.meta)))
	for _, kv := range w.meta {
		w.string(kv.Key)
		w.value(kv.Value)
	}
	offset := uint64(0)
	for i := range w.tensors {
		t := &w.tensors[i]
		w.string(t.Name)
		w.put(uint32(len(t.Shape)))
		for _, n := range slices.Backward(t.Shape) {
			w.put(uint64(n))
		}
		w.put(uint32(t.DType))
		w.put(offset)
		offset += uint64(t.DType.Bytes(t.Len())+w.align-1) &^ uint64(w.align-1)
	}
}

// data writes a tensor's numbers and checks that they are as many as promised.
func (w *Writer) data(t *source) {
	if w.err != nil {
		return
	}
	start, want := w.pos, int64(t.DType.Bytes(t.Len()))
	if err := t.write(writerFunc(w.bytes)); err != nil {
		w.fail("tensor %q: %w", t.Name, err)
	}
	if got := w.pos - start; got != want {
		w.fail("tensor %q: %d bytes of numbers, its shape has %d", t.Name, got, want)
	}
}

func (w *Writer) value(v any) {
	typ, list, _ := typeOf(v)
	if list {
		w.put(uint32(typeArray))
	}
	w.put(uint32(typ))
	if list {
		w.put(uint64(length(v)))
	}
	switch v := v.(type) {
	case string:
		w.string(v)
	case []string:
		for _, s := range v {
			w.string(s)
		}
	default:
		w.put(v)
	}
}

// typeOf is the number of a value's type, or of the type of a list's elements.
func typeOf(v any) (typ int, list, ok bool) {
	switch v.(type) {
	case uint8, []uint8:
		typ = typeUint8
	case int8, []int8:
		typ = typeInt8
	case uint16, []uint16:
		typ = typeUint16
	case int16, []int16:
		typ = typeInt16
	case uint32, []uint32:
		typ = typeUint32
	case int32, []int32:
		typ = typeInt32
	case float32, []float32:
		typ = typeFloat32
	case bool, []bool:
		typ = typeBool
	case string, []string:
		typ = typeString
	case uint64, []uint64:
		typ = typeUint64
	case int64, []int64:
		typ = typeInt64
	case float64, []float64:
		typ = typeFloat64
	default:
		return 0, false, false
	}
	return typ, length(v) >= 0, true
}

func (w *Writer) string(s string) {
	w.put(uint64(len(s)))
	w.bytes([]byte(s))
}

// put writes a number, a truth value, or a list of them, little endian.
func (w *Writer) put(v any) {
	var buf [8]byte
	b, err := binary.Append(buf[:0], binary.LittleEndian, v)
	if err != nil {
		w.failed(err)
	}
	w.bytes(b)
}

func (w *Writer) pad() {
	for n := -w.pos & int64(w.align-1); n > 0; n = -w.pos & int64(w.align-1) {
		if _, err := w.bytes(zeros[:min(n, int64(len(zeros)))]); err != nil {
			return
		}
	}
}

var zeros [4096]byte

func (w *Writer) bytes(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.dst.Write(b)
	w.pos += int64(n)
	if err != nil {
		return n, w.failed(fmt.Errorf("gguf: write: %w", err))
	}
	return n, nil
}

func (w *Writer) fail(format string, args ...any) error {
	return w.failed(fmt.Errorf("gguf: write: "+format, args...))
}

func (w *Writer) failed(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// A writerFunc is a function as an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
