package checkpoint

// Gemma 2 and 3; of Gemma 3 that sees, the text model.
func init() {
	const gelu = "gelu_pytorch_tanh"
	register(&architecture{name: "gemma2", keys: gemma2Keys, act: gelu, gemma: true}, "Gemma2ForCausalLM", "gemma2")
	register(&architecture{name: "gemma3", keys: gemma3Keys, act: gelu, gemma: true,
		beside: []string{"vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."}},
		"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", "gemma3_text", "gemma3")
}

func gemma2Keys(m *model) {
	c := m.config
	m.rope("rope_parameters")
	m.set("attn_logit_softcapping", float32(c.float("attn_logit_softcapping", 0)))
	m.set("final_logit_softcapping", float32(c.float("final_logit_softcapping", 0)))
	m.set("attention.sliding_window", uint32(c.int("sliding_window", 4096)))
	usual := func(i int) bool { return i%2 == 0 }
	if local := m.local(usual); !follows(local, usual) {
		m.set("attention.sliding_window_pattern", local)
	}
	m.gemmaScale(46)
}

func gemma3Keys(m *model) {
	c := m.config
	if c.bool("use_bidirectional_attention", false) {
		m.fail(refuse("take a model that continues texts", "its tokens see the whole text (use_bidirectional_attention)"))
	}
	if c.has("attn_logit_softcapping") {
		m.fail(refuse(nextConvert, "a Gemma 3 with attn_logit_softcapping is not supported"))
	}
	if s := c.float("final_logit_softcapping", 0); s != 0 {
		m.set("final_logit_softcapping", float32(s))
	}
	m.rope("rope_parameters", "full_attention")
	local := c.object("rope_parameters").object("sliding_attention")
	if kind := local.text("rope_type", "default"); kind != "default" {
		m.fail(refuse(nextConvert, "rope_type %.40q of its local layers is not supported", kind))
	}
	m.set("rope.freq_base_swa", float32(local.positive("rope_theta", c.positive("rope_local_base_freq", 10000))))
	if window := c.id("sliding_window"); window > 0 {
		m.set("attention.sliding_window", uint32(window))
		p := c.int("sliding_window_pattern", 6)
		usual := func(i int) bool { return (i+1)%6 != 0 }
		if pattern := m.local(func(i int) bool { return (i+1)%p != 0 }); !follows(pattern, usual) {
			m.set("attention.sliding_window_pattern", pattern)
		}
	}
	m.gemmaScale(62)
}

// gemmaScale adds attention.scale where it is not what follows from the shape:
// a head's length, but the width of a head in models of so many layers.
func (m *model) gemmaScale(layers int) {
	scalar := m.config.positive("query_pre_attn_scalar", 256)
	want := m.headDim()
	if m.layers == layers {
		want = m.config.int("hidden_size", must) / m.config.int("num_attention_heads", must)
	}
	if scalar != float64(want) {
		m.set("attention.scale", inverseRoot(scalar))
	}
}
