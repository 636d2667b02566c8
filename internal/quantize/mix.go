package quantize

import (
	"fmt"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// A Mix says which type each tensor of a model gets: most of them Base, those
// that suffer more a better one. Its names and choices are llama.cpp's
// (llama_tensor_get_type, src/llama-quant.cpp), so that a file called Q4_K_M
// is what every program takes it for.
type Mix struct {
	Name     string // as users write it: "q4_k_m"
	Base     tensor.DType
	FileType uint32 // general.file_type: llama.h, enum llama_ftype

	// The tensors that suffer more: nil is Base.
	value  rule // of attention values, also where queries and keys are with them
	down   rule // the second product of a feed-forward network
	output rule // the product behind attention
}

// A place is where a tensor is, as far as rules ask.
type place struct {
	i, n       int // the i-th of n tensors of its kind
	shared     int // query heads of a key-value head
	importance bool
}

// more says whether the place is among those that get more bits in the mixes
// called M: the first eighth, the last eighth, and every third between.
func (p place) more() bool {
	return p.i < p.n/8 || p.i >= 7*p.n/8 || (p.i-p.n/8)%3 == 2
}

// A rule chooses a type by place; base is the mix's.
type rule func(p place, base tensor.DType) tensor.DType

// always is the rule that does not look.
func always(d tensor.DType) rule { return func(place, tensor.DType) tensor.DType { return d } }

// when is d where the condition holds.
func when(cond func(place) bool, d tensor.DType) rule {
	return func(p place, base tensor.DType) tensor.DType {
		if cond(p) {
			return d
		}
		return base
	}
}

// either is a rule that never leaves the base type.
func either(cond func(place) bool, yes, no tensor.DType) rule {
	return func(p place, _ tensor.DType) tensor.DType {
		if cond(p) {
			return yes
		}
		return no
	}
}

// first is true of the first places: n/parts of them.
func first(parts int) func(place) bool { return func(p place) bool { return p.i < p.n/parts } }

// grouped is true where few values serve many queries: more bits cost little.
func grouped(p place) bool { return p.shared >= 4 }

// Mixes are all there are, smallest first.
var Mixes = []Mix{
	{Name: "q2_k_s", Base: tensor.Q2_K, FileType: 21, value: when(grouped, tensor.Q4_K), down: when(first(8), tensor.Q4_K)},
	{Name: "q2_k", Base: tensor.Q2_K, FileType: 10, value: either(grouped, tensor.Q4_K, tensor.Q3_K), down: always(tensor.Q3_K), output: always(tensor.Q3_K)},
	{Name: "q3_k_s", Base: tensor.Q3_K, FileType: 11},
	{Name: "q3_k_m", Base: tensor.Q3_K, FileType: 12, value: either(func(p place) bool { return p.i < 2 }, tensor.Q5_K, tensor.Q4_K),
		down: either(first(16), tensor.Q5_K, tensor.Q4_K), output: always(tensor.Q4_K)},
	{Name: "q3_k_l", Base: tensor.Q3_K, FileType: 13, value: always(tensor.Q5_K), down: always(tensor.Q5_K), output: always(tensor.Q5_K)},
	{Name: "iq4_xs", Base: tensor.IQ4_XS, FileType: 30, value: when(grouped, tensor.Q5_K), down: when(firstWithout, tensor.Q5_K)},
	{Name: "iq4_nl", Base: tensor.IQ4_NL, FileType: 25, value: when(grouped, tensor.Q5_K), down: when(firstWithout, tensor.Q5_K)},
	{Name: "q4_0", Base: tensor.Q4_0, FileType: 2, down: when(firstWith, tensor.Q4_1)},
	{Name: "q4_1", Base: tensor.Q4_1, FileType: 3},
	{Name: "q4_k_s", Base: tensor.Q4_K, FileType: 14, value: when(func(p place) bool { return p.i < 4 }, tensor.Q5_K), down: when(first(8), tensor.Q5_K)},
	{Name: "q4_k_m", Base: tensor.Q4_K, FileType: 15, value: when(place.more, tensor.Q6_K), down: when(place.more, tensor.Q6_K)},
	{Name: "q5_0", Base: tensor.Q5_0, FileType: 8, down: when(firstWith, tensor.Q5_1)},
	{Name: "q5_1", Base: tensor.Q5_1, FileType: 9},
	{Name: "q5_k_s", Base: tensor.Q5_K, FileType: 16},
	{Name: "q5_k_m", Base: tensor.Q5_K, FileType: 17, value: when(place.more, tensor.Q6_K), down: when(place.more, tensor.Q6_K)},
	{Name: "q6_k", Base: tensor.Q6_K, FileType: 18},
	{Name: "q8_0", Base: tensor.Q8_0, FileType: 7},
	{Name: "f16", Base: tensor.F16, FileType: 1},
	{Name: "bf16", Base: tensor.BF16, FileType: 32},
	{Name: "f32", Base: tensor.F32, FileType: 0},
}

// firstWith and firstWithout are the first eighth with and without an
// importance matrix.
func firstWith(p place) bool    { return p.importance && first(8)(p) }
func firstWithout(p place) bool { return !p.importance && first(8)(p) }

// short are the names that stand for a mix among several: llama-quantize's.
var short = map[string]string{"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m", "fp16": "f16", "fp32": "f32"}

// ParseMix finds a mix by its name in any case.
func ParseMix(name string) (Mix, error) {
	low := strings.ToLower(name)
	if long, ok := short[low]; ok {
		low = long
	}
	for _, m := range Mixes {
		if m.Name == low {
			return m, nil
		}
	}
	return Mix{}, fmt.Errorf("quantize: no type %q; there are %s", name, strings.Join(Names(), ", "))
}

// Names are those of the mixes.
func Names() []string {
	var all []string
	for _, m := range Mixes {
		all = append(all, m.Name)
	}
	return all
}
