package checkpoint

import "slices"

// Qwen 2, 2.5 and 3, the dense models.
func init() {
	register(&architecture{name: "qwen2", keys: qwenKeys, act: "silu"}, "Qwen2ForCausalLM", "qwen2")
	register(&architecture{name: "qwen3", keys: qwenKeys, act: "silu"}, "Qwen3ForCausalLM", "qwen3")
}

// Windows of Qwen are off unless use_sliding_window says so; then the layers
// from max_window_layers on have one.
func qwenKeys(m *model) {
	m.rope("rope_parameters")
	if !m.config.bool("use_sliding_window", false) {
		return
	}
	window := m.config.int("sliding_window", 4096)
	from := m.config.id("max_window_layers")
	if from < 0 {
		from = 28
	}
	local := m.local(func(i int) bool { return i >= from })
	if slices.Contains(local, true) {
		m.set("attention.sliding_window", uint32(window))
		m.set("attention.sliding_window_pattern", local)
	}
}
