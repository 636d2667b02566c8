package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A raw file is written by the test itself, byte by byte: it can hold what
// the Writer refuses.
type raw struct{ bytes.Buffer }

// file begins a file of version 3.
func file(tensors, keys uint64) *raw {
	return new(raw).text("GGUF").put(uint32(3), tensors, keys)
}

func (r *raw) text(s string) *raw { r.WriteString(s); return r }

// put writes numbers.
func (r *raw) put(v ...any) *raw {
	for _, v := range v {
		binary.Write(r, binary.LittleEndian, v)
	}
	return r
}

func (r *raw) str(s string) *raw { return r.put(uint64(len(s))).text(s) }

// key writes a key and the type of its value.
func (r *raw) key(name string, typ uint32) *raw { return r.str(name).put(typ) }

// list writes a key and the head of an array.
func (r *raw) list(name string, typ uint32, n uint64) *raw {
	return r.key(name, typeArray).put(typ, n)
}

// strs writes a key and a list of strings.
func (r *raw) strs(name string, s ...string) *raw {
	r.list(name, typeString, uint64(len(s)))
	for _, s := range s {
		r.str(s)
	}
	return r
}

// tensor writes a description, dimensions innermost first.
func (r *raw) tensor(name string, typ uint32, offset uint64, dims ...uint64) *raw {
	return r.str(name).put(uint32(len(dims)), dims, typ, offset)
}

// pad fills up to a multiple of n, data appends n bytes.
func (r *raw) pad(n int) *raw  { return r.data(-r.Len() & (n - 1)) }
func (r *raw) data(n int) *raw { r.Write(make([]byte, n)); return r }

// model is a small valid file with all kinds of things in it.
func model() []byte {
	r := file(3, 7)
	r.key("general.architecture", typeString).str("llama")
	r.key("llama.block_count", typeUint32).put(uint32(1))
	r.key("llama.rope.freq_base", typeFloat32).put(float32(10000))
	r.strs("tokenizer.ggml.tokens", "<s>", "a", "b", "ab")
	r.list("tokenizer.ggml.scores", typeFloat32, 4).put([]float32{0, -1, -2, -3})
	r.list("tokenizer.ggml.token_type", typeInt32, 4).put([]int32{3, 1, 1, 1})
	r.key("tokenizer.ggml.add_bos_token", typeBool).put(true)
	r.tensor("token_embd.weight", 0, 0, 8, 4)
	r.tensor("blk.0.attn_q.weight", 8, 128, 32, 3)
	r.tensor("output_norm.weight", 1, 256, 5)
	r.pad(32).data(128).data(102).pad(32).data(10).pad(32)
	return r.Bytes()
}

// many is a file of n keys.
func many(n int) []byte {
	r := file(0, uint64(n))
	r.Grow(n * 32)
	for i := range n {
		r.key(fmt.Sprintf("key.%08d", i), typeUint32).put(uint32(i))
	}
	return r.Bytes()
}
