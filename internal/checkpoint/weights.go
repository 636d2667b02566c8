package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/checkpoint/names"
	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor"
)

// plain are the types that GGUF has as they are.
var plain = map[safetensors.DType]tensor.DType{safetensors.F32: tensor.F32, safetensors.F16: tensor.F16, safetensors.BF16: tensor.BF16}

// embedding finds the vocabulary's size.
func (m *model) embedding() {
	for i := range m.weights.Tensors {
		if t := &m.weights.Tensors[i]; names.GGUF("", t.Name) == "token_embd.weight" {
			if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 {
				m.fail(fmt.Errorf("tensor %q has shape %v, want rows of numbers", t.Name, t.Shape))
				return
			}
			m.vocab = t.Shape[0]
			return
		}
	}
	m.fail(errors.New("tensor \"model.embed_tokens.weight\" is missing"))
}

// allTensors takes the tensors of the text model, and refuses what is left: a
// model that has more than is computed would answer nonsense.
func (m *model) allTensors() {
	tied := m.config.bool("tie_word_embeddings", m.arch.gemma)
	var left []string
	for i := range m.weights.Tensors {
		s := &m.weights.Tensors[i]
		name := names.GGUF(m.arch.name, s.Name)
		switch {
		case m.err != nil:
			return
		case m.companion(s.Name), strings.HasSuffix(s.Name, "rotary_emb.inv_freq"), name == "output.weight" && tied,
			slices.ContainsFunc(m.arch.beside, func(p string) bool { return strings.HasPrefix(s.Name, p) }):
		case name == "":
			left = append(left, s.Name)
		default:
			m.take(name, s)
		}
	}
	slices.SortFunc(m.tensors, func(a, b gguf.Tensor) int {
		return cmp.Or(cmp.Compare(place(a.Name), place(b.Name)), strings.Compare(a.Name, b.Name))
	})
	switch {
	case len(left) == 0 && !tied && !slices.ContainsFunc(m.tensors, func(t gguf.Tensor) bool { return t.Name == "output.weight" }):
		m.fail(errors.New("tensor \"lm_head.weight\" is missing, and config.json does not say tie_word_embeddings"))
	case len(left) == 0:
	case slices.ContainsFunc(left, func(n string) bool { return strings.Contains(n, ".lora_") }):
		m.fail(refuse("save the adapter by itself, or the merged model (Unsloth: save_pretrained_merged)",
			"tensor %.100q is an adapter's", left[0]))
	default:
		m.fail(refuse(nextConvert, "%d tensors have no place in a model of architecture %s as llcuda knows it, the first is %.100q",
			len(left), m.arch.name, left[0]))
	}
}

// place orders tensors: what is before the layers, those, and the output.
func place(name string) int {
	rest, ok := strings.CutPrefix(name, "blk.")
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	switch {
	case ok && err == nil:
		return n
	case strings.HasPrefix(name, "output"):
		return math.MaxInt
	}
	return -1
}

// take adds a tensor of the checkpoint under its name in GGUF. What has one
// dimension is f32, as the converter has it.
func (m *model) take(name string, s *safetensors.Tensor) {
	t, err := m.convert(name, s)
	if err != nil {
		m.fail(fmt.Errorf("tensor %.200q: %w", s.Name, err))
		return
	}
	t.Name = name
	m.tensors = append(m.tensors, t)
}

func (m *model) convert(name string, s *safetensors.Tensor) (t gguf.Tensor, err error) {
	heads := m.config.int("num_attention_heads", must)
	if strings.Contains(name, ".attn_k.") {
		heads = m.kvHeads()
	}
	turns := names.TurnsPairs(m.arch.name, name)
	if len(s.Shape) != 1 || m.packed(s) {
		if t, err = m.matrix(s); err == nil && turns {
			t, err = rotated(t, heads)
		}
		return t, err
	}
	x, err := vector(s)
	switch {
	case err != nil:
		return t, err
	case m.arch.gemma && strings.HasSuffix(name, "norm.weight"):
		for i := range x {
			x[i]++
		}
	case turns:
		if x, err = rotatedNumbers(x, heads); err != nil {
			return t, err
		}
	}
	return floats("", x), nil
}

// matrix is a tensor of two dimensions, as it lies or as numbers to be made.
func (m *model) matrix(s *safetensors.Tensor) (gguf.Tensor, error) {
	if m.packed(s) {
		return m.unpack(s)
	}
	if len(s.Shape) != 2 || s.Shape[0] < 1 || s.Shape[1] < 1 {
		return gguf.Tensor{}, fmt.Errorf("has shape %v, want 2 dimensions", s.Shape)
	}
	if s.DType == safetensors.F8E4M3 || s.DType == safetensors.F8E5M2 {
		return m.float8(s)
	}
	d, ok := plain[s.DType]
	if !ok {
		return gguf.Tensor{}, refuse(nextConvert, "has type %s, which is not supported as a weight", s.DType)
	}
	return gguf.Tensor{DType: d, Shape: s.Shape, Data: s.Data}, nil
}

// vector is a norm's or a bias's numbers.
func vector(s *safetensors.Tensor) ([]float32, error) {
	d, ok := plain[s.DType]
	if !ok {
		return nil, refuse(nextConvert, "has type %s, which is not supported as a vector", s.DType)
	}
	if len(s.Shape) != 1 || s.Shape[0] < 1 {
		return nil, fmt.Errorf("has shape %v, want one dimension", s.Shape)
	}
	x := make([]float32, s.Len())
	err := gguf.Guard(func() error { d.Decode(x, s.Data); return nil })
	return x, err
}

// floats is a tensor of numbers that are in memory.
func floats(name string, x []float32) gguf.Tensor {
	data := make([]byte, 4*len(x))
	tensor.F32.Encode(data, x)
	return gguf.Tensor{Name: name, DType: tensor.F32, Shape: []int{len(x)}, Data: data}
}

// rotated puts the rows of each head in GGUF's order.
func rotated(t gguf.Tensor, heads int) (gguf.Tensor, error) {
	rows := t.Shape[0]
	if rows%(2*heads) != 0 {
		return t, fmt.Errorf("%d rows are no %d heads of even length", rows, heads)
	}
	from, size, headDim := t, t.RowBytes(), rows/heads
	t.Data = nil
	t.Make = func(dst []byte, row int) error {
		for ; len(dst) > 0; row++ {
			if err := from.Read(dst[:size], names.PairRow(row, headDim)); err != nil {
				return err
			}
			dst = dst[size:]
		}
		return nil
	}
	return t, nil
}

func rotatedNumbers(x []float32, heads int) ([]float32, error) {
	if len(x)%(2*heads) != 0 {
		return nil, fmt.Errorf("%d numbers are no %d heads of even length", len(x), heads)
	}
	y := make([]float32, len(x))
	for i := range y {
		y[i] = x[names.PairRow(i, len(x)/heads)]
	}
	return y, nil
}
