package gguf

import (
	"fmt"
	"io"

	"github.com/llcuda/llcuda/tensor"
)

// New makes a File of what lies in memory, or is made when it is wanted: the
// tensors' Data stays where it is, and several may share it. Write writes it,
// and Close closes under, what the tensors are made of.
func New(meta []KV, tensors []Tensor, under ...io.Closer) (*File, error) {
	f := &File{Version: 3, Meta: meta, Tensors: tensors, keys: newIndex(len(meta)), tensors: newIndex(len(tensors)), under: under}
	for i := range meta {
		if !f.keys.add(i, f.key) {
			return nil, fmt.Errorf("gguf: key %q is there twice", meta[i].Key)
		}
	}
	for i := range tensors {
		t := &tensors[i]
		if !f.tensors.add(i, f.tensorName) {
			return nil, fmt.Errorf("gguf: tensor %q is there twice", t.Name)
		}
		if n := t.DType.Bytes(tensor.Count(t.Shape)); t.Make == nil && n != len(t.Data) {
			return nil, fmt.Errorf("gguf: tensor %q has %d bytes, want %d for %s%v", t.Name, len(t.Data), n, t.DType, t.Shape)
		}
	}
	return f, nil
}
