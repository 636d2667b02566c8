// Package names says what the parameters of transformers are called in GGUF,
// and in which order their rows are, for checkpoints and adapters alike.
package names

import "strings"

// The names of modules in transformers and of tensors in GGUF, of the decoders
// that llcuda runs. They are those of llama.cpp's converter
// (gguf-py/gguf/tensor_mapping.py).
var (
	outerNames = map[string]string{"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}

	layerNames = map[string]string{
		"input_layernorm":            "attn_norm",
		"self_attn.q_proj":           "attn_q",
		"self_attn.k_proj":           "attn_k",
		"self_attn.v_proj":           "attn_v",
		"self_attn.qkv_proj":         "attn_qkv",
		"self_attn.o_proj":           "attn_output",
		"self_attn.q_norm":           "attn_q_norm",
		"self_attn.k_norm":           "attn_k_norm",
		"post_attention_layernorm":   "ffn_norm", // of gemma: post_attention_norm
		"pre_feedforward_layernorm":  "ffn_norm",
		"post_feedforward_layernorm": "post_ffw_norm",
		"mlp.gate_proj":              "ffn_gate",
		"mlp.up_proj":                "ffn_up",
		"mlp.gate_up_proj":           "ffn_up",
		"mlp.down_proj":              "ffn_down",
	}
)

// GGUF is the name that a parameter of transformers has in a GGUF file of
// the architecture (general.architecture): "blk.3.attn_q.weight" for
// "model.layers.3.self_attn.q_proj.weight". It is "" for one that has no place
// there. A name without .weight or .bias is that of a module and stays one.
func GGUF(arch, name string) string {
	module, kind := name, ""
	for _, k := range []string{".weight", ".bias"} {
		if m, ok := strings.CutSuffix(name, k); ok {
			module, kind = m, k
		}
	}
	for _, prefix := range []string{"language_model.", "model.", "language_model."} { // of models that see pictures, too
		module = strings.TrimPrefix(module, prefix)
	}
	if g := outerNames[module]; g != "" {
		return g + kind
	}
	rest, ok := strings.CutPrefix(module, "layers.")
	layer, inner, _ := strings.Cut(rest, ".")
	if !ok || layer == "" || len(layer) > 6 || strings.Trim(layer, "0123456789") != "" {
		return ""
	}
	g := layerNames[inner]
	if inner == "post_attention_layernorm" && strings.HasPrefix(arch, "gemma") {
		g = "post_attention_norm"
	}
	if g == "" {
		return ""
	}
	return "blk." + layer + "." + g + kind
}

// TurnsPairs says whether the converter reorders the rows of a parameter with
// that GGUF name: llama's queries and keys, as ggml turns neighbours where
// transformers turns the two halves of a head.
func TurnsPairs(arch, name string) bool {
	_, inner, _ := strings.Cut(strings.TrimPrefix(name, "blk."), ".")
	inner, _, _ = strings.Cut(inner, ".")
	return arch == "llama" && (inner == "attn_q" || inner == "attn_k")
}

// PairRow is the row of transformers that is at row in GGUF, where rows are
// reordered: in a head of headDim rows, 2j+i is i·headDim/2+j.
func PairRow(row, headDim int) int {
	r := row % headDim
	return row - r + r%2*(headDim/2) + r/2
}
