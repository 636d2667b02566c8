package engine

import (
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// rope reads how positions are turned into angles. Keys and their meaning:
// llama.cpp's src/llama-arch.cpp and src/llama-model.cpp (load_hparams);
// the angles themselves are tensor.Rope's.
//
// rope.scaling.type is none, linear (positions are divided by the factor; also
// when the key is absent), yarn (Peng et al. 2023) or longrope (Ding et al.
// 2024), whose factors are tensors.
func (r *reader) rope(n *network, neox bool) tensor.Rope {
	rope := tensor.Rope{
		Dims:    r.int("rope.dimension_count", n.headDim, 2, max(2, n.headDim)),
		Base:    r.positive("rope.freq_base", 10000),
		NeoX:    neox,
		Scale:   1,
		AttnMul: r.positive("rope.scaling.attn_factor", 1),
	}
	if rope.Dims%2 != 0 || rope.Dims > n.headDim {
		r.fail("%d rotated dimensions of heads of length %d: want an even number, no larger", rope.Dims, n.headDim)
	}
	factor := r.float("rope.scaling.factor", r.float("rope.scale_linear", 0))
	if factor == 0 {
		factor = 1
	}
	switch kind := r.text("rope.scaling.type", "linear"); kind {
	case "none":
	case "linear", "longrope":
		rope.Scale = 1 / factor
	case "yarn":
		rope.Scale = 1 / factor
		rope.YaRN = r.float("rope.scaling.yarn_ext_factor", 1)
		rope.BetaFast = r.float("rope.scaling.yarn_beta_fast", 32)
		rope.BetaSlow = r.float("rope.scaling.yarn_beta_slow", 1)
		rope.OrigCtx = r.originalContext(n)
		rope.AttnMul *= 1 + 0.1*math.Log(max(1, factor))
	default:
		r.fail("key %q is %q, want none, linear, yarn or longrope", r.arch+".rope.scaling.type", kind)
	}
	return rope
}

// originalContext is how many tokens the model saw before its context was
// extended.
func (r *reader) originalContext(n *network) int {
	return r.int("rope.scaling.original_context_length", n.trained, 1, math.MaxUint32)
}

// factors takes the divisors of the frequencies into every layer, if the file
// has some: rope_freqs (Llama 3.1 and later), or the long or short factors of
// longrope, by whether the session is longer than the original context.
func (r *reader) factors(n *network, dims int) {
	name := "rope_freqs.weight"
	r.used["rope_factors_long.weight"], r.used["rope_factors_short.weight"] = true, true
	if r.f.Tensor(name) == nil {
		name = "rope_factors_short.weight"
		if n.context > r.originalContext(n) {
			name = "rope_factors_long.weight"
		}
	}
	r.prefix = ""
	if r.f.Tensor(name) == nil || len(n.layers) == 0 {
		return
	}
	r.vector(&n.layers[0].factors, name, dims/2)
	for i := range n.layers[1:] {
		r.share(&n.layers[1+i].factors)
	}
}
