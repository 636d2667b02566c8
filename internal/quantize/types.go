package quantize

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// Types chooses the type of each tensor of f, in the file's order. With an
// importance matrix some choices differ.
func (m Mix) Types(f *gguf.File, importance bool) ([]tensor.DType, error) {
	c, err := newChooser(f, m, importance)
	if err != nil {
		return nil, err
	}
	types := make([]tensor.DType, len(f.Tensors))
	for _, i := range c.order() {
		types[i] = c.choose(&f.Tensors[i])
	}
	return types, nil
}

// A chooser walks through a model's tensors in llama.cpp's order, in which the
// rules count them.
type chooser struct {
	Mix
	f       *gguf.File
	place          // what is alike for all tensors
	blocks  int    // layers
	values  int    // tensors of attention values
	experts int    // feed-forward networks of a layer, of which a token takes some
	tied    bool   // the embedding is the output, too
	big     bool   // 80 layers with grouped heads: values are an eighth of the queries
	seen    [2]int // values and downs so far
}

func newChooser(f *gguf.File, m Mix, importance bool) (*chooser, error) {
	arch, err := f.String("general.architecture")
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	blocks, err := f.UintOr(arch+".block_count", 0)
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	experts, err := f.UintOr(arch+".expert_count", 0)
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	heads := firstOf(f, arch+".attention.head_count", 0)
	kv := firstOf(f, arch+".attention.head_count_kv", heads)
	c := &chooser{Mix: m, f: f, blocks: int(blocks), experts: int(experts), tied: f.Tensor("output.weight") == nil,
		place: place{shared: int(heads / max(kv, 1)), importance: importance}}
	c.big = blocks == 80 && (arch == "qwen2" || arch == "llama" && heads != kv)
	for i := range f.Tensors {
		if kindOf(f.Tensors[i].Name) == value {
			c.values++
		}
	}
	return c, nil
}

// firstOf is a number of heads: of the first layer where each has its own.
func firstOf(f *gguf.File, key string, def int64) int64 {
	if list, err := f.Ints(key); err == nil && len(list) > 0 {
		return list[0]
	}
	n, err := f.IntOr(key, def)
	if err != nil {
		return def
	}
	return n
}

// order is that of llama.cpp's loader: by layer, what belongs to none first,
// and by name.
func (c *chooser) order() []int {
	all := make([]int, len(c.f.Tensors))
	for i := range all {
		all[i] = i
	}
	slices.SortFunc(all, func(a, b int) int {
		x, y := c.f.Tensors[a].Name, c.f.Tensors[b].Name
		return cmp.Or(cmp.Compare(layer(x), layer(y)), cmp.Compare(x, y))
	})
	return all
}

// layer is the number in blk.N.…, -1 for other names.
func layer(name string) int {
	rest, ok := strings.CutPrefix(name, "blk.")
	number, _, dot := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if !ok || !dot || err != nil {
		return -1
	}
	return n
}

// A kind is what a tensor is for, where rules differ.
type kind int

const (
	other kind = iota
	embedding
	head // the product with the vocabulary
	value
	key
	output
	down
)

func kindOf(name string) kind {
	has := func(part string) bool { return strings.Contains(name, part) }
	switch {
	case name == "output.weight":
		return head
	case name == "token_embd.weight", name == "per_layer_token_embd.weight":
		return embedding
	case has("attn_qkv.weight"), has("attn_kv_b.weight"), has("attn_v.weight"):
		return value
	case has("attn_k.weight"):
		return key
	case has("attn_output.weight"):
		return output
	case has("ffn_down"):
		return down
	}
	return other
}

// choose is the type of the next tensor.
func (c *chooser) choose(t *gguf.Tensor) tensor.DType {
	if !quantised(t) {
		if t.DType.Foreign() {
			return tensor.F32
		}
		return t.DType
	}
	if !c.Base.Quantised() {
		return c.Base
	}
	return fitting(c.wanted(t), t.Shape[len(t.Shape)-1])
}

// wanted is the type by the rules, whatever the shape.
func (c *chooser) wanted(t *gguf.Tensor) tensor.DType {
	p := c.place
	apply := func(r rule) tensor.DType {
		if r == nil {
			return c.Base
		}
		return r(p, c.Base)
	}
	k := kindOf(t.Name)
	switch {
	case k == head || k == embedding && c.tied:
		// Each token's probability hangs on it.
		if c.Base == tensor.Q8_0 || t.Shape[len(t.Shape)-1]%c.Base.BlockLen() != 0 {
			return tensor.Q8_0
		}
		return tensor.Q6_K
	case k == value:
		p.i, p.n = c.seen[0], c.values
		c.seen[0]++
		d := apply(c.value)
		switch {
		case c.experts == 8:
			return tensor.Q8_0
		case c.big && (d == tensor.Q3_K || d == tensor.Q4_K):
			return tensor.Q5_K
		}
		return d
	case k == key && c.experts == 8:
		return tensor.Q8_0
	case k == down:
		p.i, p.n = c.seen[1], c.blocks
		c.seen[1]++
		if c.experts > 1 { // not one a layer
			p.i = layer(t.Name)
		}
		return apply(c.down)
	case k == output && c.experts == 8:
		switch c.Mix.Name {
		case "q2_k", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m", "iq4_nl", "iq4_xs":
			return tensor.Q5_K
		}
		return c.Base
	case k == output:
		return apply(c.output)
	}
	return c.Base
}

// fitting is a type with shorter blocks where a row is no whole number of d's.
func fitting(d tensor.DType, cols int) tensor.DType {
	if cols%d.BlockLen() == 0 {
		return d
	}
	switch d {
	case tensor.Q2_K, tensor.Q3_K:
		d = tensor.Q4_0
	case tensor.Q4_K:
		d = tensor.Q5_0
	case tensor.Q5_K:
		d = tensor.Q5_1
	case tensor.Q6_K:
		d = tensor.Q8_0
	case tensor.IQ4_XS:
		d = tensor.IQ4_NL
	}
	if cols%d.BlockLen() != 0 {
		return tensor.F16
	}
	return d
}

// kept are parts of names of matrices that stay as they are: small ones on
// which much hangs, and tables of positions.
var kept = []string{"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj",
	"ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first.weight",
	"time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight",
	"time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight",
	"time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
	"attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd",
	".patch_merger", "a.rvq.codebook", "mm.a.code_embd"}

// quantised says whether a tensor gets another type at all: matrices of
// weights do, norms and biases do not.
func quantised(t *gguf.Tensor) bool {
	matrix := slices.ContainsFunc(t.Shape[:len(t.Shape)-1], func(n int) bool { return n > 1 })
	if !matrix || !strings.HasSuffix(t.Name, "weight") || t.Name == "position_embd.weight" || t.Name == "token_types.weight" {
		return false
	}
	return !slices.ContainsFunc(kept, func(part string) bool { return strings.Contains(t.Name, part) })
}
