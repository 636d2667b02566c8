// Package safetensors reads and writes safetensors files, the format of
// checkpoints of transformers, PEFT and their relatives: named arrays, and a
// JSON header that says where they lie. Nothing in it is ever executed.
//
// Open maps a file, or the shards of a folder, and copies none of the numbers:
// a Tensor's Data is a view that lives until Close. Names, types, shapes and
// positions are checked before Open returns; what breaks a rule is refused
// with a *FormatError. Memory is bounded by a multiple of the header's size,
// and a header has at most 100 MB.
//
// A map outlives changes of its file. Who reads Data does it below
// [gguf.Guard], which turns the fault of a file that was truncated meanwhile
// into gguf.ErrFileChanged.
//
// The format: https://github.com/huggingface/safetensors#format. What the
// reference implementation lets pass beside it is refused: a name that is there
// twice, fields of a tensor that the format does not have, white space before
// the header, null for __metadata__, more than 64 dimensions.
package safetensors

import (
	"errors"
	"slices"

	"github.com/edsrzf/mmap-go"

	"github.com/llcuda/llcuda/gguf"
)

// A File is what Open or Parse read: one file, or shards as one. It is safe
// for concurrent use, Close excepted.
type File struct {
	Path    string   // as given to Open
	Meta    []KV     // __metadata__ in the order of the file; of shards the first one's
	Tensors []Tensor // in the order of their numbers, shard after shard

	byName map[string]int
	parts  []part
}

// A KV is one entry of __metadata__.
type KV struct{ Key, Value string }

// A Tensor is a named array. Data is a view of the file that must not be
// written, and is dead after Close; it is little endian and need not be
// aligned.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // outermost first; empty for a single number, a 0 for none
	Data  []byte
}

// Len is the number of numbers.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// A part is one file on disk.
type part struct {
	path   string
	size   int64
	mapped unmapper // nil for Parse
}

type unmapper interface{ Unmap() error }

// Tensor finds a tensor by its name: nil when there is none.
func (f *File) Tensor(name string) *Tensor {
	i, ok := f.byName[name]
	if !ok {
		return nil
	}
	return &f.Tensors[i]
}

// Params is the number of numbers in all tensors.
func (f *File) Params() int64 {
	var n int64
	for i := range f.Tensors {
		n += int64(f.Tensors[i].Len())
	}
	return n
}

// Size is the number of bytes of the file, all shards together.
func (f *File) Size() int64 {
	var n int64
	for i := range f.parts {
		n += f.parts[i].size
	}
	return n
}

// Paths lists the files on disk.
func (f *File) Paths() []string {
	var all []string
	for i := range f.parts {
		all = append(all, f.parts[i].path)
	}
	return all
}

// A TypeCount says how much of a file has one type.
type TypeCount struct {
	DType   DType
	Tensors int
	Params  int64
	Bytes   int64
}

// TypeCounts lists the types of the tensors, the one with most bytes first.
func (f *File) TypeCounts() []TypeCount {
	var all []TypeCount
	for i := range f.Tensors {
		t := &f.Tensors[i]
		at := slices.IndexFunc(all, func(c TypeCount) bool { return c.DType == t.DType })
		if at < 0 {
			at, all = len(all), append(all, TypeCount{DType: t.DType})
		}
		all[at].Tensors++
		all[at].Params += int64(t.Len())
		all[at].Bytes += int64(len(t.Data))
	}
	slices.SortStableFunc(all, func(a, b TypeCount) int { return int(max(-1, min(1, b.Bytes-a.Bytes))) })
	return all
}

// Forget gives back the memory that the numbers take: they are read again when
// somebody wants them. It may be called while others read.
func (f *File) Forget() {
	for i := range f.parts {
		if m, ok := f.parts[i].mapped.(*mmap.MMap); ok {
			gguf.ForgetMap(*m)
		}
	}
}

// Close unmaps the files; the tensors' Data is nil from then on, and copies of
// it that somebody kept must not be read. Closing twice is harmless.
func (f *File) Close() error {
	for i := range f.Tensors {
		f.Tensors[i].Data = nil
	}
	var errs []error
	for i := range f.parts {
		if f.parts[i].mapped != nil {
			errs = append(errs, f.parts[i].mapped.Unmap())
			f.parts[i].mapped = nil
		}
	}
	return errors.Join(errs...)
}
