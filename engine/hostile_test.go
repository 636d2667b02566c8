package engine

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// set changes or adds a key; with no value it takes the key away.
func set(f *gguf.File, key string, value ...any) {
	for i := range f.Meta {
		if f.Meta[i].Key == key {
			if len(value) == 0 {
				f.Meta[i].Key = "gone." + key
			} else {
				f.Meta[i].Value = value[0]
			}
			return
		}
	}
	panic("no key " + key)
}

// TestHostile: a sound model with one thing wrong is refused with an error that
// names it, before anything is computed.
func TestHostile(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	key := func(name string, value ...any) func(*gguf.File) { return func(f *gguf.File) { set(f, name, value...) } }
	shape := func(name string, shape ...int) func(*gguf.File) {
		return func(f *gguf.File) { f.Tensor(name).Shape = shape }
	}
	for _, c := range []struct {
		name, model, want string
		change            func(*gguf.File)
	}{
		{"no architecture", "llama", "general.architecture", key("general.architecture")},
		{"architecture is a number", "llama", "general.architecture", key("general.architecture", uint32(3))},
		{"unknown architecture", "llama", "mamba", key("general.architecture", "mamba")},
		{"wrong architecture", "llama", "qwen3.block_count", key("general.architecture", "qwen3")},
		{"no block count", "llama", "block_count", key("llama.block_count")},
		{"0 blocks", "llama", "block_count", key("llama.block_count", uint32(0))},
		{"2^32-1 blocks", "llama", "block_count", key("llama.block_count", uint32(math.MaxUint32))},
		{"2^64-1 blocks", "llama", "block_count", key("llama.block_count", uint64(math.MaxUint64))},
		{"a block too many", "llama", "2 layers", key("llama.block_count", uint32(3))},
		{"a block too few", "llama", "2 layers", key("llama.block_count", uint32(1))},
		{"blocks are text", "llama", "block_count", key("llama.block_count", "2")},
		{"no width", "llama", "embedding_length", key("llama.embedding_length", uint32(0))},
		{"other width", "llama", "token_embd", key("llama.embedding_length", uint32(32))},
		{"huge width", "llama", "embedding_length", key("llama.embedding_length", uint32(math.MaxUint32))},
		{"negative width", "llama", "embedding_length", key("llama.embedding_length", int32(-16))},
		{"no heads", "llama", "head_count", key("llama.attention.head_count", uint32(0))},
		{"heads missing", "llama", "head_count", key("llama.attention.head_count")},
		{"heads are text", "llama", "head_count", key("llama.attention.head_count", "4")},
		{"heads do not divide", "llama", "evenly", key("llama.attention.head_count", uint32(3))},
		{"more kv heads than heads", "llama", "evenly", key("llama.attention.head_count_kv", uint32(8))},
		{"0 kv heads", "llama", "head_count_kv", key("llama.attention.head_count_kv", uint32(0))},
		{"kv heads for fewer layers", "llama", "1 entries", key("llama.attention.head_count_kv", []uint32{2})},
		{"kv heads for no layer", "llama", "0 entries", key("llama.attention.head_count_kv", []uint32{})},
		{"kv heads that differ", "llama", "layer to layer", key("llama.attention.head_count_kv", []uint32{2, 4})},
		{"kv heads per layer, wrong", "llama", "attn_k", key("llama.attention.head_count_kv", []uint32{4, 4})},
		{"negative kv heads per layer", "llama", "head_count_kv", key("llama.attention.head_count_kv", []int32{-2, -2})},
		{"huge head", "llama", "key_length", key("llama.attention.key_length", uint32(math.MaxUint32))},
		{"large head", "llama", "too many", func(f *gguf.File) {
			set(f, "llama.attention.key_length", uint32(maxDim))
			set(f, "llama.attention.value_length", uint32(maxDim))
		}},
		{"values unlike keys", "llama", "not supported", key("llama.attention.value_length", uint32(8))},
		{"odd rotation", "llama", "even", key("llama.rope.dimension_count", uint32(3))},
		{"rotation of more than a head", "llama", "dimension_count", key("llama.rope.dimension_count", uint32(8))},
		{"rotation of nothing", "llama", "dimension_count", key("llama.rope.dimension_count", uint32(0))},
		{"eps is NaN", "llama", "epsilon", key("llama.attention.layer_norm_rms_epsilon", nan)},
		{"eps is negative", "llama", "epsilon", key("llama.attention.layer_norm_rms_epsilon", float32(-1))},
		{"no eps", "llama", "epsilon", key("llama.attention.layer_norm_rms_epsilon")},
		{"eps is an integer", "llama", "epsilon", key("llama.attention.layer_norm_rms_epsilon", uint32(1))},
		{"rope base 0", "llama", "freq_base", key("llama.rope.freq_base", float32(0))},
		{"rope base NaN", "llama", "freq_base", key("llama.rope.freq_base", nan)},
		{"rope base infinite", "llama", "freq_base", key("llama.rope.freq_base", inf)},
		{"scaling unknown", "llama-yarn", "dynamic", key("llama.rope.scaling.type", "dynamic")},
		{"scaling infinite", "llama-yarn", "factor", key("llama.rope.scaling.factor", inf)},
		{"scaling of context 0", "llama-yarn", "original_context", key("llama.rope.scaling.original_context_length", uint32(0))},
		{"factors of another length", "llama-tied-factors", "rope_freqs", shape("rope_freqs.weight", 2, 2)},
		{"context 0", "llama", "context_length", key("llama.context_length", uint32(0))},
		{"no context", "llama", "context_length", key("llama.context_length")},
		{"feed-forward of 0", "llama", "feed_forward", key("llama.feed_forward_length", uint32(0))},
		{"vocabulary unlike its size", "llama", "vocab_size", key("llama.vocab_size", uint32(65))},
		{"no vocabulary", "llama", "tokens", key("tokenizer.ggml.tokens")},
		{"short vocabulary", "llama", "", key("tokenizer.ggml.tokens", []string{"a", "b"})},
		{"pattern for fewer layers", "gemma3-pattern", "2 entries", key("gemma3.attention.sliding_window_pattern", []bool{true, false})},
		{"pattern is text", "gemma3-pattern", "sliding_window_pattern", key("gemma3.attention.sliding_window_pattern", "11")},
		{"window is negative", "gemma3", "sliding_window", key("gemma3.attention.sliding_window", int32(-1))},
		{"softcap NaN", "gemma2", "softcapping", key("gemma2.attn_logit_softcapping", nan)},

		{"transposed", "llama", "attn_k.weight", shape("blk.0.attn_k.weight", 16, 8)},
		{"wrong kv width", "llama", "attn_v.weight", shape("blk.1.attn_v.weight", 4, 32)},
		{"three dimensions", "llama", "ffn_up", shape("blk.0.ffn_up.weight", 2, 16, 16)},
		{"fused and too small", "phi3-short", "attn_qkv", shape("blk.0.attn_qkv.weight", 24, 32)},
		{"norm of another length", "qwen3", "attn_q_norm", shape("blk.0.attn_q_norm.weight", 6, 2)},
		{"integers as weights", "llama", "i32", func(f *gguf.File) { f.Tensor("blk.0.ffn_up.weight").DType = tensor.I32 }},
		{"a tensor of another model", "llama", "blk.0.ffn_gate_inp.weight", func(f *gguf.File) {
			f.Tensors = append(f.Tensors, gguf.Tensor{Name: "blk.0.ffn_gate_inp.weight", Shape: []int{1}, Data: make([]byte, 4)})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := readGolden(t, c.model)
			c.change(g.file)
			m, err := LoadFile(t.Context(), g.file, Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want an error with %q", err, c.want)
			}
			if m != nil {
				t.Error("a model beside the error")
			}
			if !errors.Is(err, ErrModel) && !errors.Is(err, ErrArch) {
				t.Errorf("%v is neither ErrModel nor ErrArch", err)
			}
		})
	}
}

// TestMissingTensors: no tensor can be left out, but those that say they are
// optional.
func TestMissingTensors(t *testing.T) {
	for _, name := range goldenNames(t) {
		n := len(readGolden(t, name).file.Tensors)
		for i := range n {
			g := readGolden(t, name)
			tensor := g.file.Tensors[i].Name
			g.file.Tensors[i].Name = "v.gone"
			optional := strings.HasSuffix(tensor, ".bias") || strings.HasPrefix(tensor, "rope_") || tensor == "output.weight"
			if _, err := LoadFile(t.Context(), g.file, Options{}); (err == nil) != optional || err != nil && !errors.Is(err, ErrModel) {
				t.Errorf("%s without %s: %v", name, tensor, err)
			}
		}
	}
}

// TestTolerated: odd things that real files have.
func TestTolerated(t *testing.T) {
	for _, c := range []struct {
		name, model string
		change      func(*gguf.File)
	}{
		{"context of 2^32-1", "llama", func(f *gguf.File) { set(f, "llama.context_length", uint32(math.MaxUint32)) }},
		{"heads per layer", "llama", func(f *gguf.File) { set(f, "llama.attention.head_count", []int32{4, 4}) }},
		{"window 0 is none", "llama-window", func(f *gguf.File) { set(f, "llama.attention.sliding_window", uint32(0)) }},
		{"vision beside the text", "gemma3", func(f *gguf.File) {
			f.Tensors = append(f.Tensors, gguf.Tensor{Name: "v.patch.weight", Shape: []int{1}, Data: make([]byte, 4)})
		}},
	} {
		g := readGolden(t, c.model)
		c.change(g.file)
		m, err := LoadFile(t.Context(), g.file, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := m.Info().Context; got > defaultContext {
			t.Errorf("%s: context %d", c.name, got)
		}
	}
}

// TestBrokenNumbers: weights that are not numbers are no reason to crash.
func TestBrokenNumbers(t *testing.T) {
	g := readGolden(t, "llama")
	data := make([]byte, len(g.file.Tensor("blk.0.ffn_down.weight").Data))
	for i := range data {
		data[i] = 0xff
	}
	g.file.Tensor("blk.0.ffn_down.weight").Data = data
	s := newSession(t, g.load(t, Options{}))
	for _, p := range []Sampler{{}, DefaultSampler()} {
		if _, _, err := collect(t.Context(), s, g.ids, GenerateOptions{MaxTokens: 3, Sampler: p}); !errors.Is(err, errLogits) {
			t.Errorf("%+v: %v, want %v", p, err, errLogits)
		}
		s.Reset()
	}
}

// A smallDevice is the CPU with little memory.
type smallDevice struct {
	tensor.Device
	free int64
}

func (d smallDevice) Memory() (int64, int64) { return d.free, d.free }

func TestTooBig(t *testing.T) {
	g := readGolden(t, "llama")
	o := Options{Device: smallDevice{cpu.Default(), 100_000}}
	_, err := LoadFile(t.Context(), g.file, o)
	var e *TooBigError
	if !errors.Is(err, ErrTooBig) || !errors.As(err, &e) {
		t.Fatalf("%v, want ErrTooBig", err)
	}
	weights := int64(0)
	for i := range g.file.Tensors {
		weights += int64(len(g.file.Tensors[i].Data))
	}
	// 2 layers, keys and values, 256 positions, 2 heads of 4 halves.
	if e.Weights != weights || e.Cache != 2*2*256*8*2 || e.Free != 100_000 || e.Need() <= e.Free {
		t.Errorf("%+v, want weights %d, cache %d", e, weights, 2*2*256*8*2)
	}
	for _, s := range []string{"needs", "weights", "cache", "free"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q lacks %q", err, s)
		}
	}
}

func TestOptions(t *testing.T) {
	g := readGolden(t, "llama")
	for want, o := range map[string]Options{
		"no GPU":                   {GPULayers: 3},
		"context -1":               {Context: -1},
		"trained for 256":          {Context: 257},
		"context 99999999999":      {Context: 99999999999},
		"batch -1":                 {Batch: -1},
		"cache type q4_0":          {CacheType: tensor.Q4_0},
		"no whole blocks of 32":    {CacheType: tensor.Q8_0},
		"cache type i64: want f16": {CacheType: tensor.I64},
	} {
		if _, err := LoadFile(t.Context(), g.file, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := LoadFile(t.Context(), g.file, Options{GPULayers: 3}); !errors.Is(err, ErrNoGPU) {
		t.Errorf("%v, want ErrNoGPU", err)
	}
	if _, err := LoadFile(t.Context(), g.file, Options{GPULayers: -1}); err != nil {
		t.Errorf("all layers that a GPU takes, and there is none: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := LoadFile(ctx, g.file, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want cancelled", err)
	}
	if _, err := Load(t.Context(), "testdata/make_golden.py", Options{}); err == nil {
		t.Error("a Python file became a model")
	}
	if _, err := Load(t.Context(), "testdata/none.gguf", Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want ErrNotExist", err)
	}
}

func TestLoad(t *testing.T) {
	var last, total int64
	m, err := Load(t.Context(), "testdata/gemma3.gguf", Options{Context: 100, Progress: func(d, n int64) {
		if d <= last || d > n {
			t.Errorf("progress %d of %d after %d", d, n, last)
		}
		last, total = d, n
	}})
	if err != nil {
		t.Fatal(err)
	}
	i := m.Info()
	if last != total || total != i.WeightBytes {
		t.Errorf("progress ended at %d of %d, weights have %d", last, total, i.WeightBytes)
	}
	if i.Name != "gemma3" || i.Arch != "gemma3" || i.Layers != 7 || i.EmbeddingLength != 16 || i.Vocab != 64 ||
		i.ContextLength != 256 || i.Context != 100 || i.FileType != "F32" || i.CacheType != "f16" || i.Device != "cpu" || i.Params*4 != i.WeightBytes {
		t.Errorf("%+v", i)
	}
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	// Closing the model leaves its sessions alive.
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Eval(t.Context(), []int32{3, 4, 5}); err != nil {
		t.Error(err)
	}
	if _, err := m.NewSession(); err == nil {
		t.Error("a session of a closed model")
	}
	if err := errors.Join(s.Close(), s.Close(), m.Close()); err != nil {
		t.Error(err)
	}
}

// TestDamage: models with a few wrong bytes, most of them in the metadata, are
// refused or compute something.
func TestDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range goldenNames(t) {
		sound, err := os.ReadFile("testdata/" + name + ".gguf")
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			tryModel(t, damaged(r, sound, 1500))
		}
	}
}

// damaged is a copy with one to three wrong bytes, most of them among the first.
func damaged(r *rand.Rand, sound []byte, first int) []byte {
	data := slices.Clone(sound)
	for range 1 + r.IntN(3) {
		i := r.IntN(first)
		if r.IntN(4) == 0 {
			i = r.IntN(len(data))
		}
		data[i] = [3]byte{byte(r.Uint32()), data[i] ^ 1<<r.IntN(8), 0xff}[r.IntN(3)]
	}
	return data
}

// tryModel loads and runs what may be a model; a panic is the failure.
func tryModel(t *testing.T, data []byte) {
	file, err := gguf.Parse(data)
	if err != nil {
		return
	}
	m, err := LoadFile(t.Context(), file, Options{Context: 16})
	if err != nil {
		return
	}
	defer m.Close()
	e, err := m.NewEmbedder(EmbedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.EmbedTokens(t.Context(), [][]int32{{0, 1, 2}, {1}})
	if m.Info().Encoder {
		return
	}
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	collect(t.Context(), s, []int32{0, 1, 2}, GenerateOptions{MaxTokens: 2})
}

// FuzzLoad: no bytes make loading or a step panic.
func FuzzLoad(f *testing.F) {
	for _, name := range goldenNames(f) {
		data, err := os.ReadFile("testdata/" + name + ".gguf")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, name := range encoderNames {
		data, err := os.ReadFile("testdata/encoders/" + name + ".gguf")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { tryModel(t, data) })
}
