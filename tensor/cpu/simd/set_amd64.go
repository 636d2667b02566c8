package simd

import (
	"golang.org/x/sys/cpu"

	"github.com/llcuda/llcuda/tensor"
)

//go:generate sh -c "cd gen && for p in ints tiles floats; do go run . -part $p -out ../${p}_amd64.s -stubs ../${p}_amd64.go -pkg simd; done"

// sets are those that this machine can run, the best first. Every processor
// with AVX2 and FMA also has F16C.
var sets = func() []*set {
	all := []*set{{name: "go"}}
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA && x.HasOSXSAVE {
		all = append([]*set{avx2}, all...)
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512DQ && x.HasAVX512VNNI {
			all = append([]*set{vnni}, all...)
		}
	}
	return all
}()

var avx2 = &set{
	name:      "avx2",
	quantise:  quantiseAVX2,
	transpose: transposeAVX2,
	prefetch:  prefetch,
	gemm: [...]columns[gemmFunc]{
		tileFloats: {{6, gemmFloatAVX26}, {4, gemmFloatAVX24}, {2, gemmFloatAVX22}, {1, gemmFloatAVX21}},
		tileInts:   {{4, gemmAVX24}, {2, gemmAVX22}, {1, gemmAVX21}},
		tileMins:   {{4, gemmMinAVX24}, {2, gemmMinAVX22}, {1, gemmMinAVX21}},
	},
	ints: map[tensor.DType]*intFormat{
		tensor.Q4_0:   {tileInts, dots(dotQ40AVX21, dotQ40AVX22, dotQ40AVX24), unpackQ40},
		tensor.Q4_1:   {tileMins, dots(dotQ41AVX21, dotQ41AVX22, dotQ41AVX24), unpackQ41},
		tensor.Q5_0:   {tileInts, dots(dotQ50AVX21, dotQ50AVX22, dotQ50AVX24), unpackQ50},
		tensor.Q5_1:   {tileMins, dots(dotQ51AVX21, dotQ51AVX22, dotQ51AVX24), unpackQ51},
		tensor.Q8_0:   {tileInts, dots(dotQ80AVX21, dotQ80AVX22, dotQ80AVX24), unpackQ80},
		tensor.Q4_K:   {tileMins, dots(dotQ4KAVX21, dotQ4KAVX22, dotQ4KAVX24), unpackQ4K},
		tensor.Q5_K:   {tileMins, dots(dotQ5KAVX21, dotQ5KAVX22, dotQ5KAVX24), unpackQ5K},
		tensor.Q3_K:   {tileInts, dots(dotQ3KAVX21, dotQ3KAVX22, dotQ3KAVX24), unpackQ3K},
		tensor.IQ4_NL: {tileInts, dots(dotIQ4NLAVX21, dotIQ4NLAVX22, dotIQ4NLAVX24), unpackIQ4NL},
		tensor.IQ4_XS: {tileInts, dots(dotIQ4XSAVX21, dotIQ4XSAVX22, dotIQ4XSAVX24), unpackIQ4XS},
		tensor.Q6_K:   {tileInts, dots(dotQ6KAVX21, dotQ6KAVX22, dotQ6KAVX24), unpackQ6K},
	},
	dot: dots(dotF32AVX21, dotF32AVX22, dotF32AVX24),
	plain: map[tensor.DType]*plainFormat{
		tensor.F32:  {dots(dotF32AVX21, dotF32AVX22, dotF32AVX24), convertF32AVX2},
		tensor.F16:  {dots(dotF16AVX21, dotF16AVX22, dotF16AVX24), convertF16AVX2},
		tensor.BF16: {dots(dotBF16AVX21, dotBF16AVX22, dotBF16AVX24), convertBF16AVX2},
	},
}

var vnni = &set{
	name:      "avx512vnni",
	quantise:  quantiseAVX2,
	transpose: transposeAVX2,
	prefetch:  prefetch,
	gemm: [...]columns[gemmFunc]{
		tileFloats: {{12, gemmFloatAVX51212}, {8, gemmFloatAVX5128}, {4, gemmFloatAVX5124}, {2, gemmFloatAVX5122}, {1, gemmFloatAVX5121}},
		tileInts:   {{12, gemmAVX51212}, {8, gemmAVX5128}, {4, gemmAVX5124}, {2, gemmAVX5122}, {1, gemmAVX5121}},
		tileMins:   {{12, gemmMinAVX51212}, {8, gemmMinAVX5128}, {4, gemmMinAVX5124}, {2, gemmMinAVX5122}, {1, gemmMinAVX5121}},
	},
	ints: map[tensor.DType]*intFormat{
		tensor.Q4_0:   {tileInts, dots(dotQ40VNNI1, dotQ40VNNI2, dotQ40VNNI4), unpackQ40},
		tensor.Q4_1:   {tileMins, dots(dotQ41VNNI1, dotQ41VNNI2, dotQ41VNNI4), unpackQ41},
		tensor.Q5_0:   {tileInts, dots(dotQ50VNNI1, dotQ50VNNI2, dotQ50VNNI4), unpackQ50},
		tensor.Q5_1:   {tileMins, dots(dotQ51VNNI1, dotQ51VNNI2, dotQ51VNNI4), unpackQ51},
		tensor.Q8_0:   {tileInts, dots(dotQ80VNNI1, dotQ80VNNI2, dotQ80VNNI4), unpackQ80},
		tensor.Q4_K:   {tileMins, dots(dotQ4KVNNI1, dotQ4KVNNI2, dotQ4KVNNI4), unpackQ4K},
		tensor.Q5_K:   {tileMins, dots(dotQ5KVNNI1, dotQ5KVNNI2, dotQ5KVNNI4), unpackQ5K},
		tensor.Q3_K:   {tileInts, dots(dotQ3KVNNI1, dotQ3KVNNI2, dotQ3KVNNI4), unpackQ3K},
		tensor.IQ4_NL: {tileInts, dots(dotIQ4NLVNNI1, dotIQ4NLVNNI2, dotIQ4NLVNNI4), unpackIQ4NL},
		tensor.IQ4_XS: {tileInts, dots(dotIQ4XSVNNI1, dotIQ4XSVNNI2, dotIQ4XSVNNI4), unpackIQ4XS},
		tensor.Q6_K:   {tileInts, dots(dotQ6KVNNI1, dotQ6KVNNI2, dotQ6KVNNI4), unpackQ6K},
	},
	dot: dots(dotF32AVX21, dotF32AVX22, dotF32AVX24),
	plain: map[tensor.DType]*plainFormat{
		tensor.F32:  {dots(dotF32AVX21, dotF32AVX22, dotF32AVX24), convertF32AVX2},
		tensor.F16:  {dots(dotF16AVX21, dotF16AVX22, dotF16AVX24), convertF16AVX2},
		tensor.BF16: {dots(dotBF16AVX21, dotBF16AVX22, dotBF16AVX24), convertBF16AVX2},
	},
}

func dots(one, two, four dotFunc) columns[dotFunc] {
	return columns[dotFunc]{{4, four}, {2, two}, {1, one}}
}
