package checkpoint

import (
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor/bnb"
)

// Weights of bitsandbytes have their parts beside them, under the weight's name:
// of 4 bits x.weight.absmax and others, of 8 bits x.SCB.
const (
	scales8 = ".SCB"
	format8 = ".weight_format"
)

// packed reports whether a weight is one of bitsandbytes.
func (m *model) packed(s *safetensors.Tensor) bool {
	return m.weights.Tensor(s.Name+"."+bnb.AbsMax) != nil || m.eightBit(s) != nil
}

// eightBit are the scales of a weight in 8 bits, nil if it is none.
func (m *model) eightBit(s *safetensors.Tensor) *safetensors.Tensor {
	module, ok := strings.CutSuffix(s.Name, ".weight")
	if !ok || s.DType != safetensors.I8 {
		return nil
	}
	return m.weights.Tensor(module + scales8)
}

// unpack makes rows of a weight of bitsandbytes.
func (m *model) unpack(s *safetensors.Tensor) (t gguf.Tensor, err error) {
	var w *bnb.Weight
	if scales := m.eightBit(s); scales != nil {
		if scales.DType != safetensors.F32 {
			return t, refuse(nextDamaged, "its scales (%s) have type %s, want F32", scales.Name, scales.DType)
		}
		if f := m.weights.Tensor(strings.TrimSuffix(s.Name, ".weight") + format8); f != nil && len(f.Data) == 1 && f.Data[0] != 0 {
			return t, refuse("save the model again with a newer bitsandbytes", "its numbers lie in the order of format %d, only row by row (0) is supported", f.Data[0])
		}
		w, err = bnb.Int8(s.Data, scales.Data, s.Shape)
	} else {
		parts := map[string][]byte{}
		for i := range m.weights.Tensors {
			if part, ok := strings.CutPrefix(m.weights.Tensors[i].Name, s.Name+"."); ok {
				parts[part] = m.weights.Tensors[i].Data
			}
		}
		err = gguf.Guard(func() error { w, err = bnb.Four(s.Data, parts); return err })
	}
	if err != nil {
		return t, err
	}
	return gguf.Tensor{DType: w.DType, Shape: w.Shape, Make: w.Read}, nil
}

// companion reports whether a tensor is a part of another: parts of
// bitsandbytes, and scales of weights in 8 bits.
func (m *model) companion(name string) bool {
	if weight, _, ok := strings.Cut(name, ".weight."); ok && m.weights.Tensor(weight+".weight") != nil {
		return m.weights.Tensor(weight+".weight."+bnb.AbsMax) != nil
	}
	for _, suffix := range []string{scales8, format8} {
		if module, ok := strings.CutSuffix(name, suffix); ok {
			t := m.weights.Tensor(module + ".weight")
			return t != nil && t.DType == safetensors.I8
		}
	}
	return m.scaleOf(name)
}
