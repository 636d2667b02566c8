// Package synth makes models of random numbers that have the shapes and the
// types of real ones (Q4_K_M): the speed of a model depends on both and on
// nothing else, so that it can be measured without a download.
package synth

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// A shape is the hyper-parameters of a model.
type shape struct {
	name, arch           string
	layers, dim, ffn     int
	heads, kvHeads       int
	headDim, vocab       int
	tied                 bool // the embedding is the output, too
	context              int
	ropeBase, normEps    float32
	ropeFactors, biasQKV bool
	nf4                  bool // the layers' matrices are
}

// Those of the models' config.json on Hugging Face.
var shapes = []shape{
	{"gemma-3-1b", "gemma3", 26, 1152, 6912, 4, 1, 256, 262144, true, 32768, 1e6, 1e-6, false, false, false},
	{"llama-3.2-1b", "llama", 16, 2048, 8192, 32, 8, 64, 128256, true, 131072, 5e5, 1e-5, true, false, false},
	{"llama-3.2-3b", "llama", 28, 3072, 8192, 24, 8, 128, 128256, true, 131072, 5e5, 1e-5, true, false, false},
	{"qwen-2.5-7b", "qwen2", 28, 3584, 18944, 28, 4, 128, 152064, false, 32768, 1e6, 1e-6, false, true, false},
	{"llama-3.1-8b", "llama", 32, 4096, 14336, 32, 8, 128, 128256, false, 131072, 5e5, 1e-5, true, false, false},
}

// Names are the models that New makes.
func Names() []string {
	var names []string
	for _, s := range shapes {
		names = append(names, s.name)
	}
	return names
}

// New makes a model; a name that ends in -nf4 is of one whose layers are nf4, as
// bitsandbytes leaves them. Where shared is true, tensors of one type lie in the same
// memory: for devices that copy them, it holds the largest tensor of each type
// and not the model. A CPU would compute with its caches then.
func New(name string, shared bool) (*gguf.File, error) {
	base, nf4 := strings.CutSuffix(name, "-nf4")
	i := slices.IndexFunc(shapes, func(s shape) bool { return s.name == base })
	if i < 0 {
		return nil, fmt.Errorf("synth: no shape %q; there are %s, and each with -nf4", name, strings.Join(Names(), ", "))
	}
	s := shapes[i]
	s.nf4 = nf4
	tensors := s.tensors()
	fill(tensors, shared)
	return gguf.New(s.meta(), tensors)
}

func (s *shape) meta() []gguf.KV {
	var meta []gguf.KV
	add := func(key string, v any) { meta = append(meta, gguf.KV{Key: key, Value: v}) }
	own := func(key string, v any) { add(s.arch+"."+key, v) }
	add("general.architecture", s.arch)
	add("general.name", s.name)
	add("general.file_type", uint32(15)) // Q4_K_M
	own("block_count", uint32(s.layers))
	own("context_length", uint32(s.context))
	own("embedding_length", uint32(s.dim))
	own("feed_forward_length", uint32(s.ffn))
	own("attention.head_count", uint32(s.heads))
	own("attention.head_count_kv", uint32(s.kvHeads))
	own("attention.layer_norm_rms_epsilon", s.normEps)
	own("rope.freq_base", s.ropeBase)
	own("vocab_size", uint32(s.vocab))
	if s.arch == "gemma3" {
		own("attention.key_length", uint32(s.headDim))
		own("attention.value_length", uint32(s.headDim))
		own("attention.sliding_window", uint32(512))
	} else {
		own("rope.dimension_count", uint32(s.headDim))
	}
	return append(meta, s.vocabulary()...)
}

// vocabulary is one of as many entries: bytes, and names of numbers.
func (s *shape) vocabulary() (meta []gguf.KV) {
	var tokens []string
	types := slices.Repeat([]int32{1}, s.vocab)
	add := func(key string, v any) { meta = append(meta, gguf.KV{Key: "tokenizer.ggml." + key, Value: v}) }
	if s.arch == "gemma3" {
		tokens = []string{"<pad>", "<eos>", "<bos>", "<unk>"}
		copy(types, []int32{3, 3, 3, 2})
		for b := range 256 {
			tokens, types[4+b] = append(tokens, fmt.Sprintf("<0x%02X>", b)), 6
		}
		scores := make([]float32, s.vocab)
		for i := range scores {
			scores[i] = -float32(i)
		}
		add("model", "llama")
		add("pre", "default")
		add("scores", scores)
		add("bos_token_id", uint32(2))
		add("eos_token_id", uint32(1))
	} else {
		for _, r := range byteRunes() {
			tokens = append(tokens, string(r))
		}
		add("model", "gpt2")
		add("pre", map[string]string{"llama": "llama-bpe", "qwen2": "qwen2"}[s.arch])
		add("merges", []string{"t o"})
		add("bos_token_id", uint32(s.vocab-2))
		add("eos_token_id", uint32(s.vocab-1))
	}
	for i := 0; len(tokens) < s.vocab; i++ {
		tokens = append(tokens, fmt.Sprintf("tok%d", i))
	}
	add("tokens", tokens)
	add("token_type", types)
	return meta
}

// byteRunes are the letters that stand for bytes in GPT-2's vocabularies: the
// printable ones for themselves, and those from 256 on for the others.
func byteRunes() (runes []rune) {
	plain := func(b rune) bool { return b >= 33 && b < 127 || b >= 161 && b != 173 }
	for b := range rune(256) {
		if plain(b) {
			runes = append(runes, b)
		}
	}
	for next := rune(256); len(runes) < 256; next++ {
		runes = append(runes, next)
	}
	return runes
}

// tensors lists the tensors, without their numbers. The types are those of
// llama-quantize's Q4_K_M.
func (s *shape) tensors() (all []gguf.Tensor) {
	matrix := func(name string, rows, cols int, d tensor.DType) {
		if s.nf4 && strings.HasPrefix(name, "blk.") {
			d = tensor.NF4
		}
		if cols%d.BlockLen() != 0 { // what llama-quantize falls back to
			d = map[tensor.DType]tensor.DType{tensor.Q4_K: tensor.Q5_0, tensor.Q6_K: tensor.Q8_0}[d]
		}
		all = append(all, gguf.Tensor{Name: name + ".weight", DType: d, Shape: []int{rows, cols}})
	}
	vector := func(name string, n int) {
		all = append(all, gguf.Tensor{Name: name, DType: tensor.F32, Shape: []int{n}})
	}
	q, kv := s.heads*s.headDim, s.kvHeads*s.headDim
	if s.tied {
		matrix("token_embd", s.vocab, s.dim, tensor.Q6_K)
	} else {
		matrix("token_embd", s.vocab, s.dim, tensor.Q4_K)
		matrix("output", s.vocab, s.dim, tensor.Q6_K)
	}
	vector("output_norm.weight", s.dim)
	if s.ropeFactors {
		vector("rope_freqs.weight", s.headDim/2)
	}
	for i := range s.layers {
		p := fmt.Sprintf("blk.%d.", i)
		more := tensor.Q4_K
		if n := s.layers; i < n/8 || i >= 7*n/8 || (i-n/8)%3 == 2 {
			more = tensor.Q6_K
		}
		vector(p+"attn_norm.weight", s.dim)
		vector(p+"ffn_norm.weight", s.dim)
		matrix(p+"attn_q", q, s.dim, tensor.Q4_K)
		matrix(p+"attn_k", kv, s.dim, tensor.Q4_K)
		matrix(p+"attn_v", kv, s.dim, more)
		matrix(p+"attn_output", s.dim, q, tensor.Q4_K)
		matrix(p+"ffn_gate", s.ffn, s.dim, tensor.Q4_K)
		matrix(p+"ffn_up", s.ffn, s.dim, tensor.Q4_K)
		matrix(p+"ffn_down", s.dim, s.ffn, more)
		if s.biasQKV {
			vector(p+"attn_q.bias", q)
			vector(p+"attn_k.bias", kv)
			vector(p+"attn_v.bias", kv)
		}
		if s.arch == "gemma3" {
			vector(p+"attn_q_norm.weight", s.headDim)
			vector(p+"attn_k_norm.weight", s.headDim)
			vector(p+"post_attention_norm.weight", s.dim)
			vector(p+"post_ffw_norm.weight", s.dim)
		}
	}
	return all
}

// fill gives the tensors their numbers: norms are ones, biases zeros, the rest
// random.
func fill(tensors []gguf.Tensor, shared bool) {
	largest := map[tensor.DType]int{}
	for i := range tensors {
		t := &tensors[i]
		largest[t.DType] = max(largest[t.DType], t.DType.Bytes(t.Len()))
	}
	pools := map[tensor.DType][]byte{}
	for d, n := range largest {
		pools[d] = Blocks(d, n)
	}
	for i := range tensors {
		t := &tensors[i]
		n := t.DType.Bytes(t.Len())
		switch {
		case strings.HasSuffix(t.Name, ".bias"):
			t.Data = make([]byte, n)
		case shared || t.DType == tensor.F32:
			t.Data = pools[t.DType][:n:n]
		default:
			t.Data = slices.Clone(pools[t.DType][:n])
		}
	}
}

// Blocks are n bytes of numbers of a type: ones of f32; random blocks, with
// scales that keep them small, of what Q4_K_M consists of and of types that
// cannot be encoded; of other types random numbers between 0 and 1.
func Blocks(d tensor.DType, n int) []byte {
	const most = 16 << 20 // random bytes; the rest repeats them
	size := d.BlockBytes()
	b := make([]byte, n)
	first := b[:min(n, most/size*size)]
	rng := rand.NewChaCha8([32]byte{byte(d)})
	float := func(v float32) {
		rng.Read(first)
		for at := 0; at < len(first); at += size {
			binary.LittleEndian.PutUint32(first[at:], math.Float32bits(v))
		}
	}
	half := func(offsets []int, v float32) {
		rng.Read(first)
		h := tensor.FloatToHalf(v)
		for at := 0; at < len(first); at += size {
			for _, o := range offsets {
				first[at+o], first[at+o+1] = byte(h), byte(h>>8)
			}
		}
	}
	switch d {
	case tensor.F32:
		x := slices.Repeat([]float32{1}, len(first)/4)
		d.Encode(first, x)
	case tensor.Q4_K:
		half([]int{0, 2}, 2e-4)
	case tensor.Q6_K:
		half([]int{208}, 2e-4)
	case tensor.Q5_0, tensor.Q8_0, tensor.IQ1_S, tensor.IQ2_XXS, tensor.IQ2_XS, tensor.IQ2_S, tensor.IQ3_XXS, tensor.IQ3_S:
		half([]int{0}, 2e-3)
	case tensor.IQ1_M: // the scale is in the top nibbles of four words, see tensor
		rng.Read(first)
		h := tensor.FloatToHalf(2e-3)
		for at := 0; at < len(first); at += size {
			for i := range 4 {
				top := &first[at+49+2*i]
				*top = *top&15 | byte(h>>(4*i)&15)<<4
			}
		}
	case tensor.NF4:
		float(0.02)
	default:
		x := make([]float32, len(first)/size*d.BlockLen())
		r := rand.New(rng)
		for i := range x {
			x[i] = r.Float32()
		}
		d.Encode(first, x)
	}
	for at := len(first); at < n; at *= 2 {
		copy(b[at:], b[:at])
	}
	return b
}
