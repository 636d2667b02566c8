package gguf

import (
	"bytes"
	"math"
	"math/bits"
	"reflect"
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	maxAlignment     = 1 << 20
	maxDims          = 4
	maxEntries       = 1 << 20 // keys, and tensors; models have some hundred
	maxMeta          = 1 << 28 // bytes before the numbers; a sparse file could claim any size
	maxName          = 63      // bytes of a tensor's name; ggml keeps 64 with the closing NUL

	keyAlignment = "general.alignment"
)

// Parse reads one file that lies in memory. The tensors are views of data. A
// shard of a split file is read alone.
func Parse(data []byte) (*File, error) {
	f, err := parse(data, "")
	if err != nil {
		return nil, err
	}
	return f, nil
}

func parse(data []byte, path string) (*File, error) {
	c := &cursor{data: data[:min(len(data), maxMeta)], cut: len(data) > maxMeta}
	f := &File{Path: path}
	tensors, keys := f.header(c)
	f.readMeta(c, keys)
	f.readTensors(c, tensors)
	c.data, c.cut = data, false
	f.place(c)
	if c.err != nil {
		c.err.Path = path
		return nil, c.err
	}
	return f, nil
}

// header reads magic, version and the numbers of tensors and keys.
func (f *File) header(c *cursor) (tensors, keys int) {
	c.at.kind = "header"
	if got := c.take(4); c.err == nil && string(got) != magic {
		c.fail(0, "magic is %q, want %q: not a GGUF file", got, magic)
	}
	f.Version = c.u32()
	switch v := f.Version; {
	case c.err != nil:
	case bits.ReverseBytes32(v) >= 1 && bits.ReverseBytes32(v) <= 3:
		c.fail(4, "version %d in big-endian order; only little-endian files are read", bits.ReverseBytes32(v))
	case v != 2 && v != 3:
		c.fail(4, "version %d, want 2 or 3", v)
	}
	// A tensor takes at least a name of 1 byte with its length, one dimension
	// with their number, type and offset; a key a name, a type and one byte.
	tensors = c.entries("tensors", 8+1+4+8+4+8)
	keys = c.entries("keys", 8+1+4+1)
	return tensors, keys
}

func (c *cursor) entries(what string, size int) int {
	pos := c.pos
	n := c.count(what, size)
	if n > maxEntries {
		c.fail(pos, "%d %s, at most %d allowed", n, what, maxEntries)
	}
	return n
}

// readMeta reads n keys and values. A first pass over the bytes checks that
// they are there, so that a wrong n costs no memory.
func (f *File) readMeta(c *cursor, n int) {
	start, text := c.pos, 0
	for i := 0; i < n && c.err == nil; i++ {
		c.at = site{kind: "key", no: i, of: n}
		text += len(c.bytes())
		c.skip(c.u32())
	}
	if c.err != nil {
		return
	}
	c.pos = start
	c.text.Grow(text)
	f.Meta = make([]KV, 0, n)
	f.keys = newIndex(n)
	for i := 0; i < n && c.err == nil; i++ {
		c.at = site{kind: "key", no: i, of: n}
		pos := c.pos
		key := c.name()
		valuePos := c.pos
		f.Meta = append(f.Meta, KV{key, c.value(c.u32())})
		if !f.keys.add(i, f.key) {
			c.fail(pos, "appears twice")
		}
		if key == keyAlignment {
			c.checkAlignment(valuePos, f.Meta[i].Value)
		}
	}
	f.checkLists(c)
}

func (c *cursor) checkAlignment(pos int, v any) {
	a, ok := v.(uint32)
	switch {
	case !ok:
		c.fail(pos, "is %T, want uint32", v)
	case a < 8 || a > maxAlignment || a&(a-1) != 0:
		c.fail(pos, "is %d, want a power of two from 8 to %d", a, maxAlignment)
	}
}

// checkLists refuses lists of the vocabulary that are not of one length: code
// that indexes one with a token of another would fail anywhere.
func (f *File) checkLists(c *cursor) {
	if c.err != nil {
		return
	}
	tokens, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return // no vocabulary; Check has more to say
	}
	for _, key := range []string{"tokenizer.ggml.scores", "tokenizer.ggml.token_type"} {
		v, ok := f.Value(key)
		c.at = site{kind: "key", name: key}
		switch n := length(v); {
		case !ok || n == len(tokens):
		case n < 0:
			c.fail(-1, "is %s, want a list", show(v))
		default:
			c.fail(-1, "has %d elements, tokenizer.ggml.tokens has %d", n, len(tokens))
		}
	}
}

// length is the number of elements of a list, -1 of anything else.
func length(v any) int {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		return r.Len()
	}
	return -1
}

// readTensors reads names, shapes and types; place finds the data. As in
// readMeta, a first pass counts.
func (f *File) readTensors(c *cursor, n int) {
	start, text := c.pos, 0
	for i := 0; i < n && c.err == nil; i++ {
		c.at = site{kind: "tensor", no: i, of: n}
		text += len(c.bytes())
		c.take(c.dims() * 8)
		c.take(4 + 8)
	}
	if c.err != nil {
		return
	}
	c.pos = start
	c.text.Reset()
	c.text.Grow(text)
	f.Tensors = make([]Tensor, 0, n)
	f.tensors = newIndex(n)
	align := uint64(f.Alignment())
	next := uint64(0) // where the next tensor has to be
	for i := 0; i < n && c.err == nil; i++ {
		c.at = site{kind: "tensor", no: i, of: n}
		pos := c.pos
		t, size := readTensor(c)
		f.Tensors = append(f.Tensors, t)
		if !f.tensors.add(i, f.tensorName) {
			c.fail(pos, "appears twice")
		}
		pos = c.pos
		if offset := c.u64(); offset != next {
			c.fail(pos, "offset %d, want %d: tensors follow each other at multiples of %d", offset, next, align)
		}
		next += (size + align - 1) &^ (align - 1)
		if next > math.MaxInt64/2 {
			c.fail(pos, "the tensors up to here take more than 2⁶² bytes")
		}
	}
}

// dims reads the number of dimensions.
func (c *cursor) dims() int {
	pos := c.pos
	n := c.u32()
	if c.err == nil && (n == 0 || n > maxDims) {
		c.fail(pos, "%d dimensions, 1 to %d allowed", n, maxDims)
	}
	return int(n)
}

// readTensor reads one description up to its offset, and computes its size,
// which is at most 2⁶² bytes.
func readTensor(c *cursor) (t Tensor, size uint64) {
	pos := c.pos
	t.Name = c.name()
	if len(t.Name) > maxName {
		c.fail(pos, "name of %d bytes, at most %d allowed", len(t.Name), maxName)
	}
	numbers := c.shape(&t)
	pos = c.pos
	t.DType = tensor.DType(c.u32())
	if c.err != nil {
		return t, 0
	}
	if !t.DType.Known() || t.DType.Foreign() {
		c.fail(pos, "unknown storage format, type %d", uint32(t.DType))
		return t, 0
	}
	cols, block := t.Shape[len(t.Shape)-1], t.DType.BlockLen()
	if cols%block != 0 {
		c.fail(pos, "rows of %d numbers are no whole blocks of %d (%s)", cols, block, t.DType)
		return t, 0
	}
	hi, size := bits.Mul64(numbers/uint64(block), uint64(t.DType.BlockBytes()))
	if hi != 0 || size > math.MaxInt64/2 {
		c.fail(pos, "shape %v of %s takes more than 2⁶² bytes", t.Shape, t.DType)
		return t, 0
	}
	return t, size
}

// shape reads the dimensions, which a file has innermost first, and returns
// their product, which is less than 2⁶³.
func (c *cursor) shape(t *Tensor) (numbers uint64) {
	t.Shape = make([]int, min(c.dims(), maxDims))
	numbers = 1
	for i := len(t.Shape) - 1; i >= 0; i-- {
		pos := c.pos
		d := c.u64()
		hi, lo := bits.Mul64(numbers, d)
		switch {
		case c.err != nil:
			return 0
		case d == 0 || d > math.MaxInt64:
			c.fail(pos, "a dimension is %d, want 1 or more", int64(d))
			return 0
		case hi != 0 || lo > math.MaxInt64:
			c.fail(pos, "more than 2⁶³ numbers")
			return 0
		}
		numbers, t.Shape[i] = lo, int(d)
	}
	return numbers
}

// place makes each tensor a view of its data, which follows the descriptions.
func (f *File) place(c *cursor) {
	if c.err != nil {
		return
	}
	s := shard{path: f.Path, size: int64(len(c.data)), tensors: len(f.Tensors)}
	align := f.Alignment()
	for i := range f.Tensors {
		t := &f.Tensors[i]
		c.at = site{kind: "tensor", name: t.Name}
		s.dirty = c.align(align) || s.dirty
		t.Data = slices.Clip(c.take(t.DType.Bytes(t.Len())))
	}
	if c.err == nil && c.left() >= -c.pos&(align-1) {
		s.padded = true
		s.dirty = c.align(align) || s.dirty
	}
	s.slack = int64(c.left())
	f.shards = []shard{s}
}

// align goes to the next multiple of n, and says whether it went over bytes
// that are not zero.
func (c *cursor) align(n int) (dirty bool) {
	return len(bytes.Trim(c.take(-c.pos&(n-1)), "\x00")) > 0
}
