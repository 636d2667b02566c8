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
	"math"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// Options are what a file is made with.
type Options struct {
	Mix        Mix
	Importance *Importance // what counts more of a row; nil: all counts alike
	Name       string      // of the importance matrix's file, for those who ask what it was
}

// version is general.quantization_version: GGML_QNT_VERSION of ggml.h, which
// changes when a block of an old type gets another layout.
const version = 2

// File is f with the types of a mix. It is read when the result is, and
// closing the result closes it.
func File(f *gguf.File, o Options) (*gguf.File, error) {
	types, err := o.Mix.Types(f, o.Importance != nil)
	if err != nil {
		return nil, err
	}
	tensors := make([]gguf.Tensor, len(f.Tensors))
	for i := range f.Tensors {
		if tensors[i], err = converted(&f.Tensors[i], types[i], o.Importance); err != nil {
			return nil, err
		}
	}
	return gguf.New(meta(f.Meta, o), tensors, f)
}

// meta are the keys of a file in its new types, without those of its shards.
func meta(old []gguf.KV, o Options) []gguf.KV {
	gone := func(kv gguf.KV) bool {
		return strings.HasPrefix(kv.Key, "split.") || strings.HasPrefix(kv.Key, "quantize.imatrix.") ||
			kv.Key == "general.file_type" || kv.Key == "general.quantization_version"
	}
	all := append(slices.DeleteFunc(slices.Clone(old), gone),
		gguf.KV{Key: "general.file_type", Value: o.Mix.FileType},
		gguf.KV{Key: "general.quantization_version", Value: uint32(version)})
	if m := o.Importance; m != nil { // as llama-quantize notes it
		all = append(all, gguf.KV{Key: "quantize.imatrix.file", Value: o.Name},
			gguf.KV{Key: "quantize.imatrix.dataset", Value: strings.Join(m.Texts, ", ")},
			gguf.KV{Key: "quantize.imatrix.entries_count", Value: uint32(m.Len())},
			gguf.KV{Key: "quantize.imatrix.chunks_count", Value: uint32(m.Chunks)})
	}
	return all
}

// rowsBytes is how much is decoded at a time, as float32.
const rowsBytes = 256 << 10

// converted is a tensor whose numbers have another type when they are wanted.
func converted(t *gguf.Tensor, to tensor.DType, importance *Importance) (gguf.Tensor, error) {
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
	weights, err := importance.weights(t)
	if err != nil {
		return gguf.Tensor{}, err
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
			for i := range n {
				encode(to, dst[i*size:(i+1)*size], x[i*cols:(i+1)*cols], rowWeights(weights, &src, row+i))
			}
			dst = dst[n*size:]
		}
		return nil
	}
	return gguf.Tensor{Name: t.Name, DType: to, Shape: t.Shape, Make: quantise}, nil
}

// encode makes a row of type d. How much a number counts is what w says (nil:
// all alike) times √(σ² + x²), where σ² is the mean square of the row: large
// numbers count more. This is ggml's rule for importance matrices, and it is
// good without one, too: it makes the errors' squares 1 to 2 % more, but of the
// demo model's divergence 20 % less for q2_k and q3_k, and 0 to 15 % less for
// others.
func encode(d tensor.DType, dst []byte, x, w []float32) {
	if !d.Searches() {
		d.Encode(dst, x)
		return
	}
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	square := float32(sum / float64(len(x)))
	weights := make([]float32, len(x))
	for i, v := range x {
		weights[i] = float32(math.Sqrt(float64(square + v*v)))
	}
	for i, v := range w {
		weights[i] *= v
	}
	d.Fit(dst, x, weights)
}

// rowWeights are those of a row: of the matrix that it is in.
func rowWeights(w []float32, t *gguf.Tensor, row int) []float32 {
	if w == nil {
		return nil
	}
	cols := t.Shape[len(t.Shape)-1]
	matrix := 0
	if len(t.Shape) > 2 {
		matrix = row / t.Shape[len(t.Shape)-2]
	}
	return w[matrix*cols:][:cols]
}

// infinite is true of numbers that no block can hold, and of NaN.
func infinite(v float32) bool { return v-v != 0 }
