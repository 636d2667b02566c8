// Package quantize sees a model in other storage formats: File returns a view
// whose tensors are quantised when they are read, row by row, so that a model
// larger than the memory can be written, and one can be loaded in a smaller
// form without a file in between.
//
// Which tensor gets which type is a Mix; what counts more of a row, if it is
// known, an Importance.
package quantize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// Options are what a file is made with.
type Options struct {
	Mix Mix
}

// version is general.quantization_version: GGML_QNT_VERSION of ggml.h, which
// changes when a block of an old type gets another layout.
const version = 2

// File is f with the types of a mix. It is read when the result is, and
// closing the result closes it.
func File(f *gguf.File, o Options) (*gguf.File, error) {
	types, err := o.Mix.Types(f, false)
	if err != nil {
		return nil, err
	}
	tensors := make([]gguf.Tensor, len(f.Tensors))
	for i := range f.Tensors {
		if tensors[i], err = converted(&f.Tensors[i], types[i]); err != nil {
			return nil, err
		}
	}
	return gguf.New(meta(f.Meta, o), tensors, f)
}

// meta are the keys of a file in its new types, without those of its shards.
func meta(old []gguf.KV, o Options) []gguf.KV {
	gone := func(kv gguf.KV) bool {
		return strings.HasPrefix(kv.Key, "split.") || kv.Key == "general.file_type" || kv.Key == "general.quantization_version"
	}
	return append(slices.DeleteFunc(slices.Clone(old), gone),
		gguf.KV{Key: "general.file_type", Value: o.Mix.FileType},
		gguf.KV{Key: "general.quantization_version", Value: uint32(version)})
}

// rowsBytes is how much is decoded at a time, as float32.
const rowsBytes = 256 << 10

// converted is a tensor whose numbers have another type when they are wanted.
func converted(t *gguf.Tensor, to tensor.DType) (gguf.Tensor, error) {
	if t.DType == to {
		return *t, nil
	}
	cols := t.Shape[len(t.Shape)-1]
	switch {
	case !to.CanEncode():
		return gguf.Tensor{}, fmt.Errorf("quantize: tensor %q: %s cannot be written", t.Name, to)
	case cols%to.BlockLen() != 0:
		return gguf.Tensor{}, fmt.Errorf("quantize: tensor %q: rows of %d numbers are no whole blocks of %s", t.Name, cols, to)
	}
	src := *t
	quantise := func(dst []byte, row int) error {
		step := max(1, rowsBytes/(4*cols))
		x := make([]float32, step*cols)
		raw := make([]byte, step*src.RowBytes())
		for size := to.Bytes(cols); len(dst) > 0; row += step {
			n := min(step, len(dst)/size)
			if err := src.Read(raw[:n*src.RowBytes()], row); err != nil {
				return err
			}
			src.DType.Decode(x[:n*cols], raw[:n*src.RowBytes()])
			if i := slices.IndexFunc(x[:n*cols], infinite); i >= 0 {
				return fmt.Errorf("row %d, number %d is %g", row+i/cols, i%cols, x[i])
			}
			to.Fit(dst[:n*size], x[:n*cols], nil)
			dst = dst[n*size:]
		}
		return nil
	}
	return gguf.Tensor{Name: t.Name, DType: to, Shape: t.Shape, Make: quantise}, nil
}

// infinite is true of numbers that no block can hold, and of NaN.
func infinite(v float32) bool { return v-v != 0 }
