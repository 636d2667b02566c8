package tensor

import (
	"fmt"
	"strings"
)

// A DType is a storage format of numbers. Its value is the type number of the
// GGUF format (ggml.h, enum ggml_type), so a file's types need no translation,
// or one that GGUF does not use.
//
// Quantised formats are ordinary types: numbers are stored in blocks of
// BlockLen numbers that take BlockBytes bytes. Nothing has an "element size".
type DType uint32

// Type numbers of ggml.h. Gaps are formats that ggml has removed.
const (
	F32     DType = 0
	F16     DType = 1
	Q4_0    DType = 2
	Q4_1    DType = 3
	Q5_0    DType = 6
	Q5_1    DType = 7
	Q8_0    DType = 8
	Q8_1    DType = 9
	Q2_K    DType = 10
	Q3_K    DType = 11
	Q4_K    DType = 12
	Q5_K    DType = 13
	Q6_K    DType = 14
	Q8_K    DType = 15
	IQ2_XXS DType = 16
	IQ2_XS  DType = 17
	IQ3_XXS DType = 18
	IQ1_S   DType = 19
	IQ4_NL  DType = 20
	IQ3_S   DType = 21
	IQ2_S   DType = 22
	IQ4_XS  DType = 23
	I8      DType = 24
	I16     DType = 25
	I32     DType = 26
	I64     DType = 27
	F64     DType = 28
	IQ1_M   DType = 29
	BF16    DType = 30
	TQ1_0   DType = 34
	TQ2_0   DType = 35
	MXFP4   DType = 39
	NVFP4   DType = 40
	Q1_0    DType = 41
	Q2_0    DType = 42
)

// Types of other libraries than ggml. They are like all others but that no
// file holds their numbers, which may therefore change: package gguf neither
// reads nor writes them.
const (
	NF4      DType = 56
	FP4      DType = 57
	LLM_INT8 DType = 58
)

// A Format describes one DType: one file a format, registered from its init.
type Format struct {
	DType      DType
	Name       string // lower case, as in GGUF tools: "q4_k"
	BlockLen   int    // numbers in a block
	BlockBytes int    // bytes of a block

	// Decode is the reference decoder: whole blocks of src to float32.
	// len(dst) is a multiple of BlockLen and src holds as many blocks.
	Decode func(dst []float32, src []byte)

	// Encode is the reference encoder, the inverse of Decode up to rounding.
	// It is nil for formats that cannot be written without a training set.
	Encode func(dst []byte, src []float32)

	// Fit is an encoder that searches for the blocks with the least sum of
	// weight·error²; a nil weight counts all numbers alike, else there are as
	// many as numbers. It is nil for formats that have nothing to search;
	// where Encode is nil, it is Fit without weights.
	Fit func(dst []byte, src, weight []float32)
}

// formats is indexed by type number: a look-up per operation has to be free.
var formats [64]*Format

// Register makes a format known. It panics on a second registration of a type
// number or name, and on a block that makes no sense.
func Register(f Format) {
	if f.BlockLen <= 0 || f.BlockBytes <= 0 || f.Name == "" || f.Decode == nil {
		panic("tensor: incomplete format " + f.Name)
	}
	if f.Encode == nil && f.Fit != nil {
		f.Encode = func(dst []byte, src []float32) { f.Fit(dst, src, nil) }
	}
	for _, g := range formats {
		if g != nil && (g.DType == f.DType || g.Name == f.Name) {
			panic("tensor: format registered twice: " + f.Name)
		}
	}
	formats[f.DType] = &f
}

// DTypes lists the registered types in the order of their numbers.
func DTypes() []DType {
	var all []DType
	for d, f := range formats {
		if f != nil {
			all = append(all, DType(d))
		}
	}
	return all
}

// aliases are the names that users of PyTorch and NumPy type.
var aliases = map[string]string{
	"float": "f32", "float32": "f32", "float16": "f16", "half": "f16", "bfloat16": "bf16",
	"double": "f64", "float64": "f64", "int8": "i8", "int16": "i16", "int": "i32", "int32": "i32",
	"long": "i64", "int64": "i64",
}

// ParseDType finds a type by its name in any case ("q4_k", "Q4_K") or by its
// PyTorch name ("float16").
func ParseDType(name string) (DType, error) {
	low := strings.ToLower(name)
	if a, ok := aliases[low]; ok {
		low = a
	}
	for d, f := range formats {
		if f != nil && f.Name == low {
			return DType(d), nil
		}
	}
	return 0, fmt.Errorf("tensor: unknown data type %q", name)
}

// Known says whether d is registered.
func (d DType) Known() bool { return int(d) < len(formats) && formats[d] != nil }

// Foreign says that GGUF has no such type.
func (d DType) Foreign() bool { return d >= NF4 }

// String is the type's name, or its number when it is not registered.
func (d DType) String() string {
	if !d.Known() {
		return fmt.Sprintf("type %d", uint32(d))
	}
	return formats[d].Name
}

// BlockLen is how many numbers one block holds: 1 for plain types.
func (d DType) BlockLen() int { return d.format().BlockLen }

// BlockBytes is how many bytes one block takes.
func (d DType) BlockBytes() int { return d.format().BlockBytes }

// Quantised says whether numbers share a block.
func (d DType) Quantised() bool { return d.format().BlockLen > 1 }

// Bytes is the size of n numbers; n must be a multiple of BlockLen.
func (d DType) Bytes(n int) int {
	f := d.format()
	if n%f.BlockLen != 0 {
		panic(fmt.Sprintf("tensor: %d numbers are no whole blocks of %s", n, f.Name))
	}
	return n / f.BlockLen * f.BlockBytes
}

// Size checks a shape that a user asks for and returns the bytes of its
// numbers: Bytes for what is not known to be right.
func (d DType) Size(shape []int) (int, error) {
	if !d.Known() {
		return 0, fmt.Errorf("unknown data type %s", d)
	}
	n := 1
	for _, s := range shape {
		if s < 0 || s > 0 && n > (1<<46)/s {
			return 0, fmt.Errorf("shape %v", shape)
		}
		n *= s
	}
	if b := d.BlockLen(); b > 1 && (len(shape) == 0 || shape[len(shape)-1]%b != 0) {
		return 0, fmt.Errorf("shape %v: rows of %s are multiples of %d", shape, d, b)
	}
	return d.Bytes(n), nil
}

// Decode converts whole blocks to float32. It panics when the lengths differ.
func (d DType) Decode(dst []float32, src []byte) {
	f := d.format()
	if n := d.Bytes(len(dst)); n != len(src) {
		panic(fmt.Sprintf("tensor: decode %s: %d bytes for %d numbers, want %d", f.Name, len(src), len(dst), n))
	}
	f.Decode(dst, src)
}

// CanEncode says whether Encode works: some formats need a training set.
func (d DType) CanEncode() bool { return d.format().Encode != nil }

// Encode converts float32 to whole blocks. It panics when the lengths differ
// or the format cannot be written.
func (d DType) Encode(dst []byte, src []float32) {
	f := d.format()
	if n := d.Bytes(len(src)); n != len(dst) {
		panic(fmt.Sprintf("tensor: encode %s: %d bytes for %d numbers, want %d", f.Name, len(dst), len(src), n))
	}
	f.Encode(dst, src)
}

// Fit is Encode with the least Σ weight·error² that a search finds, for
// formats that have one. The weights are not negative and as many as the
// numbers; nil counts all alike.
func (d DType) Fit(dst []byte, src, weight []float32) {
	f := d.format()
	if f.Fit == nil {
		d.Encode(dst, src)
		return
	}
	if n := d.Bytes(len(src)); n != len(dst) || weight != nil && len(weight) != len(src) {
		panic(fmt.Sprintf("tensor: fit %s: %d bytes and %d weights for %d numbers", f.Name, len(dst), len(weight), len(src)))
	}
	f.Fit(dst, src, weight)
}

// Searches says whether Fit does more than Encode.
func (d DType) Searches() bool { return d.format().Fit != nil }

func (d DType) format() *Format {
	if !d.Known() {
		panic("tensor: " + d.String() + " is not registered")
	}
	return formats[d]
}
