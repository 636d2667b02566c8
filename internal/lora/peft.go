package lora

import (
	"fmt"
	"math"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/checkpoint/names"
	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor"
)

// A peft makes the view of an adapter that PEFT saved: its tensors under the
// base's names, as llama.cpp's convert_lora_to_gguf.py writes them. Where an
// adapter's scales do not follow from one alpha, B has the difference.
type peft struct {
	c       *config
	arch    string
	headDim int // of queries and keys
	alpha   float64
	tensors []gguf.Tensor
}

// Endings of PEFT's names (peft/utils/save_and_load.py); what has none of them
// is a weight that was trained whole.
var endings = []struct{ peft, gguf string }{
	{".lora_A.weight", endA},
	{".lora_B.weight", endB},
	{".lora_B.bias", endBias},
	{".lora_embedding_A", endA},
	{".lora_embedding_B", endB},
	{".lora_magnitude_vector", endMagnitude},
	{".lora_magnitude_vector.weight", endMagnitude},
}

// view reads the description b of an adapter whose weights these are. The view
// closes them.
func view(b []byte, weights *safetensors.File, base *gguf.File) (*gguf.File, error) {
	c, err := readConfig(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	p := &peft{c: c}
	if p.arch, err = base.String("general.architecture"); err != nil {
		return nil, err
	}
	if p.headDim, err = headDim(base, p.arch); err != nil {
		return nil, err
	}
	scale, rank := c.scale("")
	p.alpha = scale * float64(rank)
	for i := range weights.Tensors {
		if err := p.add(&weights.Tensors[i]); err != nil {
			return nil, err
		}
	}
	if err := p.tie(base); err != nil {
		return nil, err
	}
	meta := []gguf.KV{
		{Key: "general.type", Value: "adapter"},
		{Key: "general.architecture", Value: p.arch},
		{Key: "adapter.type", Value: "lora"},
		{Key: "adapter.lora.alpha", Value: float32(p.alpha)},
	}
	if c.base != "" {
		meta = append(meta, gguf.KV{Key: "general.base_model.count", Value: uint32(1)},
			gguf.KV{Key: "general.base_model.0.name", Value: c.base})
	}
	return gguf.New(meta, p.tensors, weights)
}

// add takes one tensor.
func (p *peft) add(t *safetensors.Tensor) error {
	module, end := strings.TrimPrefix(t.Name, "base_model.model."), ""
	if module == t.Name {
		return fmt.Errorf("tensor %q: the name does not begin with base_model.model.", t.Name)
	}
	for _, e := range endings {
		if m, ok := strings.CutSuffix(module, e.peft); ok {
			module, end = m, e.gguf
			break
		}
	}
	dtype, err := typeOf(t)
	if err != nil {
		return err
	}
	if end == "" {
		return p.whole(t, dtype, module)
	}
	name := names.GGUF(p.arch, module+".weight")
	if name == "" {
		return fmt.Errorf("tensor %q: the module %s has no place in a model of architecture %s, as the loaded one is", t.Name, module, p.arch)
	}
	looked := strings.HasSuffix(t.Name, ".lora_embedding_A") || strings.HasSuffix(t.Name, ".lora_embedding_B")
	if matrix := end == endA || end == endB; matrix && (name == embedding) != looked {
		return fmt.Errorf("tensor %q: only an embedding is changed by lora_embedding_A and B", t.Name)
	}
	scale, rank := p.c.scale(module)
	g := gguf.Tensor{Name: name + end, DType: dtype, Shape: t.Shape, Data: t.Data}
	factor := scale * float64(rank) / p.alpha
	if math.Abs(factor-1) < 1e-9 || end == endA || end == endMagnitude {
		factor = 1
	}
	switch {
	case len(t.Shape) == 0 || len(t.Shape) > 2 || tensor.Count(t.Shape) == 0:
		return fmt.Errorf("tensor %q has shape %v, want a vector or a matrix", t.Name, t.Shape)
	case (end == endA || end == endB) && len(t.Shape) != 2:
		return fmt.Errorf("tensor %q has shape %v, want a matrix", t.Name, t.Shape)
	case end == endA && t.Shape[0] != rank || end == endB && t.Shape[1] != rank:
		return fmt.Errorf("tensor %q has shape %v, but %s says rank %d", t.Name, t.Shape, configName, rank)
	case end == endMagnitude && !p.c.dora:
		return fmt.Errorf("tensor %q is one of DoRA, but %s does not say use_dora", t.Name, configName)
	case end == endA && looked:
		g = transposed(g)
	case end != endA:
		g, err = p.ordered(g, name, float32(factor), 0)
	}
	p.tensors = append(p.tensors, g)
	return err
}

// whole takes a weight, a bias or a norm that was trained whole
// (modules_to_save, or bias).
func (p *peft) whole(t *safetensors.Tensor, dtype tensor.DType, module string) error {
	module = strings.Replace(module, ".base_layer.", ".", 1)
	if module == "" || strings.Contains(module, ".lora_") || strings.Contains(module, "trainable_tokens") {
		return fmt.Errorf("tensor %q: it is of a kind that is not supported; merge the adapter where it was trained", t.Name)
	}
	name := names.GGUF(p.arch, module)
	if !strings.HasSuffix(name, ".weight") && !strings.HasSuffix(name, ".bias") {
		return fmt.Errorf("tensor %q has no place in a model of architecture %s, as the loaded one is", t.Name, p.arch)
	}
	if len(t.Shape) == 0 || len(t.Shape) > 2 || tensor.Count(t.Shape) == 0 {
		return fmt.Errorf("tensor %q has shape %v, want a vector or a matrix", t.Name, t.Shape)
	}
	more := float32(0)
	if strings.HasPrefix(p.arch, "gemma") && strings.HasSuffix(name, "norm.weight") {
		more = 1 // GGUF has 1 + the weight
	}
	g, err := p.ordered(gguf.Tensor{Name: name, DType: dtype, Shape: t.Shape, Data: t.Data}, name, 1, more)
	p.tensors = append(p.tensors, g)
	return err
}

// ordered is t·factor + more, with rows in the order that the weight of that
// name has in GGUF.
func (p *peft) ordered(t gguf.Tensor, name string, factor, more float32) (gguf.Tensor, error) {
	turned := names.TurnsPairs(p.arch, name)
	if turned && t.Shape[0]%p.headDim != 0 {
		err := fmt.Errorf("tensor %q has shape %v, which are no whole heads of %d as the model has; it is for another base", t.Name, t.Shape, p.headDim)
		if p.c.base != "" {
			err = fmt.Errorf("%w, %s: load that", err, p.c.base)
		}
		return t, err
	}
	if !turned && factor == 1 && more == 0 {
		return t, nil
	}
	// A vector is made like a matrix of one column.
	from, cols := t, tensor.Count(t.Shape[1:])
	size := from.DType.Bytes(cols)
	t.DType, t.Data = tensor.F32, nil
	t.Make = func(dst []byte, row int) error {
		if len(t.Shape) == 1 { // the one row is all
			row = 0
		}
		f := make([]float32, cols)
		for ; len(dst) > 0; row, dst = row+1, dst[4*cols:] {
			at := row
			if turned {
				at = names.PairRow(row, p.headDim)
			}
			from.DType.Decode(f, from.Data[at*size:(at+1)*size])
			for i := range f {
				f[i] = f[i]*factor + more
			}
			tensor.F32.Encode(dst[:4*cols], f)
		}
		return nil
	}
	return t, nil
}

// transposed is tᵀ.
func transposed(t gguf.Tensor) gguf.Tensor {
	data, rows, cols := t.Data, t.Shape[0], t.Shape[1]
	size := t.DType.Bytes(1)
	t.Shape, t.Data = []int{cols, rows}, nil
	t.Make = func(dst []byte, row int) error {
		for ; len(dst) > 0; row++ {
			for i := range rows {
				at := (i*cols + row) * size
				dst = dst[copy(dst, data[at:at+size]):]
			}
		}
		return nil
	}
	return t
}

// tie gives an output that is the base's embedding the embedding's new weights,
// where the adapter was trained so.
func (p *peft) tie(base *gguf.File) error {
	if !p.c.tying || base.Tensor("output.weight") != nil {
		return nil
	}
	for _, t := range p.tensors {
		switch t.Name {
		case embedding + endA:
			return fmt.Errorf("ensure_weight_tying is set: its embedding changes the output, too, which is not supported; merge it where it was trained")
		case "output.weight":
			return nil
		}
	}
	for _, t := range p.tensors {
		if t.Name == embedding {
			t.Name = "output.weight"
			p.tensors = append(p.tensors, t)
			return nil
		}
	}
	return nil
}

func typeOf(t *safetensors.Tensor) (tensor.DType, error) {
	switch t.DType {
	case "F32":
		return tensor.F32, nil
	case "F16":
		return tensor.F16, nil
	case "BF16":
		return tensor.BF16, nil
	case "F64":
		return tensor.F64, nil
	}
	return 0, fmt.Errorf("tensor %q has type %s, want F32, F16 or BF16", t.Name, t.DType)
}
