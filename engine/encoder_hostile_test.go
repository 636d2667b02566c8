package engine

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

// TestHostileEncoders: a sound encoder with one thing wrong is refused with an
// error that names it.
func TestHostileEncoders(t *testing.T) {
	key := func(name string, value ...any) func(*gguf.File) { return func(f *gguf.File) { set(f, name, value...) } }
	add := func(name string, value any) func(*gguf.File) {
		return func(f *gguf.File) {
			more, err := gguf.New(append(slices.Clone(f.Meta), gguf.KV{Key: name, Value: value}), f.Tensors)
			if err != nil {
				t.Fatal(err)
			}
			*f = *more
		}
	}
	shape := func(name string, shape ...int) func(*gguf.File) {
		return func(f *gguf.File) { f.Tensor(name).Shape = shape }
	}
	for _, c := range []struct {
		name, model, want string
		change            func(*gguf.File)
	}{
		{"pooling 5", "bert-mean", "pooling_type", key("bert.pooling_type", uint32(5))},
		{"pooling 2^32-1", "bert-mean", "pooling_type", key("bert.pooling_type", uint32(math.MaxUint32))},
		{"pooling -1", "bert-mean", "pooling_type", key("bert.pooling_type", int32(-1))},
		{"pooling is text", "bert-mean", "pooling_type", key("bert.pooling_type", "mean")},
		{"causal is a number", "bert-mean", "attention.causal", key("bert.attention.causal", uint32(0))},
		{"no eps", "bert-mean", "layer_norm_epsilon", key("bert.attention.layer_norm_epsilon")},
		{"eps is NaN", "nomic-bert", "layer_norm_epsilon", key("nomic-bert.attention.layer_norm_epsilon", float32(math.NaN()))},
		{"more positions than embeddings", "bert-mean", "position_embd", key("bert.context_length", uint32(65))},
		{"2^32-1 positions", "bert-mean", "position_embd", key("bert.context_length", uint32(math.MaxUint32))},
		{"positions of another width", "bert-mean", "position_embd", shape("position_embd.weight", 32, 64)},
		{"segments of another width", "bert-mean", "token_types", shape("token_types.weight", 4, 16)},
		{"segments of three dimensions", "bert-mean", "token_types", shape("token_types.weight", 1, 2, 32)},
		{"no segment", "bert-mean", "token_types", func(f *gguf.File) {
			f.Tensor("token_types.weight").Shape, f.Tensor("token_types.weight").Data = []int{0, 32}, nil
		}},
		{"norm of another length", "bert-mean", "attn_output_norm", shape("blk.0.attn_output_norm.weight", 16, 2)},
		{"bias of another length", "bert-cls", "ffn_up.bias", shape("blk.1.ffn_up.bias", 20, 2)},
		{"feed-forward transposed", "bert-cls", "ffn_up", shape("blk.1.ffn_up.weight", 24, 40)},
		{"queries, keys and values too small", "nomic-bert", "attn_qkv", shape("blk.0.attn_qkv.weight", 32, 96)},
		{"heads do not divide", "bert-mean", "key_length", key("bert.attention.head_count", uint32(5))},
		{"a block too many", "bert-mean", "2 layers", key("bert.block_count", uint32(3))},
		{"a head for ranking", "bert-mean", "cls.weight", func(f *gguf.File) {
			f.Tensors = append(f.Tensors, gguf.Tensor{Name: "cls.weight", Shape: []int{1}, Data: make([]byte, 4)})
		}},
		{"fewer tokens than embeddings", "bert-mean", "token_embd", func(f *gguf.File) {
			v, _ := f.Value("tokenizer.ggml.tokens")
			set(f, "tokenizer.ggml.tokens", v.([]string)[:100])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := readEncoding(t, c.model)
			c.change(g.file)
			m, err := LoadFile(t.Context(), g.file, Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrModel) {
				t.Fatalf("%v, want an ErrModel with %q", err, c.want)
			}
			if m != nil {
				t.Error("a model beside the error")
			}
		})
	}
	// These are sound, but of kinds that llcuda has not.
	for _, c := range []struct {
		name, model, want string
		change            func(*gguf.File)
	}{
		{"a ranker", "bert-mean", "pooling_type is 4", key("bert.pooling_type", uint32(4))},
		{"a causal encoder", "bert-mean", "see only those before", key("bert.attention.causal", true)},
		{"the vocabulary of XLM-R", "bert-mean", `model "t5" is not supported`, key("tokenizer.ggml.model", "t5")},
		{"a context longer than the training", "bert-mean", "trained for 64", nil},
		{"a decoder that sees all", "llama", "see the whole text", add("llama.attention.causal", false)},
		{"a decoder that ranks", "llama", "pooling_type is 4", add("llama.pooling_type", uint32(4))},
	} {
		o := Options{}
		var f *gguf.File
		if c.model == "llama" {
			f = readGolden(t, c.model).file
		} else {
			f = readEncoding(t, c.model).file
		}
		if c.change != nil {
			c.change(f)
		} else {
			o.Context = 65
		}
		if _, err := LoadFile(t.Context(), f, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestEncodersLackNothing: no tensor can be left out but the segments'.
func TestEncodersLackNothing(t *testing.T) {
	for _, name := range encoderNames {
		n := len(readEncoding(t, name).file.Tensors)
		for i := range n {
			g := readEncoding(t, name)
			tensor := g.file.Tensors[i].Name
			g.file.Tensors[i].Name = "v.gone"
			_, err := LoadFile(t.Context(), g.file, Options{})
			if optional := tensor == "token_types.weight"; (err == nil) != optional || err != nil && !errors.Is(err, ErrModel) {
				t.Errorf("%s without %s: %v", name, tensor, err)
			}
		}
	}
}

// TestDamagedEncoders: encoders with a few wrong bytes, most of them in the
// metadata, are refused or give something.
func TestDamagedEncoders(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, name := range encoderNames {
		sound, err := os.ReadFile("testdata/encoders/" + name + ".gguf")
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			tryModel(t, damaged(r, sound, 800))
		}
	}
}
