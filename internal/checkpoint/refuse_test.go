package checkpoint_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/safetensors"
)

// A change is one of a checkpoint's files: their names and texts, "" for one
// that is taken away.
type change map[string]string

// edited is a JSON file of a checkpoint with other fields, given by their paths
// ("model/type"); a nil value takes one away.
func edited(t *testing.T, name, file string, fields map[string]any) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name, file))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for path, v := range fields {
		in, keys := all, strings.Split(path, "/")
		for _, k := range keys[:len(keys)-1] {
			in = in[k].(map[string]any)
		}
		if k := keys[len(keys)-1]; v == nil {
			delete(in, k)
		} else {
			in[k] = v
		}
	}
	b, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// openChanged opens a copy of a checkpoint with changes.
func openChanged(t *testing.T, name string, c change) error {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join("testdata", name, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	maps.Copy(files, c)
	dir := t.TempDir()
	for n, text := range files {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, n), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := checkpoint.Open(dir)
	if err == nil {
		f.Close()
		return nil
	}
	var e *checkpoint.Error
	if f != nil || !errors.As(err, &e) || e.Path != dir || e.Next == "" {
		t.Errorf("%T %v", err, err)
	}
	return err
}

// TestRefused: what cannot be computed as transformers does is refused, with
// what it is.
func TestRefused(t *testing.T) {
	config := func(name string, fields map[string]any) change {
		return change{"config.json": edited(t, name, "config.json", fields)}
	}
	tokens := func(name string, fields map[string]any) change {
		return change{"tokenizer.json": edited(t, name, "tokenizer.json", fields)}
	}
	type m = map[string]any
	regex := m{"type": "Split", "pattern": m{"Regex": `\w+`}, "behavior": "Isolated", "invert": false}
	level := m{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}
	replace := m{"type": "Replace", "pattern": m{"String": " "}, "content": "▁"}
	for _, c := range []struct {
		name, of string
		change   change
		want     string
	}{
		{"no config", "llama", change{"config.json": ""}, "has no config.json; the folder is damaged or incomplete"},
		{"config is no JSON", "llama", change{"config.json": "{"}, "config.json is no JSON object"},
		{"config is a list", "llama", change{"config.json": "[]"}, "config.json is no JSON object"},
		{"no architecture", "llama", change{"config.json": "{}"}, "config.json names no architecture"},
		{"experts", "llama", config("llama", m{"architectures": []string{"MixtralForCausalLM"}, "model_type": "mixtral"}), `architecture "MixtralForCausalLM" is not supported; llcuda has Gemma2ForCausalLM`},
		{"a picture's", "llama", config("llama", m{"architectures": []string{"Qwen2VLForConditionalGeneration"}, "model_type": "qwen2_vl"}), "is not supported"},
		{"no layers", "llama", config("llama", m{"num_hidden_layers": nil}), "num_hidden_layers is missing"},
		{"no layers with windows", "qwen2-window", config("qwen2-window", m{"num_hidden_layers": nil}), "num_hidden_layers is missing"},
		{"layers in words", "llama", config("llama", m{"num_hidden_layers": "two"}), `num_hidden_layers is "two", want a whole number`},
		{"no whole heads", "llama", config("llama", m{"num_attention_heads": 1.5}), "num_attention_heads is 1.5, want a whole number"},
		{"negative width", "llama", config("llama", m{"hidden_size": -32}), "hidden_size is -32"},
		{"rms_norm_eps", "llama", config("llama", m{"rms_norm_eps": 0}), "rms_norm_eps is 0, want a number above 0"},
		{"vocab_size", "llama", config("llama", m{"vocab_size": 7}), "vocab_size is 7, but the embedding has 352 rows"},
		{"activation", "llama", config("llama", m{"hidden_act": "relu"}), `hidden_act "relu" is not supported, only "silu"`},
		{"gelu", "gemma2", config("gemma2", m{"hidden_activation": "gelu"}), `hidden_activation "gelu" is not supported`},
		{"rope type", "llama", config("llama", m{"rope_parameters/rope_type": "mrope"}), `rope_type "mrope" is not supported`},
		{"old rope type", "llama", config("llama", m{"rope_parameters": nil, "rope_scaling": m{"type": "xpos"}}), `rope_type "xpos" is not supported`},
		{"llama3 in qwen", "qwen2", config("qwen2", m{"rope_parameters/rope_type": "llama3"}), "rope_type llama3 is not supported in qwen2"},
		{"linear without factor", "llama", config("llama", m{"rope_parameters/rope_type": "linear"}), "rope_parameters: factor is missing"},
		{"partial", "llama", config("llama", m{"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5 is not supported"},
		{"yarn untruncated", "llama-yarn", config("llama-yarn", m{"rope_scaling/truncate": false}), "yarn without truncate"},
		{"phi factors", "phi3", config("phi3", m{"rope_parameters/long_factor": []int{1}}), "long_factor has 1 numbers, want 4"},
		{"phi rope", "phi3", config("phi3", m{"rope_parameters/rope_type": "linear"}), `rope_type "linear" is not supported in Phi 3`},
		{"layer type", "gemma3", config("gemma3", m{"layer_types": []string{"a", "b", "c"}}), `a layer of type "a" is not supported`},
		{"layer types", "gemma3", config("gemma3", m{"layer_types": []string{"full_attention"}}), "layer_types has 1 entries for 3 layers"},
		{"both ways", "gemma3", config("gemma3", m{"use_bidirectional_attention": true}), "use_bidirectional_attention"},
		{"gptq", "llama", config("llama", m{"quantization_config": m{"quant_method": "gptq"}}), "weights quantised by gptq are not supported, only bitsandbytes and fp8; load the model"},
		{"packed", "llama", config("llama", m{"quantization_config": m{"quant_method": "compressed-tensors", "format": "pack-quantized"}}), "compressed-tensors (pack-quantized)"},
		{"heads", "llama", config("llama", m{"num_attention_heads": 5}), "32 rows are no 5 heads of even length"},
		{"more layers than tensors", "llama", config("llama", m{"num_hidden_layers": 1000000}), "num_hidden_layers is 1000000, but there are only 21 tensors"},

		{"pickle", "llama", change{"model.safetensors": "", "pytorch_model.bin": "x"}, "its weights are pickles, which can run code (pytorch_model.bin); save the model again with safe_serialization=True"},
		{"no weights", "llama", change{"model.safetensors": ""}, "has no .safetensors file"},
		{"cut weights", "llama", change{"model.safetensors": "12345678"}, "header"},

		{"no tokenizer", "llama", change{"tokenizer.json": ""}, "has neither tokenizer.json nor tokenizer.model; save the tokenizer"},
		{"tokenizer is no JSON", "llama", change{"tokenizer.json": "{"}, "tokenizer.json: unexpected end"},
		{"unigram", "llama", tokens("llama", m{"model/type": "Unigram"}), `a tokenizer of type "Unigram" is not supported, only BPE; its token ids would differ`},
		{"words' ends", "llama", tokens("llama", m{"model/end_of_word_suffix": "</w>"}), "prefixes or suffixes of words"},
		{"lower case", "llama", tokens("llama", m{"normalizer": m{"type": "Lowercase"}}), `normaliser "Lowercase" is not supported`},
		{"other words", "llama", tokens("llama", m{"pre_tokenizer": m{"type": "Sequence", "pretokenizers": []any{regex, level}}}), "words are cut in a way that llcuda does not know"},
		{"ignore_merges", "llama", tokens("llama", m{"pre_tokenizer": level, "model/ignore_merges": true}), "ignore_merges true"},
		{"prefix space", "llama", tokens("llama", m{"pre_tokenizer": m{"type": "ByteLevel", "add_prefix_space": true}}), "add_prefix_space"},
		{"whitespace", "llama", tokens("llama", m{"pre_tokenizer": m{"type": "Sequence", "pretokenizers": []any{m{"type": "Whitespace"}, level}}}), `pre-tokenizer "Whitespace"`},
		{"ids beyond the rows", "llama", tokens("llama", m{"model/vocab/zzz": 352}), `token "zzz" has id 352, but the embedding has 352 rows`},
		{"negative id", "llama", tokens("llama", m{"model/vocab/zzz": -1}), `has id -1`},
		{"an id twice", "llama", tokens("llama", m{"model/vocab/zzz": 7}), "have the same id 7"},
		{"single word", "llama", tokens("llama", m{"added_tokens": []any{m{"id": 350, "content": "w", "single_word": true}}}), "single_word"},
		{"two ids", "llama", tokens("llama", m{"added_tokens": []any{m{"id": 350, "content": "h"}}}), `token "h" has the ids`},
		{"merges", "llama", tokens("llama", m{"model/merges": []any{1}}), "tokenizer.json: merges"},
		{"merge of one", "llama", tokens("llama", m{"model/merges": []any{"ab"}}), `merge 0, "ab", is not two pieces`},
		{"merge with a blank", "llama", tokens("llama", m{"model/merges": []any{[]string{"a ", "b"}}}), "is not two pieces of bytes"},
		{"vocabulary", "llama", tokens("llama", m{"model/vocab": []any{1}}), "tokenizer.json: vocab"},

		{"no byte_fallback", "mistral", tokens("mistral", m{"model/byte_fallback": false}), "without byte_fallback"},
		{"a byte misses", "mistral", tokens("mistral", m{"model/vocab/<0x41>": nil}), "it has no token for byte 65"},
		{"NFKC", "mistral", tokens("mistral", m{"normalizer": m{"type": "NFKC"}}), `normaliser "NFKC" of this form is not supported`},
		{"blanks stay", "mistral", tokens("mistral", m{"pre_tokenizer": nil}), "keeps blanks"},
		{"metaspace", "mistral", tokens("mistral", m{"pre_tokenizer": m{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "last", "split": false}}), `prepend_scheme "last"`},
		{"words apart", "mistral", tokens("mistral", m{"pre_tokenizer": m{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}}), "spans the words that Metaspace cuts apart"},
		{"normalized", "llama-dynamic", tokens("llama-dynamic", m{"added_tokens": []any{m{"id": 5, "content": "x", "normalized": true}}, "model/vocab": m{}, "model/merges": []any{},
			"normalizer": m{"type": "Sequence", "normalizers": []any{m{"type": "Prepend", "prepend": "▁"}, replace}}}), "looked for in the text with a blank before it"},
		{"merge of nothing", "mistral", tokens("mistral", m{"model/merges": []any{[]string{"th", "zz"}}}), "makes no token"},
		{"too few merges", "mistral", tokens("mistral", m{"model/merges": []any{}}), "are tokens, and so are the two together, but they do not merge"},

		{"pieces", "llama-linear", change{"tokenizer.model": "\x0a\x05"}, "tokenizer.model: ends in the middle of a field"},
		{"no pieces", "llama-linear", change{"tokenizer.model": "\x12\x00"}, "tokenizer.model: has no pieces"},
		{"wire type", "llama-linear", change{"tokenizer.model": "\x0f"}, "wire type 7"},
		{"piece of nothing", "llama-linear", change{"tokenizer.model": "\x0a\x00"}, "piece 0 is \"\", no text"},
		{"unigram pieces", "llama-linear", change{"tokenizer.model": "\x0a\x03\x0a\x01a\x12\x02\x18\x01"}, "a model of type 1 is not supported, only BPE"},
		{"normalised pieces", "llama-linear", change{"tokenizer.model": "\x0a\x03\x0a\x01a\x12\x02\x18\x02\x1a\x05\x12\x01x\x20\x00"}, "texts are normalised"},
		{"added beyond", "llama-linear", change{"added_tokens.json": `{"<x>": 9999}`}, `token "<x>" has id 9999`},
		{"added in words", "llama-linear", change{"added_tokens.json": `{"<x>": "y"}`}, `token "<x>" has id -1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := openChanged(t, c.of, c.change); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestShard: a shard means the whole model; templates of other uses have names.
func TestShard(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a [model]")
	if err := os.CopyFS(dir, os.DirFS("testdata/llama-rope")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "additional_chat_templates"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "additional_chat_templates", "tool_use.jinja"), []byte("tools"), 0o600); err != nil {
		t.Fatal(err)
	}
	shards, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range shards {
		if !strings.Contains(e.Name(), ".safetensors") {
			continue
		}
		n++
		f, err := checkpoint.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if tools, err := f.String("tokenizer.chat_template.tool_use"); tools != "tools" || f.Tensor("blk.1.ffn_up.weight") == nil || f.Tensor("blk.0.ffn_up.weight") == nil {
			t.Errorf("%s: %q, %v", e.Name(), tools, err)
		}
	}
	if n < 3 {
		t.Errorf("%d shards and index", n)
	}
}

// TestTab: the first Gemmas have a tab where SentencePiece has its byte.
func TestTab(t *testing.T) {
	tab := edited(t, "gemma2", "tokenizer.json", map[string]any{"model/vocab/<0x09>": nil, "model/vocab/\t": 12})
	if err := openChanged(t, "gemma2", change{"tokenizer.json": tab}); err != nil {
		t.Error(err)
	}
}

// TestRefusedTensors: weights that are not those of the model, or not as it has
// them.
func TestRefusedTensors(t *testing.T) {
	for _, c := range []struct {
		name, of string
		change   func(tensors map[string]safetensors.Source)
		want     string
	}{
		{"no embedding", "llama", func(x map[string]safetensors.Source) { delete(x, "model.embed_tokens.weight") }, `tensor "model.embed_tokens.weight" is missing`},
		{"embedding of no numbers", "llama", func(x map[string]safetensors.Source) {
			x["model.embed_tokens.weight"] = safetensors.Bytes("model.embed_tokens.weight", safetensors.F32, []int{1 << 40, 0}, nil)
		}, "want rows of numbers"},
		{"no head", "llama", func(x map[string]safetensors.Source) { delete(x, "lm_head.weight") }, `tensor "lm_head.weight" is missing, and config.json does not say tie_word_embeddings`},
		{"experts", "llama", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.block_sparse_moe.gate.weight"
			x[n] = safetensors.Bytes(n, safetensors.F32, []int{1, 1}, make([]byte, 4))
		}, `1 tensors have no place in a model of architecture llama as llcuda knows it, the first is "model.layers.0.block_sparse_moe.gate.weight"`},
		{"pictures", "llama", func(x map[string]safetensors.Source) {
			const n = "vision_tower.embed.weight"
			x[n] = safetensors.Bytes(n, safetensors.F32, []int{1, 1}, make([]byte, 4))
		}, "have no place"},
		{"adapter", "llama", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.self_attn.q_proj.lora_A.weight"
			x[n] = safetensors.Bytes(n, safetensors.F32, []int{1, 1}, make([]byte, 4))
		}, "is an adapter's; save the adapter by itself"},
		{"integers", "llama", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.self_attn.v_proj.weight"
			x[n] = safetensors.Bytes(n, safetensors.I64, []int{16, 32}, make([]byte, 8*16*32))
		}, "has type I64, which is not supported as a weight"},
		{"norm of integers", "llama", func(x map[string]safetensors.Source) {
			const n = "model.norm.weight"
			x[n] = safetensors.Bytes(n, safetensors.I64, []int{32}, make([]byte, 8*32))
		}, "has type I64, which is not supported as a vector"},
		{"no dimension", "llama", func(x map[string]safetensors.Source) {
			const n = "model.norm.weight"
			x[n] = safetensors.Bytes(n, safetensors.F32, nil, make([]byte, 4))
		}, "has shape [], want 2 dimensions"},
		{"scale of another shape", "llama-fp8", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.self_attn.q_proj.weight_scale_inv"
			x[n] = safetensors.Bytes(n, safetensors.F32, []int{3, 3}, make([]byte, 36))
		}, "its scales have shape [3 3]"},
		{"scale is infinite", "llama-fp8", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.self_attn.q_proj.weight_scale_inv"
			x[n] = safetensors.Bytes(n, safetensors.F32, nil, []byte{0, 0, 0x80, 0x7f})
		}, "its scale is +Inf"},
		{"scales of integers", "llama-fp8", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.self_attn.q_proj.weight_scale_inv"
			x[n] = safetensors.Bytes(n, safetensors.I32, nil, make([]byte, 4))
		}, "have type I32"},
		{"no scales of 8 bits", "llama-int8", func(x map[string]safetensors.Source) { delete(x, "model.layers.0.self_attn.q_proj.SCB") }, "has type I8, which is not supported as a weight"},
		{"scales of 8 bits", "llama-int8", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.self_attn.q_proj.SCB"
			x[n] = safetensors.Bytes(n, safetensors.F16, []int{64}, make([]byte, 128))
		}, "have type F16, want F32"},
		{"order of 8 bits", "llama-int8", func(x map[string]safetensors.Source) {
			const n = "model.layers.0.self_attn.q_proj.weight_format"
			x[n] = safetensors.Bytes(n, safetensors.U8, nil, []byte{2})
		}, "in the order of format 2"},
		{"no state of 4 bits", "llama-nf4", func(x map[string]safetensors.Source) {
			delete(x, "model.layers.0.self_attn.q_proj.weight.quant_state.bitsandbytes__nf4")
		}, "no entry quant_state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := safetensors.Open(filepath.Join("testdata", c.of))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			all := map[string]safetensors.Source{}
			for _, s := range f.Sources() {
				all[s.Name] = s
			}
			c.change(all)
			var list []safetensors.Source
			for _, s := range all {
				list = append(list, s)
			}
			dir := t.TempDir()
			if err := safetensors.WriteFolder(dir, "model", nil, list, 0); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			if err := openChanged(t, c.of, change{"model.safetensors": string(b)}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
