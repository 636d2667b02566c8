package checkpoint

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor"
)

// Weights in 8 bits come with scales for the whole, for each row, or for blocks
// of rows and columns: x.weight_scale_inv (quant_method fp8; it is no inverse)
// or x.weight_scale (compressed-tensors). Scales of activations, which
// accelerators compute with in 8 bits, are not needed.
var (
	weightScales = []string{"_scale_inv", "_scale"}
	otherScales  = []string{".input_scale", ".activation_scale", ".input_scale_inv", ".k_scale", ".v_scale", ".q_scale", ".output_scale"}
)

func isFloat8(s *safetensors.Tensor) bool {
	return s != nil && (s.DType == safetensors.F8E4M3 || s.DType == safetensors.F8E5M2)
}

// scaleOf reports whether a tensor is a scale of a weight in 8 bits.
func (m *model) scaleOf(name string) bool {
	for _, suffix := range weightScales {
		if weight, ok := strings.CutSuffix(name, suffix); ok && isFloat8(m.weights.Tensor(weight)) {
			return true
		}
	}
	return slices.ContainsFunc(otherScales, func(s string) bool { return strings.HasSuffix(name, s) })
}

// float8 makes f16 of a weight in 8 bits, which holds its numbers to 11 bits, or
// bf16 if its scales are too large for that.
func (m *model) float8(s *safetensors.Tensor) (gguf.Tensor, error) {
	rows, cols := s.Shape[0], s.Shape[1]
	scale, err := m.scales(s)
	if err != nil {
		return gguf.Tensor{}, err
	}
	levels, d := float8Levels(s.DType), tensor.F16
	for _, x := range scale.of {
		if top := slices.Max(levels[:0x7b]) * float32(math.Abs(float64(x))); top > 65504 {
			d = tensor.BF16
		}
	}
	size, data := d.Bytes(cols), s.Data
	return gguf.Tensor{DType: d, Shape: []int{rows, cols}, Make: func(dst []byte, row int) error {
		x := make([]float32, cols)
		for ; len(dst) > 0; dst, row = dst[size:], row+1 {
			by := scale.of[row/scale.rows*scale.perRow:]
			for i, b := range data[row*cols:][:cols] {
				x[i] = levels[b] * by[i/scale.cols]
			}
			d.Encode(dst[:size], x)
		}
		return nil
	}}, nil
}

// float8Scales are those of blocks of rows and columns.
type float8Scales struct {
	of         []float32
	rows, cols int // of a block
	perRow     int // blocks in a row
}

// scales reads the scales of a weight; without any they are 1.
func (m *model) scales(s *safetensors.Tensor) (float8Scales, error) {
	rows, cols := s.Shape[0], s.Shape[1]
	whole := float8Scales{of: []float32{1}, rows: rows, cols: cols, perRow: 1}
	var t *safetensors.Tensor
	for _, suffix := range weightScales {
		if t = m.weights.Tensor(s.Name + suffix); t != nil {
			break
		}
	}
	if t == nil {
		return whole, nil
	}
	d, ok := plain[t.DType]
	if !ok {
		return whole, refuse(nextConvert, "its scales (%s) have type %s, which is not supported", t.Name, t.DType)
	}
	x := make([]float32, t.Len())
	if err := gguf.Guard(func() error { d.Decode(x, t.Data); return nil }); err != nil {
		return whole, err
	}
	for _, v := range x {
		if v-v != 0 {
			return whole, fmt.Errorf("its scale is %g", v)
		}
	}
	grid := t.Shape
	if len(grid) == 1 {
		grid = []int{grid[0], 1}
	}
	switch {
	case len(x) == 1:
		whole.of = x
		return whole, nil
	case len(grid) == 2 && grid[0] == rows && grid[1] == 1:
		return float8Scales{of: x, rows: 1, cols: cols, perRow: 1}, nil
	}
	block := m.blockSize()
	if len(grid) == 2 && len(block) == 2 && grid[0] == (rows+block[0]-1)/block[0] && grid[1] == (cols+block[1]-1)/block[1] {
		return float8Scales{of: x, rows: block[0], cols: block[1], perRow: grid[1]}, nil
	}
	return whole, refuse(nextConvert, "its scales have shape %v for rows and columns %v and blocks %v", t.Shape, s.Shape, block)
}

// blockSize is how many rows and columns share a scale, by config.json.
func (m *model) blockSize() []int {
	list, _ := m.config.object("quantization_config").value("weight_block_size", false).([]any)
	var block []int
	for _, v := range list {
		f, ok := number(v)
		if !ok || f != math.Trunc(f) || f < 1 || f > math.MaxInt32 {
			return nil
		}
		block = append(block, int(f))
	}
	return block
}

// float8Levels are the numbers of a type, by their bits: of E4M3 those of
// OCP's 8-bit formats, without infinities; of E5M2 the upper half of f16's.
func float8Levels(d safetensors.DType) (levels [256]float32) {
	for b := range levels {
		if d == safetensors.F8E5M2 {
			tensor.F16.Decode(levels[b:b+1], []byte{0, byte(b)})
			continue
		}
		exponent, mantissa := b>>3&15, float64(b&7)
		x := math.Ldexp(1+mantissa/8, exponent-7)
		switch {
		case exponent == 0:
			x = math.Ldexp(mantissa/8, -6)
		case exponent == 15 && mantissa == 7:
			x = math.NaN()
		}
		if b >= 128 {
			x = -x
		}
		levels[b] = float32(x)
	}
	return levels
}
