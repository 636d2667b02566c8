package checkpoint

// Llama and Mistral.
func init() {
	register(&architecture{name: "llama", keys: llamaKeys, act: "silu"}, "LlamaForCausalLM", "llama", "MistralForCausalLM", "mistral")
}

func llamaKeys(m *model) {
	m.set("vocab_size", uint32(m.vocab))
	m.rope("rope_parameters")
	if w := m.config.id("sliding_window"); w > 0 {
		m.set("attention.sliding_window", uint32(w))
	}
}
