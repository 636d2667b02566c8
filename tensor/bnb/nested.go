package bnb

import (
	"math"
	"slices"
)

// Nested is the second level of statistics ("double quantisation"): the absmax
// of blocks, less their mean, as bytes in blocks of their own.
//
//	absmax[i] = level[code[i]]·nested_absmax[i/block] + offset
type Nested struct {
	Block  int       // absmax that share a nested one
	AbsMax []float32 // of the absmax
	Levels []float32 // of the 256 codes
	Offset float32
}

func (s *state) nested(parts map[string][]byte, blocks int) (*Nested, error) {
	n := &Nested{Block: s.NestedBlockSize}
	switch codes, absmax, levels := parts[AbsMax], parts[NestedAbsMax], parts[NestedQuantMap]; {
	case n.Block < 1:
		return nil, failure("nested_blocksize %d", n.Block)
	case s.NestedOffset == nil:
		return nil, failure("no nested_offset")
	case len(codes) != blocks:
		return nil, failure("%s of %d bytes, want %d", AbsMax, len(codes), blocks)
	case len(absmax) != 4*((blocks+n.Block-1)/n.Block):
		return nil, failure("%s of %d bytes, want %d float32", NestedAbsMax, len(absmax), (blocks+n.Block-1)/n.Block)
	case len(levels) != 4*256:
		return nil, failure("%s of %d bytes, want 256 float32", NestedQuantMap, len(levels))
	default:
		n.Offset = float32(*s.NestedOffset)
		n.AbsMax, n.Levels = floats(absmax), floats(levels)
		return n, nil
	}
}

// at is absmax i.
func (n *Nested) at(codes []byte, i int) float32 {
	return float32(n.Levels[codes[i]]*n.AbsMax[i/n.Block]) + n.Offset
}

// Decode brings codes back to the absmax they were made of, about.
func (n *Nested) Decode(codes []byte) []float32 {
	absmax := make([]float32, len(codes))
	for i := range codes {
		absmax[i] = n.at(codes, i)
	}
	return absmax
}

// Nest quantises absmax as quantize_4bit does with compress_statistics. The
// offset is their mean, exactly rounded: that of bitsandbytes is a sum in
// float32 whose order depends on the processor, and may differ in the last bits.
func Nest(absmax []float32) (codes []byte, n *Nested) {
	sum := 0.0
	for _, v := range absmax {
		sum += float64(v)
	}
	return NestAround(absmax, float32(sum/float64(len(absmax))))
}

// NestAround is Nest with an offset given.
func NestAround(absmax []float32, offset float32) (codes []byte, n *Nested) {
	n = &Nested{Block: 256, Levels: dynamic(), Offset: offset}
	for ; len(absmax) > 0; absmax = absmax[min(n.Block, len(absmax)):] {
		part := absmax[:min(n.Block, len(absmax))]
		top := float32(0)
		for _, v := range part {
			top = max(top, float32(math.Abs(float64(v-offset))))
		}
		n.AbsMax = append(n.AbsMax, top)
		for _, v := range part {
			codes = append(codes, nearest(n.Levels, (v-offset)/top))
		}
	}
	return codes, n
}

// nearest is the code of the level nearest to v.
func nearest(levels []float32, v float32) byte {
	i, _ := slices.BinarySearch(levels, v)
	if i == len(levels) || i > 0 && v-levels[i-1] < levels[i]-v {
		i--
	}
	return byte(i)
}

// dynamic are the levels of the 8-bit type that bitsandbytes uses for
// statistics (create_dynamic_map; Dettmers et al. 2022, 8-bit optimizers,
// section 1.3): a sign, and in each of seven decades the middles of 1 to 64
// equal parts, with 0 and 1. torch's differ in a last bit here and there,
// depending on the processor; what it stores has them beside it.
func dynamic() []float32 {
	levels := []float32{0, 1}
	for decade := range 7 {
		parts := 1 << decade
		power := float32(math.Pow10(decade - 6))
		for i := range parts {
			v := power * float32(0.1+0.9*(float64(i)+0.5)/float64(parts))
			levels = append(levels, v, -v)
		}
	}
	slices.Sort(levels)
	return levels
}
