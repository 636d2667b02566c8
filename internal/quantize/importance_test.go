package quantize

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// TestReadImportance: both of llama.cpp's forms say the same, and what is
// written is read again.
func TestReadImportance(t *testing.T) {
	newer, err := ReadImportance("testdata/importance.gguf")
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again.gguf")
	var b bytes.Buffer
	if err := newer.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(again, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"testdata/importance.gguf", "testdata/importance.dat", again} {
		m, err := ReadImportance(path)
		if err != nil {
			t.Fatal(err)
		}
		if m.Chunks != 3 || !slices.Equal(m.Texts, []string{"text.txt"}) || m.Len() != 2 {
			t.Errorf("%s: %d chunks of %v, %d matrices", path, m.Chunks, m.Texts, m.Len())
		}
		for name, means := range map[string][]float32{"blk.0.attn_q.weight": {.4, .8, 1.2, 1.6}, "blk.0.ffn_up.weight": {6 / 4.5, 0, 3 / 4.5, 2}} {
			w, err := m.weights(&gguf.Tensor{Name: name, Shape: []int{8, 4}})
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range means {
				if math.Abs(float64(w[i]-want-floor)) > 1e-6 {
					t.Errorf("%s: %s: column %d counts %g, want %g", path, name, i, w[i], want+floor)
				}
			}
		}
		if w, err := m.weights(&gguf.Tensor{Name: "blk.0.attn_k.weight", Shape: []int{8, 4}}); w != nil || err != nil {
			t.Errorf("%s: %v of a matrix that it does not know (%v)", path, w, err)
		}
		if _, err := m.weights(&gguf.Tensor{Name: "blk.0.attn_q.weight", Shape: []int{4, 8}}); err == nil || !strings.Contains(err.Error(), "4 columns") {
			t.Errorf("%s: a matrix of 8 columns: %v", path, err)
		}
	}
}

func TestReadImportanceRefuses(t *testing.T) {
	dat, err := os.ReadFile("testdata/importance.dat")
	if err != nil {
		t.Fatal(err)
	}
	matrix := func(change func(tensors []gguf.Tensor) []gguf.Tensor) []byte {
		one := func(v float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)) }
		f, err := gguf.New(nil, change([]gguf.Tensor{{Name: "a.in_sum2", DType: tensor.F32, Shape: []int{1, 1}, Data: one(1)},
			{Name: "a.counts", DType: tensor.F32, Shape: []int{1, 1}, Data: one(1)}}))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	edit := func(at int, v uint32) []byte {
		b := bytes.Clone(dat)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "too short"},
		{"text", []byte("what is it?"), "too few"},
		{"none", make([]byte, 4), "no matrices"},
		{"cut", dat[:60], "too few"},
		{"cut behind the matrices", dat[:len(dat)-1], "too few"},
		{"negative length", edit(4, 1<<31), "too few"},
		{"long name", edit(4, 1<<30), "too few"},
		{"negative number", edit(35, math.Float32bits(-1)), "number 0 is -1"},
		{"no number", edit(35, 0x7fc00000), "number 0 is NaN"},
		{"infinite", edit(39, 0x7f800000), "number 1 is +Inf"},
		{"a model", matrix(func(x []gguf.Tensor) []gguf.Tensor { return nil }), "no matrices"},
		{"no counts", matrix(func(x []gguf.Tensor) []gguf.Tensor { return x[:1] }), "counts are missing"},
		{"halves", matrix(func(x []gguf.Tensor) []gguf.Tensor {
			x[0].DType, x[0].Data = tensor.F16, x[0].Data[:2]
			return x
		}), "f16 and f32, want f32"},
		{"more counts", matrix(func(x []gguf.Tensor) []gguf.Tensor {
			x[1].Shape, x[1].Data = []int{2, 1}, append(x[1].Data, x[1].Data...)
			return x
		}), "1 sums for 2 matrices"},
	} {
		path := filepath.Join(t.TempDir(), "m")
		if err := os.WriteFile(path, c.b, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadImportance(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := ReadImportance("testdata/none"); err == nil || !strings.Contains(err.Error(), "testdata/none") {
		t.Error(err)
	}
}

// TestImportance: bits go where they count: the columns that an importance
// matrix names come out better than without it, and the others may be worse.
func TestImportance(t *testing.T) {
	src := small(t)
	m := &Importance{sums: map[string]*columns{}}
	c := &columns{make([]float64, 256), []float64{1}}
	for i := range c.sum {
		c.sum[i] = 1
		if i%8 == 0 {
			c.sum[i] = 1000
		}
	}
	m.sums["blk.3.ffn_up.weight"] = c
	for _, name := range []string{"q2_k", "q3_k_s", "q4_0", "q4_1", "q4_k_s", "q5_0", "q5_1", "q5_k_s", "q6_k", "iq4_nl", "iq4_xs"} {
		mix, err := ParseMix(name)
		if err != nil {
			t.Fatal(err)
		}
		var loss [2]float64
		for i, o := range []Options{{Mix: mix}, {Mix: mix, Importance: m, Name: "m.gguf"}} {
			f, err := File(src, o)
			if err != nil {
				t.Fatal(err)
			}
			if v, _ := f.StringOr("quantize.imatrix.file", ""); v != o.Name {
				t.Errorf("%s: the file says its importance matrix is %q, want %q", name, v, o.Name)
			}
			x, y := decoded(t, src.Tensor("blk.3.ffn_up.weight")), decoded(t, f.Tensor("blk.3.ffn_up.weight"))
			for k := 0; k < len(x); k += 8 {
				e := float64(x[k]) - float64(y[k])
				loss[i] += e * e
			}
			if a, b := decoded(t, f.Tensor("blk.4.ffn_up.weight")), decoded(t, src.Tensor("blk.4.ffn_up.weight")); slices.Equal(a, b) {
				t.Errorf("%s: a matrix it does not know was left as it is", name)
			}
		}
		if loss[1] > 0.8*loss[0] {
			t.Errorf("%s: the squared error of what counts is %g with, %g without", name, loss[1], loss[0])
		}
	}
}

func decoded(t *testing.T, x *gguf.Tensor) []float32 {
	t.Helper()
	b := make([]byte, x.Bytes())
	if err := x.Read(b, 0); err != nil {
		t.Fatal(err)
	}
	v := make([]float32, x.Len())
	x.DType.Decode(v, b)
	return v
}
