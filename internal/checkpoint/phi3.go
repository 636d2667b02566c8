package checkpoint

import "math"

// Phi 3, 3.5 and 4 (mini): q, k and v in one weight, gate and up in another, as
// GGUF keeps them.
func init() {
	register(&architecture{name: "phi3", keys: phi3Keys, act: "silu"}, "Phi3ForCausalLM", "phi3")
}

func phi3Keys(m *model) {
	c := m.config
	r := m.ropeParameters()
	rotated := r.positive("partial_rotary_factor", c.positive("partial_rotary_factor", 1))
	dims := int(rotated * float64(m.headDim()))
	trained := c.int("max_position_embeddings", 4096)
	original := r.int("original_max_position_embeddings", c.int("original_max_position_embeddings", trained))
	m.set("rope.dimension_count", uint32(dims))
	m.set("rope.freq_base", float32(r.positive("rope_theta", c.positive("rope_theta", 10000))))
	m.set("rope.scaling.original_context_length", uint32(original))
	m.set("attention.sliding_window", uint32(max(0, c.id("sliding_window"))))
	switch kind := ropeType(r); kind {
	case "default":
		return
	case "longrope", "su", "yarn": // what these were called before
		m.set("rope.scaling.type", "longrope")
	default:
		m.fail(refuse(nextConvert, "rope_type %.40q is not supported in Phi 3", kind))
		return
	}
	scale := r.positive("factor", float64(trained)/float64(original))
	factor := 1.0
	if scale > 1 {
		factor = math.Sqrt(1 + math.Log(scale)/math.Log(float64(original)))
	}
	m.set("rope.scaling.attn_factor", float32(r.positive("attention_factor", factor)))
	for _, name := range []string{"long", "short"} {
		f := r.floats(name + "_factor")
		if len(f) != dims/2 {
			r.fail("%s_factor has %d numbers, want %d", name, len(f), dims/2)
			return
		}
		m.extra("rope_factors_"+name+".weight", f)
	}
}

// extra adds a tensor that the checkpoint has not.
func (m *model) extra(name string, f []float32) {
	m.tensors = append(m.tensors, floats(name, f))
}
