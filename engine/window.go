package engine

import (
	"math"
)

// window reads how many keys a query of a local layer sees, itself included;
// 0 is all.
func (r *reader) window(def int) int {
	return r.int("attention.sliding_window", def, 0, math.MaxUint32)
}

// local says which layers see a window instead of all keys. The key is a list
// of truth values, or a number p that makes each p-th layer global; def is p
// where the key is absent.
func (r *reader) local(layers, def int) []bool {
	const key = "attention.sliding_window_pattern"
	local := make([]bool, layers)
	if v, ok := r.f.Value(r.arch + "." + key); ok {
		if list, ok := v.([]bool); ok {
			if len(list) != layers {
				r.fail("key %q has %d entries, want %d, one a layer", r.arch+"."+key, len(list), layers)
			}
			copy(local, list)
			return local
		}
	}
	p := r.int(key, def, 0, maxLayers)
	for i := range local {
		local[i] = p == 0 || i%p < p-1
	}
	return local
}

// gemmaScale is the scale of the scores in Gemma 2 and 3: what the file says, or
// 1/√headDim, but by the width of a head in the largest models, known by their
// number of layers.
// https://github.com/google/gemma_pytorch/blob/main/gemma/config.py
func (r *reader) gemmaScale(n *network, largest int) float32 {
	if s := r.float("attention.scale", 0); s != 0 {
		return float32(s)
	}
	if len(n.layers) == largest {
		return float32(1 / math.Sqrt(float64(n.dim/n.heads)))
	}
	return float32(1 / math.Sqrt(float64(n.headDim)))
}
