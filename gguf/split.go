package gguf

import (
	"fmt"
	"math"
	"strings"
)

// Split cuts a file into parts whose numbers take at most so many bytes each,
// and at least a tensor. The first has the metadata, each the keys that Open
// and llama.cpp put them together by. It is f itself where one part holds all.
// The parts live as long as f does.
func (f *File) Split(bytes int64) ([]*File, error) {
	var cuts []int
	size := int64(math.MaxInt64)
	for i := range f.Tensors {
		n := int64(f.Tensors[i].Bytes())
		if size > bytes-n {
			cuts, size = append(cuts, i), 0
		}
		size += n
	}
	if len(cuts) <= 1 {
		return []*File{f}, nil
	}
	if len(cuts) > math.MaxUint16 {
		return nil, fmt.Errorf("gguf: split: %d parts of at most %d bytes, at most %d are possible", len(cuts), bytes, math.MaxUint16)
	}
	var meta []KV
	for _, kv := range f.Meta {
		if !strings.HasPrefix(kv.Key, "split.") {
			meta = append(meta, kv)
		}
	}
	var parts []*File
	for i, from := range cuts {
		to := len(f.Tensors)
		if i+1 < len(cuts) {
			to = cuts[i+1]
		}
		// The types are llama.cpp's.
		own := append(meta[:len(meta):len(meta)], KV{"split.no", uint16(i)}, KV{"split.count", uint16(len(cuts))},
			KV{"split.tensors.count", int32(len(f.Tensors))})
		p, err := New(own, f.Tensors[from:to:to])
		if err != nil {
			return nil, err
		}
		p.part = true
		parts = append(parts, p)
		meta = nil
		if a, ok := f.Value(keyAlignment); ok {
			meta = []KV{{keyAlignment, a}}
		}
	}
	return parts, nil
}

// ShardPath is the name of a part of a split file, i from 0: a.gguf becomes
// a-00001-of-00003.gguf.
func ShardPath(path string, i, n int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", strings.TrimSuffix(path, ".gguf"), i+1, n)
}
