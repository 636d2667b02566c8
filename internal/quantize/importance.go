package quantize

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// An Importance says how much the columns of a model's matrices count: sums of
// the squares of what the matrices were multiplied by, while the model read a
// text. It is what llama.cpp calls an importance matrix (tools/imatrix).
type Importance struct {
	Texts  []string // file names of what was read
	Chunks int      // that were read
	Tokens int      // of a chunk

	sums map[string]*columns // by the matrix's name
}

// columns are the sums of a matrix, or of several in one tensor, one after the
// other.
type columns struct {
	sum   []float64 // Σx² of each column
	count []float64 // rows of x, for each matrix
}

// Len is how many matrices it knows.
func (m *Importance) Len() int { return len(m.sums) }

// weights are how much the columns of a tensor count, matrix after matrix; nil
// where nothing is known of it.
func (m *Importance) weights(t *gguf.Tensor) ([]float32, error) {
	if m == nil || m.sums[t.Name] == nil {
		return nil, nil
	}
	c, cols := m.sums[t.Name], t.Shape[len(t.Shape)-1]
	want := cols
	if len(t.Shape) > 2 {
		want *= t.Shape[len(t.Shape)-3]
	}
	switch {
	case len(c.sum) != want && kindOf(t.Name) == embedding:
		return nil, nil // of its product, of which others know nothing
	case len(c.sum) != want:
		return nil, fmt.Errorf("quantize: the importance matrix has %d columns for tensor %q%v; it belongs to another model", len(c.sum), t.Name, t.Shape)
	}
	w := make([]float32, len(c.sum))
	each := len(c.sum) / len(c.count)
	for i := range c.count {
		mean(w[i*each:(i+1)*each], c.sum[i*each:(i+1)*each], c.count[i])
	}
	return w, nil
}

// floor is what every column counts beside the mean: one that was never used by
// a text may be by another.
const floor = 1e-3

// mean sets w to the means of sums, beside the mean of all; where nothing was
// counted all are alike.
func mean(w []float32, sums []float64, count float64) {
	var all float64
	for _, v := range sums {
		all += v
	}
	all /= float64(len(sums))
	for i, v := range sums {
		w[i] = 1
		if count > 0 && all > 0 {
			w[i] = float32(v/all + floor)
		}
	}
}

// Keys and names of the newer form: llama.cpp's common/imatrix-loader.cpp.
const (
	keyTexts  = "imatrix.datasets"
	keyChunks = "imatrix.chunk_count"
	keyTokens = "imatrix.chunk_size"
	sumName   = ".in_sum2"
	countName = ".counts"
)

// Write writes m as a GGUF file of llama.cpp's form.
func (m *Importance) Write(w io.Writer) error {
	meta := []gguf.KV{{Key: "general.type", Value: "imatrix"}, {Key: keyTexts, Value: m.Texts},
		{Key: keyChunks, Value: uint32(m.Chunks)}, {Key: keyTokens, Value: uint32(m.Tokens)}}
	var tensors []gguf.Tensor
	for _, name := range slices.Sorted(maps.Keys(m.sums)) {
		c := m.sums[name]
		tensors = append(tensors,
			gguf.Tensor{Name: name + sumName, DType: tensor.F32, Shape: []int{len(c.count), len(c.sum) / len(c.count)}, Data: floats(c.sum)},
			gguf.Tensor{Name: name + countName, DType: tensor.F32, Shape: []int{len(c.count), 1}, Data: floats(c.count)})
	}
	f, err := gguf.New(meta, tensors)
	if err != nil {
		return err
	}
	return f.Write(w)
}

func floats(v []float64) []byte {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(float32(x)))
	}
	return b
}

// ReadImportance reads an importance matrix, in llama.cpp's GGUF form or in its
// older one (.dat).
func ReadImportance(path string) (*Importance, error) {
	m, err := readImportance(path)
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("quantize: importance matrix %s: %w", path, err)
	}
	return m, nil
}

func readImportance(path string) (*Importance, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var magic [4]byte
	if _, err := io.ReadFull(file, magic[:]); err != nil {
		return nil, fmt.Errorf("too short: %w", err)
	}
	if string(magic[:]) == "GGUF" {
		f, err := gguf.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return fromGGUF(f)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return fromDat(b)
}

// check refuses numbers that would make others of blocks.
func (m *Importance) check() error {
	if len(m.sums) == 0 {
		return errors.New("has no matrices")
	}
	for name, c := range m.sums {
		for _, list := range [][]float64{c.sum, c.count} {
			if i := slices.IndexFunc(list, func(v float64) bool { return !(v >= 0) || math.IsInf(v, 1) }); i >= 0 {
				return fmt.Errorf("%s: number %d is %g", name, i, list[i])
			}
		}
		if len(c.count) == 0 || len(c.sum) == 0 || len(c.sum)%len(c.count) != 0 {
			return fmt.Errorf("%s: %d sums for %d matrices", name, len(c.sum), len(c.count))
		}
	}
	return nil
}

func fromGGUF(f *gguf.File) (*Importance, error) {
	if kind, _ := f.StringOr("general.type", "imatrix"); kind != "imatrix" {
		return nil, fmt.Errorf("is a %s, want an importance matrix; llcuda imatrix makes one", kind)
	}
	m := &Importance{sums: map[string]*columns{}}
	m.Texts, _ = f.Strings(keyTexts)
	chunks, _ := f.UintOr(keyChunks, 0)
	tokens, _ := f.UintOr(keyTokens, 0)
	m.Chunks, m.Tokens = int(chunks), int(tokens)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		name, ok := strings.CutSuffix(t.Name, sumName)
		if !ok {
			continue
		}
		counts := f.Tensor(name + countName)
		if counts == nil {
			return nil, fmt.Errorf("%s: the counts are missing", name)
		}
		if t.DType != tensor.F32 || counts.DType != tensor.F32 {
			return nil, fmt.Errorf("%s: is %s and %s, want f32", name, t.DType, counts.DType)
		}
		m.sums[name] = &columns{numbers(t), numbers(counts)}
	}
	return m, nil
}

func numbers(t *gguf.Tensor) []float64 { return widen(t.Data) }

// widen reads float32s.
func widen(b []byte) []float64 {
	v := make([]float64, len(b)/4)
	for i := range v {
		v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return v
}

// fromDat reads the older form: the number of matrices; of each its name, the
// number of chunks and the mean squares times this number; then the number of
// chunks and the text's name, which may be missing.
func fromDat(b []byte) (*Importance, error) {
	r := &datReader{b: b}
	m := &Importance{sums: map[string]*columns{}}
	for range r.int() {
		name := string(r.take(r.int()))
		chunks, n := r.int(), r.int()
		sums := r.take(4 * n)
		switch {
		case r.short:
			return nil, fmt.Errorf("%d bytes are too few, or it is no importance matrix", len(b))
		case name == "" || n == 0 || m.sums[name] != nil:
			return nil, fmt.Errorf("matrix %q of %d columns: twice, or none", name, n)
		}
		m.sums[name] = &columns{widen(sums), []float64{float64(max(chunks, 1))}}
	}
	if len(r.b) > 0 {
		m.Chunks = r.int()
		if text := string(r.take(r.int())); text != "" {
			m.Texts = []string{text}
		}
	}
	if r.short {
		return nil, fmt.Errorf("%d bytes are too few, or it is no importance matrix", len(b))
	}
	return m, nil
}

// A datReader takes numbers from the front of bytes; short says that there were
// too few, or a negative one.
type datReader struct {
	b     []byte
	short bool
}

func (r *datReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.short, r.b, n = true, nil, 0
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *datReader) int() int {
	b := r.take(4)
	if r.short {
		return 0
	}
	n := int32(binary.LittleEndian.Uint32(b))
	if n < 0 {
		r.short = true
		return 0
	}
	return int(n)
}
