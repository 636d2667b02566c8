// Package gguf reads, writes and checks GGUF files, the format of models of
// llama.cpp and its relatives: metadata (keys and values) and named tensors.
//
// Open maps a file and copies none of its tensors: a Tensor's Data is a view
// that lives until Close. Every length, offset and type is checked before
// Open returns; a file that breaks a rule is refused with a *FormatError.
// Memory is bounded by the size of the metadata, whatever a file claims.
//
// A map outlives changes of its file: reading beyond the end of a file that
// was truncated meanwhile is a fault of the process, which Guard turns into
// ErrFileChanged.
//
// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
// Versions 2 and 3, little endian, are read.
package gguf

import (
	"errors"
	"io"

	"github.com/llcuda/llcuda/tensor"
)

// A File is what Open or Parse read. It is safe for concurrent use, Close
// excepted.
type File struct {
	Path    string // as given to Open; of a split file its first shard
	Version uint32
	Meta    []KV     // in the order of the file; of a split file the first shard's
	Tensors []Tensor // in the order of the file, shard after shard

	keys    index
	tensors index
	shards  []shard
	under   []io.Closer // what New's tensors are made of
	part    bool        // made by Split
}

// A KV is one entry of the metadata. Value is a uint8, int8, uint16, int16,
// uint32, int32, uint64, int64, float32, float64, bool or string, or a slice
// of one of them. Slices are shared: do not change them.
type KV struct {
	Key   string
	Value any
}

// A Tensor is a named array of a file. Data is a view of the file that must
// not be written, and is dead after Close. A tensor of New may have Make
// instead, which makes the numbers when they are wanted; who wants those of any
// tensor calls Read or Numbers.
type Tensor struct {
	Name  string
	DType tensor.DType
	Shape []int // outermost first, 1 to 4 dimensions, none of them 0
	Data  []byte

	// Make fills dst with whole rows (of the last dimension), from row on. It
	// gives the same numbers each time, and several goroutines may call it.
	Make func(dst []byte, row int) error
}

// Len is the number of numbers.
func (t *Tensor) Len() int { return tensor.Count(t.Shape) }

// Bytes is the size of the numbers.
func (t *Tensor) Bytes() int { return t.DType.Bytes(t.Len()) }

// RowBytes is the size of one row, which is what lies along the last dimension.
func (t *Tensor) RowBytes() int { return t.DType.Bytes(t.Shape[len(t.Shape)-1]) }

// A shard is one file on disk: the whole of a File unless it is split.
type shard struct {
	path    string
	mapped  unmapper // nil for Parse
	size    int64    // bytes
	padded  bool     // the end is padded to the alignment
	dirty   bool     // padding somewhere is not zero
	slack   int64    // bytes after the end
	tensors int      // how many of File.Tensors are here
}

type unmapper interface{ Unmap() error }

// Value finds metadata by its key.
func (f *File) Value(key string) (any, bool) {
	i := f.keys.find(key, f.key)
	if i < 0 {
		return nil, false
	}
	return f.Meta[i].Value, true
}

// Tensor finds a tensor by its name: nil when there is none.
func (f *File) Tensor(name string) *Tensor {
	i := f.tensors.find(name, f.tensorName)
	if i < 0 {
		return nil
	}
	return &f.Tensors[i]
}

// Alignment is what the tensors' positions in the file are multiples of.
func (f *File) Alignment() int {
	if a, ok := f.Value(keyAlignment); ok {
		return int(a.(uint32)) // parse checked it
	}
	return defaultAlignment
}

// Size is the number of bytes of the file, all shards together; of New the
// bytes of the numbers.
func (f *File) Size() int64 {
	var n int64
	for i := range f.Tensors {
		if len(f.shards) > 0 {
			break
		}
		n += int64(f.Tensors[i].Bytes())
	}
	for i := range f.shards {
		n += f.shards[i].size
	}
	return n
}

// Shards is the number of files on disk: 0 of New.
func (f *File) Shards() int { return len(f.shards) }

// Params is the number of numbers in all tensors.
func (f *File) Params() int64 {
	var n int64
	for i := range f.Tensors {
		n += int64(f.Tensors[i].Len())
	}
	return n
}

// A TypeCount says how much of a file has one storage format.
type TypeCount struct {
	DType   tensor.DType
	Tensors int
	Params  int64
	Bytes   int64
}

// TypeCounts lists the storage formats of the tensors in the order of their
// numbers.
func (f *File) TypeCounts() []TypeCount {
	byType := map[tensor.DType]*TypeCount{}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		c := byType[t.DType]
		if c == nil {
			c = &TypeCount{DType: t.DType}
			byType[t.DType] = c
		}
		c.Tensors++
		c.Params += int64(t.Len())
		c.Bytes += int64(t.DType.Bytes(t.Len()))
	}
	var all []TypeCount
	for _, d := range tensor.DTypes() {
		if c := byType[d]; c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// Close unmaps the file; the tensors' Data is nil from then on, and copies of
// it that somebody kept must not be read. Closing twice is harmless.
func (f *File) Close() error {
	for i := range f.Tensors {
		f.Tensors[i].Data, f.Tensors[i].Make = nil, nil
	}
	var errs []error
	for _, c := range f.under {
		errs = append(errs, c.Close())
	}
	f.under = nil
	for i := range f.shards {
		if m := f.shards[i].mapped; m != nil {
			f.shards[i].mapped = nil
			errs = append(errs, m.Unmap())
		}
	}
	return errors.Join(errs...)
}

func (f *File) key(i int) string        { return f.Meta[i].Key }
func (f *File) tensorName(i int) string { return f.Tensors[i].Name }
