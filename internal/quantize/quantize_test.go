package quantize

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// small is a model of a few rows, of three types.
func small(t *testing.T) *gguf.File {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var tensors []gguf.Tensor
	add := func(name string, d tensor.DType, shape ...int) {
		x := make([]float32, tensor.Count(shape))
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		data := make([]byte, d.Bytes(len(x)))
		d.Encode(data, x)
		tensors = append(tensors, gguf.Tensor{Name: name, DType: d, Shape: shape, Data: data})
	}
	add("token_embd.weight", tensor.BF16, 5, 256)
	add("output_norm.weight", tensor.F32, 256)
	for i := range 8 {
		for _, name := range []string{"attn_q", "attn_v", "attn_output", "ffn_up"} {
			add(fmt.Sprintf("blk.%d.%s.weight", i, name), tensor.F16, 3, 256)
		}
		add(fmt.Sprintf("blk.%d.ffn_down.weight", i), tensor.Q8_0, 3, 288) // no multiple of 256
		add(fmt.Sprintf("blk.%d.ffn_norm.weight", i), tensor.F32, 256)
	}
	f, err := gguf.New([]gguf.KV{{Key: "general.architecture", Value: "llama"}, {Key: "llama.block_count", Value: uint32(8)},
		{Key: "general.file_type", Value: uint32(1)}, {Key: "split.count", Value: uint16(3)}}, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFile: of every mix, what is written holds each tensor in its type, as
// the type's encoder makes it row by row.
func TestFile(t *testing.T) {
	src := small(t)
	for _, m := range Mixes {
		f, err := File(src, Options{Mix: m})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.Write(&b); err != nil {
			t.Fatal(err)
		}
		got, err := gguf.Parse(b.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if v, err := got.Uint("general.file_type"); err != nil || v != uint64(m.FileType) {
			t.Errorf("%s: file type %d (%v), want %d", m.Name, v, err, m.FileType)
		}
		if v, err := got.Uint("general.quantization_version"); err != nil || v != 2 {
			t.Errorf("%s: quantization version %d (%v), want 2", m.Name, v, err)
		}
		for i := range got.Tensors {
			x, y := &src.Tensors[i], &got.Tensors[i]
			if x.Name != y.Name || !slices.Equal(x.Shape, y.Shape) {
				t.Fatalf("%s: tensor %d is %s%v, want %s%v", m.Name, i, y.Name, y.Shape, x.Name, x.Shape)
			}
			want := x.Data
			if x.DType != y.DType {
				all := make([]float32, x.Len())
				x.DType.Decode(all, x.Data)
				want = make([]byte, y.Bytes())
				cols := y.Shape[len(y.Shape)-1]
				for r := range y.Len() / cols {
					encode(y.DType, want[r*y.RowBytes():(r+1)*y.RowBytes()], all[r*cols:(r+1)*cols], nil)
				}
			}
			if !bytes.Equal(y.Data, want) {
				t.Errorf("%s: %s is not what %s makes of it", m.Name, x.Name, y.DType)
			}
		}
	}
}

// TestFileRefuses: numbers that are none are found, by name and place, before
// they become blocks of other numbers.
func TestFileRefuses(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		x := make([]float32, 4*256)
		x[700] = bad
		data := make([]byte, 4*len(x))
		tensor.F32.Encode(data, x)
		src, err := gguf.New([]gguf.KV{{Key: "general.architecture", Value: "llama"}},
			[]gguf.Tensor{{Name: "blk.0.ffn_up.weight", DType: tensor.F32, Shape: []int{4, 256}, Data: data}})
		if err != nil {
			t.Fatal(err)
		}
		m, _ := ParseMix("q4_k")
		f, err := File(src, Options{Mix: m})
		if err != nil {
			t.Fatal(err)
		}
		err = f.Write(&bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), `"blk.0.ffn_up.weight"`) || !strings.Contains(err.Error(), "row 2, number 188") {
			t.Errorf("%g: %v", bad, err)
		}
	}
}

func TestParseMix(t *testing.T) {
	for name, want := range map[string]string{"Q4_K_M": "q4_k_m", "q4_k": "q4_k_m", "fp16": "f16", "BF16": "bf16", "q2_k": "q2_k"} {
		if m, err := ParseMix(name); err != nil || m.Name != want {
			t.Errorf("%s is %s (%v), want %s", name, m.Name, err, want)
		}
	}
	if _, err := ParseMix("q4_q"); err == nil || !strings.Contains(err.Error(), "q4_k_s, q4_k_m") {
		t.Error(err)
	}
}
