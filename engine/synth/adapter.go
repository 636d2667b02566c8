package synth

import (
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// Adapter makes an adapter of random numbers for all products of a model's
// layers, which changes its results a little: what one costs.
func Adapter(base *gguf.File, rank int) (*gguf.File, error) {
	arch, err := base.String("general.architecture")
	if err != nil {
		return nil, err
	}
	meta := []gguf.KV{{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: arch},
		{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(1e-6)}}
	var tensors []gguf.Tensor
	for i := range base.Tensors {
		t := &base.Tensors[i]
		if len(t.Shape) == 2 && strings.HasPrefix(t.Name, "blk.") && t.Shape[0] > 1 {
			tensors = append(tensors, gguf.Tensor{Name: t.Name + ".lora_a", DType: tensor.F16, Shape: []int{rank, t.Shape[1]}},
				gguf.Tensor{Name: t.Name + ".lora_b", DType: tensor.F16, Shape: []int{t.Shape[0], rank}})
		}
	}
	fill(tensors, false)
	return gguf.New(meta, tensors)
}
