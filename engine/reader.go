package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// Bounds of what a file may claim. They are far above any model and so low
// that products of four of them fit into 63 bits.
const (
	maxLayers  = 1 << 12
	maxDim     = 1 << 20
	maxVocab   = 1 << 22
	maxContext = 1 << 24
)

// A reader takes hyper-parameters and weights out of a file and checks them.
// It remembers the first error, so that reading is a plain list; what it
// returns after an error has no meaning but does no harm.
type reader struct {
	f       *gguf.File
	arch    string
	vocab   int             // entries of the vocabulary
	context int             // as asked for; 0 is the default
	prefix  string          // of tensor names: "blk.3."
	used    map[string]bool // tensors that were asked for
	pending []weight
	err     error
}

// A weight is a tensor of the file, or some rows of one, that is to be placed
// on the device.
type weight struct {
	dst   []**tensor.Tensor
	name  string
	dtype tensor.DType
	shape []int
	data  []byte       // nil: rows of from
	from  *gguf.Tensor // that makes its numbers when they are wanted
	row   int
}

func (w *weight) bytes() int { return w.dtype.Bytes(tensor.Count(w.shape)) }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("engine: %w: "+format, append([]any{ErrModel}, args...)...)
	}
}

// must stands for a default: the key is required.
const must = -1

// int is an integer of the architecture within [lo, hi].
func (r *reader) int(key string, def, lo, hi int) int {
	key = r.arch + "." + key
	if !r.has(key, def == must) {
		return def
	}
	v, err := r.f.Int(key)
	if err != nil {
		r.fail("%w", err)
	}
	r.within(key, v, lo, hi)
	return int(v)
}

// perLayer is an integer that a file may also give once for each layer; layers
// that differ are not supported.
func (r *reader) perLayer(key string, layers, def, lo, hi int) int {
	all, err := r.f.Ints(r.arch + "." + key)
	if err != nil {
		return r.int(key, def, lo, hi)
	}
	key = r.arch + "." + key
	if len(all) != layers || len(all) == 0 {
		r.fail("key %q has %d entries, want %d, one a layer", key, len(all), layers)
		return def
	}
	if slices.Min(all) != slices.Max(all) {
		r.fail("key %q differs from layer to layer, which llcuda does not support", key)
	}
	r.within(key, all[0], lo, hi)
	return int(all[0])
}

// float is a finite number that is not negative.
func (r *reader) float(key string, def float64) float64 {
	key = r.arch + "." + key
	if !r.has(key, def == must) {
		return def
	}
	v, err := r.f.Float(key)
	if err != nil {
		r.fail("%w", err)
	}
	if math.IsNaN(v) || v < 0 || v > math.MaxFloat32 {
		r.fail("key %q is %g, want a finite number that is not negative", key, v)
	}
	return v
}

// positive is float above 0.
func (r *reader) positive(key string, def float64) float64 {
	v := r.float(key, def)
	if v == 0 {
		r.fail("key %q is 0, want more", r.arch+"."+key)
	}
	return v
}

func (r *reader) text(key, def string) string {
	v, err := r.f.StringOr(r.arch+"."+key, def)
	if err != nil {
		r.fail("%w", err)
	}
	return v
}

// has says whether a key can be read: it is there and nothing failed before.
func (r *reader) has(key string, required bool) bool {
	_, ok := r.f.Value(key)
	if !ok && required {
		r.fail("key %q is missing", key)
	}
	return ok && r.err == nil
}

func (r *reader) within(key string, v int64, lo, hi int) {
	if v < int64(lo) || v > int64(hi) {
		r.fail("key %q is %d, want %d to %d", key, v, lo, hi)
	}
}

// in makes the following tensors those of layer i.
func (r *reader) in(i int) { r.prefix = fmt.Sprintf("blk.%d.", i) }

// matrix takes a weight of any type.
func (r *reader) matrix(dst **tensor.Tensor, name string, rows, cols int) {
	r.rows(dst, name, rows, cols, 0, rows)
}

// rows takes the rows [lo, hi) of a weight (rows, cols).
func (r *reader) rows(dst **tensor.Tensor, name string, rows, cols, lo, hi int) {
	t := r.find(name, rows, cols)
	if t == nil {
		return
	}
	w := weight{dst: []**tensor.Tensor{dst}, name: t.Name, dtype: t.DType, shape: []int{hi - lo, cols}, from: t, row: lo}
	if t.Make == nil {
		w.data = t.Data[lo*t.RowBytes() : hi*t.RowBytes()]
	}
	r.pending = append(r.pending, w)
}

// vector takes a norm's or a bias's numbers as f32, the type that operations
// on them want.
func (r *reader) vector(dst **tensor.Tensor, name string, n int) {
	if t := r.find(name, n); t != nil {
		r.floats(dst, t, n)
	}
}

// floats takes the first n numbers of t, whole rows, as one row of f32.
func (r *reader) floats(dst **tensor.Tensor, t *gguf.Tensor, n int) {
	data, err := t.Numbers()
	if err != nil {
		r.fail("%w", err)
		return
	}
	if data = data[:t.DType.Bytes(n)]; t.DType != tensor.F32 {
		f := make([]float32, n)
		t.DType.Decode(f, data)
		data = make([]byte, 4*n)
		tensor.F32.Encode(data, f)
	}
	r.pending = append(r.pending, weight{dst: []**tensor.Tensor{dst}, name: t.Name, dtype: tensor.F32, shape: []int{n}, data: data})
}

// optional is vector for a tensor that may be absent.
func (r *reader) optional(dst **tensor.Tensor, name string, n int) {
	if r.f.Tensor(r.prefix+name) != nil {
		r.vector(dst, name, n)
	}
}

// share makes dst the tensor that the last call took, if it took one.
func (r *reader) share(dst **tensor.Tensor) {
	if n := len(r.pending); n > 0 {
		r.pending[n-1].dst = append(r.pending[n-1].dst, dst)
	}
}

// find returns a tensor of that shape, or fails.
func (r *reader) find(name string, shape ...int) *gguf.Tensor {
	name = r.prefix + name
	r.used[name] = true
	t := r.f.Tensor(name)
	switch {
	case r.err != nil:
		return nil
	case t == nil:
		r.fail("tensor %q is missing", name)
		return nil
	case !slices.Equal(trim(t.Shape), trim(shape)):
		r.fail("tensor %q has shape %v, want %v", name, t.Shape, shape)
		return nil
	case !t.DType.Known() || t.DType == tensor.I8 || t.DType == tensor.I16 || t.DType == tensor.I32 || t.DType == tensor.I64:
		r.fail("tensor %q has type %s, which is no type of weights", name, t.DType)
		return nil
	}
	return t
}

// nothingLeft fails when the file has tensors that nobody asked for: a model
// that has more than we compute would answer nonsense. Encoders of pictures
// beside a text model are no part of it.
func (r *reader) nothingLeft() {
	for i := range r.f.Tensors {
		name := r.f.Tensors[i].Name
		if !r.used[name] && !strings.HasPrefix(name, "v.") && !strings.HasPrefix(name, "mm.") {
			r.fail("tensor %q has no place in a model of architecture %s as llcuda knows it", name, r.arch)
		}
	}
}

// trim drops leading ones of a shape: files write (n) also as (1, n).
func trim(shape []int) []int {
	for len(shape) > 1 && shape[0] == 1 {
		shape = shape[1:]
	}
	return shape
}
