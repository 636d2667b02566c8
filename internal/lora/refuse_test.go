package lora

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor"
)

func openGGUF(t testing.TB, name string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestConfigRefuses: what changes the result and is not supported is refused by
// its name, also what nobody knows.
func TestConfigRefuses(t *testing.T) {
	for field, want := range map[string]string{
		`"peft_type": "IA3"`:                   `peft_type is "IA3"; only LORA is supported`,
		`"peft_type": 3`:                       "peft_type is 3: json",
		`"r": 0`:                               "r is 0, want 1 to",
		`"r": 70000`:                           "r is 70000, want 1 to",
		`"r": "x"`:                             `r is "x": json`,
		`"lora_alpha": -1`:                     "lora_alpha is -1, want a number above 0",
		`"lora_alpha": null`:                   "lora_alpha is 0, want a number above 0",
		`"lora_alpha": 1e300`:                  "lora_alpha is 1e+300",
		`"layer_replication": [[0, 2]]`:        "layer_replication is set: it makes a model of more layers",
		`"trainable_token_indices": [1]`:       "trainable_token_indices is set: it changes single tokens",
		`"target_parameters": ["a"]`:           "target_parameters is set: it changes parameters",
		`"alora_invocation_tokens": [7]`:       "alora_invocation_tokens is set: it acts only after",
		`"use_qalora": true`:                   "use_qalora is set",
		`"megatron_config": {"a": 1}`:          "megatron_config is set",
		`"use_bdlora": {"nblocks": 2}`:         "use_bdlora is set",
		`"arrow_config": {"top_k": 3}`:         "arrow_config is set",
		`"kasa_config": {"a":3}`:               `"kasa_config" is set to {"a":3}, which is not known here`,
		`"new_thing": 0.5`:                     `"new_thing" is set to 0.5, which is not known here and may change the result`,
		`"init_lora_weights": "pissa_niter_4"`: "init_lora_weights is pissa_niter_4, which changes the base before the training",
		`"init_lora_weights": "olora"`:         "init_lora_weights is olora",
		`"init_lora_weights": "loftq"`:         "init_lora_weights is loftq",
		`"rank_pattern": {"a(?=b)": 2}`:        `rank_pattern: the pattern "a(?=b)" is not supported`,
		`"rank_pattern": {"a": 0}`:             `rank_pattern: "a" is 0, want a number above 0`,
		`"rank_pattern": [1]`:                  "rank_pattern: want an object",
		`"alpha_pattern": {"a": "b"}`:          `alpha_pattern: "a": json`,
	} {
		if _, err := readConfig(config1(t, field)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", field, err, want)
		}
	}
	for _, text := range []string{"", "[]", "null x", "{", `{"r": 1} {}`} {
		if _, err := readConfig([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	for _, field := range []string{`"new_thing": null`, `"new_thing": false`, `"layer_replication": []`, `"init_lora_weights": "gaussian"`,
		`"init_lora_weights": false`, `"corda_config": {"a": 1}`, `"lora_dropout": 0.1`, `"fan_in_fan_out": true`} {
		if _, err := readConfig(config1(t, field)); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// config1 is a sound description with one more field, or another value of one.
func config1(t testing.TB, field string) []byte {
	t.Helper()
	all := map[string]json.RawMessage{}
	for _, text := range []string{`{"peft_type": "LORA", "r": 4, "lora_alpha": 8}`, "{" + field + "}"} {
		var some map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &some); err != nil {
			t.Fatal(field, err)
		}
		maps.Copy(all, some)
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestScale: PEFT's rules (tuners/lora/layer.py, update_layer; utils/other.py,
// get_pattern_key).
func TestScale(t *testing.T) {
	c, err := readConfig([]byte(`{"peft_type": "LORA", "r": 4, "lora_alpha": 8,
		"rank_pattern": {"q_proj": 2, "layers\\.1\\..*": 16, "layers.0.mlp.up_proj": 8},
		"alpha_pattern": {"^model.layers.0.self_attn.v_proj": 3, "v_proj": 5}}`))
	if err != nil {
		t.Fatal(err)
	}
	for module, want := range map[string][2]float64{
		"model.layers.0.self_attn.q_proj":  {2, 8. / 2},
		"model.layers.1.self_attn.q_proj":  {2, 8. / 2}, // the first pattern that matches
		"model.layers.1.mlp.up_proj":       {16, 8. / 16},
		"model.layers.0.mlp.up_proj":       {8, 8. / 8},
		"model.layers.0.self_attn.v_proj":  {4, 3. / 4},
		"model.layers.2.self_attn.v_proj":  {4, 5. / 4},
		"model.layers.0.self_attn.k_proj":  {4, 8. / 4},
		"model.layers.0.self_attn.xq_proj": {4, 8. / 4},
	} {
		if scale, rank := c.scale(module); float64(rank) != want[0] || scale != want[1] {
			t.Errorf("%s: rank %d, scale %g, want %v", module, rank, scale, want)
		}
	}
	c.stable = true
	if scale, _ := c.scale("model.layers.1.mlp.up_proj"); scale != 8./math.Sqrt(16) {
		t.Errorf("rsLoRA: %g", scale)
	}
}

// f32 is a tensor of zeros.
func f32(name string, shape ...int) safetensors.Source {
	return safetensors.Bytes(name, "F32", shape, make([]byte, 4*tensor.Count(shape)))
}

const q = "base_model.model.model.layers.0.self_attn.q_proj"

// TestViewRefuses: tensors that are wrong, strange, or for another base.
func TestViewRefuses(t *testing.T) {
	base := openGGUF(t, "llama.gguf")
	for _, c := range []struct {
		name   string
		config string
		all    []safetensors.Source
		want   string
	}{
		{"a name of nothing", "", []safetensors.Source{f32("x", 1)}, "does not begin with base_model.model."},
		{"an unknown module", "", []safetensors.Source{f32("base_model.model.model.visual.q_proj.lora_A.weight", 4, 32)}, "the module model.visual.q_proj has no place in a model of architecture llama"},
		{"an unknown head", "", []safetensors.Source{f32("base_model.model.score.weight", 2, 32)}, `"base_model.model.score.weight" has no place in a model of architecture llama`},
		{"an unknown kind", "", []safetensors.Source{f32(q+".lora_C.weight", 4, 32)}, "it is of a kind that is not supported"},
		{"single tokens", "", []safetensors.Source{f32("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", 1, 32)}, "it is of a kind that is not supported"},
		{"another rank than it says", "", []safetensors.Source{f32(q+".lora_A.weight", 8, 32)}, "but adapter_config.json says rank 4"},
		{"another rank of B", "", []safetensors.Source{f32(q+".lora_B.weight", 32, 8)}, "but adapter_config.json says rank 4"},
		{"A alone", "", []safetensors.Source{f32(q+".lora_A.weight", 4, 32)}, `"blk.0.attn_q.weight.lora_b" is missing`},
		{"B alone", "", []safetensors.Source{f32(q+".lora_B.weight", 32, 4)}, `"blk.0.attn_q.weight.lora_a" is missing`},
		{"three dimensions", "", []safetensors.Source{f32(q+".lora_A.weight", 4, 32, 1)}, "want a vector or a matrix"},
		{"a vector for a matrix", "", []safetensors.Source{f32(q+".lora_A.weight", 4)}, "want a matrix"},
		{"nothing", "", []safetensors.Source{f32(q+".lora_A.weight", 4, 0)}, "want a vector or a matrix"},
		{"no whole heads", "", []safetensors.Source{f32(q+".lora_B.weight", 33, 4)}, "which are no whole heads of 8 as the model has; it is for another base, org/base"},
		{"DoRA that is not said", "", []safetensors.Source{f32(q+".lora_magnitude_vector", 32)}, "does not say use_dora"},
		{"an embedding's for a projection", "", []safetensors.Source{f32(q+".lora_embedding_A", 4, 32)}, "only an embedding is changed by lora_embedding_A"},
		{"a projection's for the embedding", "", []safetensors.Source{f32("base_model.model.model.embed_tokens.lora_A.weight", 4, 64)}, "only an embedding is changed by lora_embedding_A"},
		{"DoRA and a bias", `"use_dora": true`, []safetensors.Source{f32(q+".lora_A.weight", 4, 32), f32(q+".lora_B.weight", 32, 4), f32(q+".lora_B.bias", 32), f32(q+".lora_magnitude_vector", 32)}, "have no meaning together"},
		{"a short magnitude", `"use_dora": true`, []safetensors.Source{f32(q+".lora_A.weight", 4, 32), f32(q+".lora_B.weight", 32, 4), f32(q+".lora_magnitude_vector", 8)}, "want (32)"},
		{"a layer too many", "", []safetensors.Source{f32(strings.Replace(q, "0", "7", 1)+".lora_A.weight", 4, 32), f32(strings.Replace(q, "0", "7", 1)+".lora_B.weight", 32, 4)}, "it is for 8 layers or more, the model has 2"},
		{"another width", "", []safetensors.Source{f32(q+".lora_A.weight", 4, 64), f32(q+".lora_B.weight", 32, 4)}, `"blk.0.attn_q.weight" is (32, 32) there, the adapter is for (32, 64); load org/base for it`},
		{"a bias that the base has not", "", []safetensors.Source{f32(q+".bias", 32)}, `the model has no "blk.0.attn_q.bias"`},
		{"a longer vocabulary", "", []safetensors.Source{f32("base_model.model.lm_head.weight", 66, 32)}, `"output.weight" is (64, 32) there, the adapter has (66, 32)`},
		{"a type of whole numbers", "", []safetensors.Source{safetensors.Bytes(q+".lora_A.weight", "I8", []int{4, 32}, make([]byte, 128))}, "has type I8, want F32, F16 or BF16"},
	} {
		field := `"base_model_name_or_path": "org/base"`
		if c.config != "" {
			field += ", " + c.config
		}
		err := fits(config1(t, field), weights(t, c.all), base)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func weights(t testing.TB, all []safetensors.Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := safetensors.Write(&b, nil, all); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fits reads an adapter as Open does, and says whether it fits a base.
func fits(config, weights []byte, base *gguf.File) error {
	w, err := safetensors.Parse(weights)
	if err != nil {
		return err
	}
	f, err := view(config, w, base)
	if err != nil {
		return err
	}
	a, err := Read(f)
	if err != nil {
		return err
	}
	return a.Check(base, "adapter")
}

// TestReadRefuses: GGUF files that are no adapters that can be used.
func TestReadRefuses(t *testing.T) {
	base := openGGUF(t, "llama.gguf")
	good := []gguf.KV{{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: "llama"},
		{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(8)}}
	zeros := func(name string, d tensor.DType, shape ...int) gguf.Tensor {
		return gguf.Tensor{Name: name, DType: d, Shape: shape, Data: make([]byte, d.Bytes(tensor.Count(shape)))}
	}
	a, b := zeros("blk.0.attn_q.weight.lora_a", tensor.F32, 4, 32), zeros("blk.0.attn_q.weight.lora_b", tensor.F32, 32, 4)
	for _, c := range []struct {
		name, key string
		value     any // nil: without key
		tensors   []gguf.Tensor
		want      string
	}{
		{"a model", "general.type", "model", nil, "the file is no adapter"},
		{"no type", "general.type", nil, nil, "the file is no adapter"},
		{"a control vector", "adapter.type", "control", nil, `adapters of type "control" are not supported`},
		{"no kind", "adapter.type", nil, nil, "adapter.type"},
		{"no alpha", "adapter.lora.alpha", nil, nil, "adapter.lora.alpha"},
		{"no architecture", "general.architecture", nil, nil, "general.architecture"},
		{"tokens", "adapter.alora.invocation_tokens", []int32{1}, nil, "it acts only after certain tokens"},
		{"A alone", "x", "y", []gguf.Tensor{a}, "lora_b\" is missing"},
		{"whole numbers", "x", "y", []gguf.Tensor{zeros("blk.0.attn_q.weight.lora_a", tensor.I8, 4, 32), b}, "type i8, which is no type of weights"},
		{"different ranks", "x", "y", []gguf.Tensor{a, zeros("blk.0.attn_q.weight.lora_b", tensor.F32, 32, 5)}, "which are of different ranks"},
		{"a vector", "x", "y", []gguf.Tensor{a, zeros("blk.0.attn_q.weight.lora_b", tensor.F32, 32)}, "want two dimensions"},
		{"another architecture", "general.architecture", "qwen2", []gguf.Tensor{a, b}, "its architecture is qwen2, the model's llama"},
		{"sound", "x", "y", []gguf.Tensor{a, b}, ""},
	} {
		meta := slices.DeleteFunc(slices.Clone(good), func(kv gguf.KV) bool { return kv.Key == c.key })
		if c.value != nil {
			meta = append(meta, gguf.KV{Key: c.key, Value: c.value})
		}
		f, err := gguf.New(meta, c.tensors)
		if err != nil {
			t.Fatal(err)
		}
		adapter, err := Read(f)
		if err == nil {
			err = adapter.Check(base, "it")
		}
		if c.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestOpenRefuses: what lies on disk and is no adapter, and pickles.
func TestOpenRefuses(t *testing.T) {
	base := openGGUF(t, "llama.gguf")
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	sound := string(config1(t, `"base_model_name_or_path": "a/b"`))
	put("pickle/adapter_model.bin", "x")
	for path, want := range map[string]string{
		"testdata/llama.gguf":                                      "is a model, not an adapter",
		"testdata/llama/plain/nosuch":                              "no such file",
		"testdata":                                                 "is no adapter: want a folder with adapter_config.json",
		put("empty/adapter_config.json", "{}"):                     "has no adapter_model.safetensors, only its description",
		put("pickle/adapter_config.json", sound):                   "is a pickle, which can run code when it is read; save the adapter as safetensors",
		put("big/adapter_config.json", strings.Repeat(" ", 5<<20)): "is no regular file of at most",
	} {
		if f, err := Open(path, base); f != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	put("broken/adapter_model.safetensors", "x")
	if _, err := Open(put("broken/adapter_config.json", sound), base); err == nil || !strings.Contains(err.Error(), "want 8 at least") {
		t.Errorf("broken weights: %v", err)
	}
	if name, err := BaseOf(filepath.Join("testdata", "llama", "plain", "adapter_config.json")); err != nil || name != "tiny/llama" {
		t.Errorf("the base is %q (%v), want tiny/llama", name, err)
	}
}

// TestMergeRefuses: numbers that do not fit into the type of the base are an
// error and not an infinity.
func TestMergeRefuses(t *testing.T) {
	base := openGGUF(t, "llama.gguf")
	a, err := Open("testdata/llama/plain", base)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	half := slices.Clone(base.Tensors)
	for i := range half {
		if x := &half[i]; len(x.Shape) == 2 {
			f, err := Floats(x)
			if err != nil {
				t.Fatal(err)
			}
			x.DType, x.Data = tensor.F16, make([]byte, 2*len(f))
			tensor.F16.Encode(x.Data, f)
		}
	}
	f, err := gguf.New(base.Meta, half)
	if err != nil {
		t.Fatal(err)
	}
	for scale, want := range map[float32]string{1: "", 1e6: "is too large for f16; take a smaller scale", 0: "want a number other than 0", float32(math.Inf(1)): "want a number other than 0"} {
		m, err := Merge(f, a, scale)
		if err == nil {
			_, err = Floats(m.Tensor("blk.0.attn_q.weight"))
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("scale %g: %v, want %q", scale, err, want)
		}
	}
}

// FuzzConfig: a description is read, or refused; its scales are numbers.
func FuzzConfig(f *testing.F) {
	for _, name := range []string{"plain", "patterns", "rslora"} {
		b, err := os.ReadFile(filepath.Join("testdata", "llama", name, configName))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readConfig(b)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v, %v", c, err)
		}
		if err != nil {
			return
		}
		for _, module := range []string{"", "model.layers.1.mlp.up_proj"} {
			if scale, rank := c.scale(module); !(scale > 0) || math.IsInf(scale, 0) || rank < 0 {
				t.Fatalf("scale %g, rank %d", scale, rank)
			}
		}
	})
}

// small is a description and weights of few numbers.
func small(t testing.TB, field string, all ...safetensors.Source) (config, data []byte) {
	return config1(t, `"r": 1, `+field), weights(t, all)
}

// FuzzAdapter: whatever description and weights are, they are an adapter that
// can be read, or an error, in memory bounded by their size.
func FuzzAdapter(f *testing.F) {
	a, b := f32(q+".lora_A.weight", 1, 32), f32(q+".lora_B.weight", 32, 1)
	add := func(field string, all ...safetensors.Source) {
		config, data := small(f, field, all...)
		f.Add(config, data)
	}
	add(`"use_rslora": true`, a, b)
	add(`"use_dora": true`, a, b, f32(q+".lora_magnitude_vector", 32))
	add(`"alpha_pattern": {"q_proj": 3}`, a, b, f32(q+".lora_B.bias", 32))
	add(`"x": null`, f32("base_model.model.model.norm.weight", 32))
	add(`"x": null`, f32("base_model.model.model.embed_tokens.lora_embedding_A", 1, 64), f32("base_model.model.model.embed_tokens.lora_embedding_B", 32, 1))
	base := openGGUF(f, "llama.gguf")
	f.Fuzz(func(t *testing.T, config, data []byte) {
		w, err := safetensors.Parse(data)
		if err != nil {
			return
		}
		file, err := view(config, w, base)
		if err != nil {
			return
		}
		a, err := Read(file)
		if err != nil || a.Check(base, "it") != nil {
			return
		}
		for i := range file.Tensors {
			if _, err := Floats(&file.Tensors[i]); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if err := file.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := gguf.Parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		other, err := Read(again)
		if err != nil || len(other.Deltas) != len(a.Deltas) || len(other.Whole) != len(a.Whole) {
			t.Fatalf("written and read again: %v", err)
		}
		m, err := Merge(base, file, 1)
		if err != nil {
			return
		}
		finiteNumbers(t, m, a)
	})
}

// FuzzRead: a GGUF file is an adapter, or an error.
func FuzzRead(f *testing.F) {
	for _, field := range []string{`"use_rslora": true`, `"alpha_pattern": {"q_proj": 3}`} {
		config, data := small(f, field, f32(q+".lora_A.weight", 1, 32), f32(q+".lora_B.weight", 32, 1))
		w, err1 := safetensors.Parse(data)
		file, err2 := view(config, w, openGGUF(f, "llama.gguf"))
		if err := errors.Join(err1, err2); err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		if err := file.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	base := openGGUF(f, "llama.gguf")
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		a, err := Read(file)
		if (a == nil) == (err == nil) {
			t.Fatalf("%v, %v", a, err)
		}
		if err != nil || a.Check(base, "it") != nil {
			return
		}
		m, err := Merge(base, file, 1)
		if err != nil {
			return
		}
		finiteNumbers(t, m, a)
	})
}

// finiteNumbers: a weight that was merged has numbers, or is an error.
func finiteNumbers(t *testing.T, m *gguf.File, a *Adapter) {
	for i := range a.Deltas {
		x := m.Tensor(a.Deltas[i].Name)
		if f, err := Floats(x); err == nil && slices.ContainsFunc(f, func(v float32) bool { return !finite(v) }) {
			t.Fatalf("%s of %d numbers has some that are not finite", x.Name, len(f))
		}
	}
}
