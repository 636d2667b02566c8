package bnb

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// Parts are the names under which Linear4bit stores what belongs to a weight:
// the weight's name, a dot, and one of these. The nested ones are there when
// the absmax of blocks are quantised in turn. State goes on with the type, nf4
// or fp4; it is JSON in bytes.
const (
	AbsMax         = "absmax"
	QuantMap       = "quant_map"
	NestedAbsMax   = "nested_absmax"
	NestedQuantMap = "nested_quant_map"
	State          = "quant_state.bitsandbytes__"
)

// Four is a weight of Linear4bit: the nibbles, which the file has under the
// weight's own name in any type, and its parts by their names; all of it bytes
// as they lie, little endian. The Weight refers to them.
func Four(packed []byte, parts map[string][]byte) (*Weight, error) {
	s, err := parseState(parts)
	if err != nil {
		return nil, err
	}
	f := four{form: s.form, block: s.BlockSize, packed: packed, levels: levels(s.form), absmax: parts[AbsMax]}
	n := tensor.Count(s.Shape)
	if len(packed) != (n+1)/2 {
		return bad("%d bytes for %v numbers of %s, want %d", len(packed), s.Shape, s.form, (n+1)/2)
	}
	if m := parts[QuantMap]; m != nil && !f.close(m) {
		return bad("%s is not that of %s", QuantMap, s.form)
	}
	blocks := (n + s.BlockSize - 1) / s.BlockSize
	if parts[NestedAbsMax] == nil {
		if len(f.absmax) != 4*blocks {
			return bad("%s of %d bytes, want %d float32", AbsMax, len(f.absmax), blocks)
		}
	} else if f.nested, err = s.nested(parts, blocks); err != nil {
		return nil, err
	}

	f.cols = s.Shape[len(s.Shape)-1]
	if f.cols%block == 0 && f.block%block == 0 {
		return &Weight{DType: f.form, Shape: s.Shape, read: f.blocks}, nil
	}
	return &Weight{DType: tensor.F32, Shape: s.Shape, read: f.floats}, nil
}

// four are the numbers of a weight: blocks run on from row to row.
type four struct {
	form   tensor.DType
	levels [16]float32
	block  int // numbers that share an absmax
	cols   int
	packed []byte
	absmax []byte // float32 of the blocks, or codes where nested is not nil
	nested *Nested
}

// scale is the absmax of number i.
func (f *four) scale(i int) float32 {
	if f.nested != nil {
		return f.nested.at(f.absmax, i/f.block)
	}
	return float(f.absmax, i/f.block)
}

// blocks makes a row of blocks, float32 absmax and 32 bytes of nibbles.
func (f *four) blocks(dst []byte, row int) {
	for i := row * f.cols; i < (row+1)*f.cols; i, dst = i+block, dst[4+block/2:] {
		putFloat(dst, 0, f.scale(i))
		copy(dst[4:4+block/2], f.packed[i/2:])
	}
}

func (f *four) floats(dst []byte, row int) {
	for c := range f.cols {
		i := row*f.cols + c
		q := f.packed[i/2]
		if i%2 == 0 {
			q >>= 4
		}
		putFloat(dst, c, f.scale(i)*f.levels[q&15])
	}
}

// levels are what the nibbles of a type stand for.
func levels(form tensor.DType) (l [16]float32) {
	one := make([]byte, form.BlockBytes())
	putFloat(one, 0, 1)
	for i := range l {
		one[4+i/2] |= byte(i) << (4 - i%2*4)
	}
	all := make([]float32, block)
	form.Decode(all, one)
	copy(l[:], all)
	return l
}

// close says whether a stored map has the type's levels, up to a rounding:
// bitsandbytes stores it and heeds the type's name alone.
func (f *four) close(m []byte) bool {
	if len(m) != 4*len(f.levels) {
		return false
	}
	for i, l := range f.levels {
		if !(math.Abs(float64(float(m, i)-l)) < 1e-4) {
			return false
		}
	}
	return true
}

// A state is the JSON that describes a weight.
type state struct {
	form            tensor.DType
	QuantType       string   `json:"quant_type"`
	BlockSize       int      `json:"blocksize"`
	Shape           []int    `json:"shape"`
	NestedBlockSize int      `json:"nested_blocksize"`
	NestedOffset    *float64 `json:"nested_offset"`
}

func parseState(parts map[string][]byte) (*state, error) {
	var s state
	found := ""
	for name, data := range parts {
		form, ok := strings.CutPrefix(name, State)
		if !ok {
			continue
		}
		if found != "" {
			return nil, failure("two descriptions, %s and %s", found, name)
		}
		found = name
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, failure("%s: %w", name, err)
		}
		switch {
		case form == "nf4":
			s.form = tensor.NF4
		case form == "fp4":
			s.form = tensor.FP4
		default:
			return nil, failure("4-bit type %q, nf4 and fp4 are known", form)
		}
		if s.QuantType != form {
			return nil, failure("%s says quant_type %q", name, s.QuantType)
		}
	}
	switch b := s.BlockSize; {
	case found == "":
		return nil, failure("no entry %snf4 or fp4", State)
	case b < 32 || b > 4096 || b&(b-1) != 0:
		return nil, failure("blocksize %d, want a power of two from 32 to 4096", b)
	case len(s.Shape) == 0 || len(s.Shape) > 4:
		return nil, failure("shape %v, want 1 to 4 dimensions", s.Shape)
	}
	n := 1
	for _, d := range s.Shape {
		if d < 1 || d > 1<<46/n {
			return nil, failure("shape %v", s.Shape)
		}
		n *= d
	}
	return &s, nil
}
