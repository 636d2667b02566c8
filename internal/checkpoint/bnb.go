package checkpoint

import (
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/safetensors"
)

func (m *model) packed(s *safetensors.Tensor) bool { return false }

func (m *model) unpack(s *safetensors.Tensor) (gguf.Tensor, error) { return gguf.Tensor{}, nil }

func (m *model) float8(s *safetensors.Tensor) (gguf.Tensor, error) {
	return gguf.Tensor{}, refuse(nextConvert, "weights in 8 bits (%s) are not supported", s.DType)
}

// companion reports whether a tensor belongs to another: scales and such.
func (m *model) companion(name string) bool { return false }
