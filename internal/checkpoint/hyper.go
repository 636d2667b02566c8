package checkpoint

import (
	"math"
)

// hyper adds the hyper-parameters that all architectures have.
func (m *model) hyper() {
	c := m.config
	m.layers = c.int("num_hidden_layers", must)
	heads := c.int("num_attention_heads", must)
	if *c.err != nil {
		return
	}
	if m.layers > len(m.weights.Tensors) {
		c.fail("num_hidden_layers is %d, but there are only %d tensors", m.layers, len(m.weights.Tensors))
		return
	}
	m.set("block_count", uint32(m.layers))
	m.set("context_length", uint32(c.int("max_position_embeddings", must)))
	m.set("embedding_length", uint32(c.int("hidden_size", must)))
	m.set("feed_forward_length", uint32(c.int("intermediate_size", must)))
	m.set("attention.head_count", uint32(heads))
	m.set("attention.head_count_kv", uint32(m.kvHeads()))
	m.set("attention.layer_norm_rms_epsilon", float32(c.positive("rms_norm_eps", 1e-6)))
	m.set("attention.key_length", uint32(m.headDim()))
	m.set("attention.value_length", uint32(m.headDim()))
	for _, key := range []string{"hidden_activation", "hidden_act"} {
		if act := c.text(key, ""); act != "" {
			if act != m.arch.act && !(m.arch.act == "silu" && act == "swish") {
				m.fail(refuse(nextConvert, "%s %.40q is not supported, only %q", key, act, m.arch.act))
			}
			break
		}
	}
	if v := c.int("vocab_size", m.vocab); v != m.vocab {
		c.fail("vocab_size is %d, but the embedding has %d rows", v, m.vocab)
	}
}

func (m *model) kvHeads() int {
	return m.config.int("num_key_value_heads", m.config.int("num_attention_heads", must))
}

func (m *model) headDim() int {
	heads := m.config.int("num_attention_heads", must)
	def := 256 // Gemma's
	if !m.arch.gemma {
		def = max(1, m.config.int("hidden_size", must)/max(1, heads))
	}
	return m.config.int("head_dim", def)
}

// local says which layers see a window: what layer_types says, or else usual.
func (m *model) local(usual func(i int) bool) []bool {
	types := m.config.texts("layer_types")
	local := make([]bool, min(m.layers, 1<<16))
	if types != nil && len(types) != m.layers {
		m.config.fail("layer_types has %d entries for %d layers", len(types), m.layers)
		return local
	}
	for i := range local {
		local[i] = usual(i)
		if types != nil {
			local[i] = types[i] == "sliding_attention"
			if !local[i] && types[i] != "full_attention" {
				m.fail(refuse(nextConvert, "a layer of type %.40q is not supported", types[i]))
			}
		}
	}
	return local
}

// follows reports whether a pattern is the usual one.
func follows(local []bool, usual func(i int) bool) bool {
	for i := range local {
		if local[i] != usual(i) {
			return false
		}
	}
	return true
}

// ropeParameters is how positions become angles: rope_parameters since
// transformers 5, or of some kind of layer in it, rope_scaling before. It may be
// nil.
func (m *model) ropeParameters(kinds ...string) *object {
	r := m.config.object("rope_parameters")
	for _, k := range kinds {
		if sub := r.object(k); sub != nil {
			r = sub
		}
	}
	if r == nil {
		r = m.config.object("rope_scaling")
	}
	return r
}

func ropeType(r *object) string { return r.text("rope_type", r.text("type", "default")) }

// rope adds how positions become angles in all layers, or in those of a kind.
// What the types mean: transformers, modeling_rope_utils.py.
func (m *model) rope(kinds ...string) {
	c, r := m.config, m.ropeParameters(kinds...)
	def := 10000.0
	if m.arch.name == "gemma3" {
		def = 1e6
	}
	base := r.positive("rope_theta", c.positive("rope_theta", def))
	m.set("rope.dimension_count", uint32(m.headDim()))
	m.set("rope.freq_base", float32(base))
	if p := r.positive("partial_rotary_factor", c.positive("partial_rotary_factor", 1)); p != 1 {
		m.fail(refuse(nextConvert, "partial_rotary_factor %g is not supported in this architecture", p))
	}
	trained := c.int("max_position_embeddings", must)
	switch kind := ropeType(r); kind {
	case "default":
	case "linear":
		m.set("rope.scaling.type", "linear")
		m.set("rope.scaling.factor", float32(r.positive("factor", must)))
	case "dynamic":
		// The base grows with texts longer than max_position_embeddings only,
		// and the engine takes none.
		m.set("rope.scaling.type", "none")
	case "yarn":
		m.yarn(r, trained)
	case "llama3":
		m.llama3(r, base)
	default:
		m.fail(refuse(nextConvert, "rope_type %.40q is not supported, only default, linear, dynamic, yarn, llama3, and longrope in Phi 3", kind))
	}
}

// yarn is of Peng et al. 2023. The engine multiplies the factor of the scores
// by 1 + 0.1·ln(factor) itself.
func (m *model) yarn(r *object, trained int) {
	original := r.int("original_max_position_embeddings", trained)
	factor := r.positive("factor", float64(trained)/float64(original))
	m.set("rope.scaling.type", "yarn")
	m.set("rope.scaling.factor", float32(factor))
	m.set("rope.scaling.original_context_length", uint32(original))
	scale := func(mul float64) float64 { return 1 + 0.1*mul*math.Log(max(1, factor)) }
	attention := r.float("attention_factor", 0)
	if a, b := r.float("mscale", 0), r.float("mscale_all_dim", 0); attention == 0 && a != 0 && b != 0 {
		attention = scale(a) / scale(b)
	}
	if attention != 0 {
		m.set("rope.scaling.attn_factor", float32(attention/scale(1)))
	}
	for _, key := range []string{"beta_fast", "beta_slow"} {
		if f := r.float(key, 0); f != 0 {
			m.set("rope.scaling.yarn_"+key, float32(f))
		}
	}
	if !r.bool("truncate", true) {
		m.fail(refuse(nextConvert, "yarn without truncate is not supported"))
	}
}

// llama3 makes the divisors of the frequencies of Llama 3.1 and later.
func (m *model) llama3(r *object, base float64) {
	if m.arch.name != "llama" {
		m.fail(refuse(nextConvert, "rope_type llama3 is not supported in %s", m.arch.name))
		return
	}
	factor, low, high := r.positive("factor", 8), r.positive("low_freq_factor", 1), r.positive("high_freq_factor", 4)
	original := float64(r.int("original_max_position_embeddings", 8192))
	dims := m.headDim()
	if *r.err != nil || dims > 1<<20 {
		return
	}
	f := make([]float32, dims/2)
	for i := range f {
		wave := 2 * math.Pi * math.Pow(base, 2*float64(i)/float64(dims))
		switch {
		case wave < original/high:
			f[i] = 1
		case wave > original/low:
			f[i] = float32(factor)
		default:
			smooth := (original/wave - low) / (high - low)
			f[i] = float32(1 / ((1-smooth)/factor + smooth))
		}
	}
	m.extra("rope_freqs.weight", f)
}

func inverseRoot(x float64) float32 { return float32(1 / math.Sqrt(x)) }
