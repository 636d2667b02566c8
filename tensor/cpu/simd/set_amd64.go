package simd

import (
	"golang.org/x/sys/cpu"

	"github.com/llcuda/llcuda/tensor"
)

//go:generate -command gen go run -C gen . -pkg simd
//go:generate gen -part ints -out ../ints_amd64.s -stubs ../ints_amd64.go
//go:generate gen -part tiles -out ../tiles_amd64.s -stubs ../tiles_amd64.go
//go:generate gen -part floats -out ../floats_amd64.s -stubs ../floats_amd64.go

// sets are those that this machine can run, the best first. Every processor
// with AVX2 and FMA also has F16C.
var sets = func() []*set {
	all := []*set{{name: "go"}}
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA && x.HasOSXSAVE {
		all = append([]*set{avx2}, all...)
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512DQ && x.HasAVX512VNNI && x.HasBMI2 {
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
		tileFloats: {{6, gemmFloatAVX2x6}, {4, gemmFloatAVX2x4}, {2, gemmFloatAVX2x2}, {1, gemmFloatAVX2x1}},
		tileInts:   {{4, gemmAVX2x4}, {2, gemmAVX2x2}, {1, gemmAVX2x1}},
		tileMins:   {{4, gemmMinAVX2x4}, {2, gemmMinAVX2x2}, {1, gemmMinAVX2x1}},
	},
	ints: map[tensor.DType]*intFormat{
		tensor.Q4_0:     {tileInts, dots(dotQ40AVX2x1, dotQ40AVX2x2, dotQ40AVX2x4), unpackQ40, nil},
		tensor.Q4_1:     {tileMins, dots(dotQ41AVX2x1, dotQ41AVX2x2, dotQ41AVX2x4), unpackQ41, nil},
		tensor.Q5_0:     {tileInts, dots(dotQ50AVX2x1, dotQ50AVX2x2, dotQ50AVX2x4), unpackQ50, nil},
		tensor.Q5_1:     {tileMins, dots(dotQ51AVX2x1, dotQ51AVX2x2, dotQ51AVX2x4), unpackQ51, nil},
		tensor.Q8_0:     {tileInts, dots(dotQ80AVX2x1, dotQ80AVX2x2, dotQ80AVX2x4), unpackQ80, nil},
		tensor.Q4_K:     {tileMins, dots(dotQ4KAVX2x1, dotQ4KAVX2x2, dotQ4KAVX2x4), unpackQ4K, nil},
		tensor.Q5_K:     {tileMins, dots(dotQ5KAVX2x1, dotQ5KAVX2x2, dotQ5KAVX2x4), unpackQ5K, nil},
		tensor.Q3_K:     {tileInts, dots(dotQ3KAVX2x1, dotQ3KAVX2x2, dotQ3KAVX2x4), unpackQ3K, nil},
		tensor.IQ4_NL:   {tileInts, dots(dotIQ4NLAVX2x1, dotIQ4NLAVX2x2, dotIQ4NLAVX2x4), unpackIQ4NL, nil},
		tensor.IQ4_XS:   {tileInts, dots(dotIQ4XSAVX2x1, dotIQ4XSAVX2x2, dotIQ4XSAVX2x4), unpackIQ4XS, nil},
		tensor.Q6_K:     {tileInts, dots(dotQ6KAVX2x1, dotQ6KAVX2x2, dotQ6KAVX2x4), unpackQ6K, nil},
		tensor.NF4:      {tileInts, dots(dotNF4AVX2x1, dotNF4AVX2x2, dotNF4AVX2x4), unpackNF4, nil},
		tensor.FP4:      {tileInts, dots(dotFP4AVX2x1, dotFP4AVX2x2, dotFP4AVX2x4), unpackFP4, nil},
		tensor.LLM_INT8: {tileInts, dots(dotINT8AVX2x1, dotINT8AVX2x2, dotINT8AVX2x4), unpackINT8, nil},
	},
	dot: dots(dotF32AVX2x1, dotF32AVX2x2, dotF32AVX2x4),
	plain: map[tensor.DType]*plainFormat{
		tensor.F32:  {dots(dotF32AVX2x1, dotF32AVX2x2, dotF32AVX2x4), convertF32AVX2},
		tensor.F16:  {dots(dotF16AVX2x1, dotF16AVX2x2, dotF16AVX2x4), convertF16AVX2},
		tensor.BF16: {dots(dotBF16AVX2x1, dotBF16AVX2x2, dotBF16AVX2x4), convertBF16AVX2},
	},
}

var vnni = &set{
	name:          "avx512vnni",
	quantise:      quantiseAVX2,
	quantiseBytes: quantiseBytesAVX2,
	transpose:     transposeAVX2,
	prefetch:      prefetch,
	gemm: [...]columns[gemmFunc]{
		tileFloats: {{12, gemmFloatAVX512x12}, {8, gemmFloatAVX512x8}, {4, gemmFloatAVX512x4}, {2, gemmFloatAVX512x2}, {1, gemmFloatAVX512x1}},
		tileInts:   {{12, gemmAVX512x12}, {8, gemmAVX512x8}, {4, gemmAVX512x4}, {2, gemmAVX512x2}, {1, gemmAVX512x1}},
		tileMins:   {{12, gemmMinAVX512x12}, {8, gemmMinAVX512x8}, {4, gemmMinAVX512x4}, {2, gemmMinAVX512x2}, {1, gemmMinAVX512x1}},
	},
	ints: map[tensor.DType]*intFormat{
		tensor.Q4_0:     {tileInts, dots(dotQ40VNNIx1, dotQ40VNNIx2, dotQ40VNNIx4), unpackQ40, nil},
		tensor.Q4_1:     {tileMins, dots(dotQ41VNNIx1, dotQ41VNNIx2, dotQ41VNNIx4), unpackQ41, nil},
		tensor.Q5_0:     {tileInts, dots(dotQ50VNNIx1, dotQ50VNNIx2, dotQ50VNNIx4), unpackQ50, nil},
		tensor.Q5_1:     {tileMins, dots(dotQ51VNNIx1, dotQ51VNNIx2, dotQ51VNNIx4), unpackQ51, nil},
		tensor.Q8_0:     {tileInts, dots(dotQ80VNNIx1, dotQ80VNNIx2, dotQ80VNNIx4), unpackQ80, nil},
		tensor.Q4_K:     {tileMins, dots(dotQ4KVNNIx1, dotQ4KVNNIx2, dotQ4KVNNIx4), unpackQ4K, dotQ4KBytes},
		tensor.Q5_K:     {tileMins, dots(dotQ5KVNNIx1, dotQ5KVNNIx2, dotQ5KVNNIx4), unpackQ5K, dotQ5KBytes},
		tensor.Q3_K:     {tileInts, dots(dotQ3KVNNIx1, dotQ3KVNNIx2, dotQ3KVNNIx4), unpackQ3K, nil},
		tensor.IQ4_NL:   {tileInts, dots(dotIQ4NLVNNIx1, dotIQ4NLVNNIx2, dotIQ4NLVNNIx4), unpackIQ4NL, nil},
		tensor.IQ4_XS:   {tileInts, dots(dotIQ4XSVNNIx1, dotIQ4XSVNNIx2, dotIQ4XSVNNIx4), unpackIQ4XS, nil},
		tensor.Q6_K:     {tileInts, dots(dotQ6KVNNIx1, dotQ6KVNNIx2, dotQ6KVNNIx4), unpackQ6K, dotQ6KBytes},
		tensor.NF4:      {tileInts, dots(dotNF4VNNIx1, dotNF4VNNIx2, dotNF4VNNIx4), unpackNF4, nil},
		tensor.FP4:      {tileInts, dots(dotFP4VNNIx1, dotFP4VNNIx2, dotFP4VNNIx4), unpackFP4, nil},
		tensor.LLM_INT8: {tileInts, dots(dotINT8VNNIx1, dotINT8VNNIx2, dotINT8VNNIx4), unpackINT8, nil},
	},
	dot: dots(dotF32AVX2x1, dotF32AVX2x2, dotF32AVX2x4),
	plain: map[tensor.DType]*plainFormat{
		tensor.F32:  {dots(dotF32AVX2x1, dotF32AVX2x2, dotF32AVX2x4), convertF32AVX2},
		tensor.F16:  {dots(dotF16AVX2x1, dotF16AVX2x2, dotF16AVX2x4), convertF16AVX2},
		tensor.BF16: {dots(dotBF16AVX2x1, dotBF16AVX2x2, dotBF16AVX2x4), convertBF16AVX2},
	},
}

func dots(one, two, four dotFunc) columns[dotFunc] {
	return columns[dotFunc]{{4, four}, {2, two}, {1, one}}
}
