package names

import "testing"

// TestGGUF: names as gguf-py's TensorNameMap gives them.
func TestGGUF(t *testing.T) {
	for _, c := range []struct{ arch, name, want string }{
		{"llama", "model.embed_tokens.weight", "token_embd.weight"},
		{"llama", "model.norm.weight", "output_norm.weight"},
		{"llama", "lm_head.weight", "output.weight"},
		{"llama", "model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight"},
		{"llama", "model.layers.31.self_attn.o_proj.bias", "blk.31.attn_output.bias"},
		{"llama", "model.layers.31.self_attn.o_proj", "blk.31.attn_output"},
		{"llama", "model.layers.2.post_attention_layernorm.weight", "blk.2.ffn_norm.weight"},
		{"qwen2", "model.layers.2.self_attn.k_proj.bias", "blk.2.attn_k.bias"},
		{"qwen3", "model.layers.2.self_attn.k_norm.weight", "blk.2.attn_k_norm.weight"},
		{"gemma2", "model.layers.2.post_attention_layernorm.weight", "blk.2.post_attention_norm.weight"},
		{"gemma3", "model.layers.2.pre_feedforward_layernorm.weight", "blk.2.ffn_norm.weight"},
		{"gemma3", "model.layers.2.post_feedforward_layernorm.weight", "blk.2.post_ffw_norm.weight"},
		{"gemma3", "language_model.model.layers.2.mlp.down_proj.weight", "blk.2.ffn_down.weight"},
		{"gemma3", "model.language_model.layers.2.mlp.up_proj.weight", "blk.2.ffn_up.weight"},
		{"gemma3", "language_model.lm_head.weight", "output.weight"},
		{"phi3", "model.layers.2.self_attn.qkv_proj.weight", "blk.2.attn_qkv.weight"},
		{"phi3", "model.layers.2.mlp.gate_up_proj.weight", "blk.2.ffn_up.weight"},
		{"llama", "model.layers.x.mlp.up_proj.weight", ""},
		{"llama", "model.layers.2.mlp.experts.0.up_proj.weight", ""},
		{"llama", "score.weight", ""},
		{"llama", "", ""},
	} {
		if got := GGUF(c.arch, c.name); got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.name, c.arch, got, c.want)
		}
	}
}

// TestPairRow: as LlamaModel.permute of convert_hf_to_gguf.py orders the rows
// of two heads of six: reshape(heads, 2, dim/2).swapaxes(1, 2).
func TestPairRow(t *testing.T) {
	want := []int{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}
	for row, w := range want {
		if got := PairRow(row, 6); got != w {
			t.Errorf("row %d is %d, want %d", row, got, w)
		}
	}
	for name, want := range map[string]bool{"blk.0.attn_q.weight": true, "blk.11.attn_k.bias": true, "blk.0.attn_v.weight": false, "token_embd.weight": false, "blk.1.attn_q_norm.weight": false} {
		if got := TurnsPairs("llama", name); got != want || TurnsPairs("qwen2", name) {
			t.Errorf("%s: %v, want %v of llama alone", name, got, want)
		}
	}
}
