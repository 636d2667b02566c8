package bnb_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/safetensors"
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/bnb"
)

// weights.safetensors is made by ../testdata/make_bnb.py with bitsandbytes.

// entries are the tensors of a name: "" is the one of that name, the others
// lie under it.
func entries(t *testing.T, name string) (parts map[string][]byte) {
	t.Helper()
	f, err := safetensors.Open("testdata/weights.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	parts = map[string][]byte{}
	for _, e := range f.Tensors {
		if part, ok := strings.CutPrefix(e.Name, name); ok && (part == "" || part[0] == '.') {
			parts[strings.TrimPrefix(part, ".")] = e.Data
		}
	}
	if len(parts) == 0 {
		t.Fatalf("nothing under %s", name)
	}
	return parts
}

func floats(d tensor.DType, b []byte) []float32 {
	x := make([]float32, len(b)/d.BlockBytes()*d.BlockLen())
	d.Decode(x, b)
	return x
}

func four(t *testing.T, name string) (*bnb.Weight, map[string][]byte) {
	t.Helper()
	parts := entries(t, name)
	w, err := bnb.Four(parts[""], parts)
	if err != nil {
		t.Fatal(err)
	}
	return w, parts
}

// read reads all rows, one by one and together, and decodes them.
func read(t *testing.T, w *bnb.Weight) (data []byte, x []float32) {
	t.Helper()
	cols, rows := w.Shape[len(w.Shape)-1], tensor.Count(w.Shape[:len(w.Shape)-1])
	size := w.DType.Bytes(cols)
	data, one := make([]byte, rows*size), make([]byte, size)
	if err := w.Read(data, 0); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := w.Read(one, i); err != nil || !bytes.Equal(one, data[i*size:][:size]) {
			t.Fatalf("row %d alone is another: %v", i, err)
		}
	}
	return data, floats(w.DType, data)
}

func sameBits(t *testing.T, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	for i, w := range want {
		if math.Float32bits(got[i]) != math.Float32bits(w) {
			t.Fatalf("number %d is %g (%#x), want %g (%#x)", i, got[i], math.Float32bits(got[i]), w, math.Float32bits(w))
		}
	}
}

// TestFour: what is stored has bitsandbytes' numbers, to the bit, in the type
// that holds them.
func TestFour(t *testing.T) {
	for name, want := range map[string]tensor.DType{"nf4.f32": tensor.NF4, "nf4.nested": tensor.NF4, "nf4.128": tensor.NF4,
		"nf4.512": tensor.NF4, "nf4.4096": tensor.NF4, "nf4.32": tensor.F32, "nf4.odd": tensor.F32,
		"fp4.f32": tensor.FP4, "fp4.nested": tensor.FP4, "fp4.odd": tensor.F32} {
		t.Run(name, func(t *testing.T) {
			w, parts := four(t, name)
			if w.DType != want {
				t.Errorf("type %s, want %s", w.DType, want)
			}
			_, got := read(t, w)
			sameBits(t, got, floats(tensor.F32, parts["dequantised"]))
		})
	}
}

// TestHalves: of weights that were half precision, bitsandbytes makes half
// precision again; so does rounding.
func TestHalves(t *testing.T) {
	for _, form := range []string{"nf4", "fp4"} {
		for name, d := range map[string]tensor.DType{"f16": tensor.F16, "bf16": tensor.BF16} {
			t.Run(form+"/"+name, func(t *testing.T) {
				w, parts := four(t, form+"."+name)
				_, x := read(t, w)
				got := make([]byte, d.Bytes(len(x)))
				d.Encode(got, x)
				sameBits(t, floats(d, got), floats(d, parts["dequantised"]))
			})
		}
	}
}

// TestEncode: the encoders make the same bytes of the same numbers.
func TestEncode(t *testing.T) {
	inputs := entries(t, "x")
	for name, from := range map[string]tensor.DType{"f32": tensor.F32, "f16": tensor.F16, "bf16": tensor.BF16} {
		x := floats(from, inputs[name])
		for form, d := range map[string]tensor.DType{"nf4": tensor.NF4, "fp4": tensor.FP4} {
			t.Run(form+"/"+name, func(t *testing.T) {
				w, _ := four(t, form+"."+name)
				want, _ := read(t, w)
				got := make([]byte, len(want))
				d.Encode(got, x)
				for i := 0; i < len(got); i += 36 {
					if !bytes.Equal(got[i:i+36], want[i:i+36]) {
						t.Fatalf("block %d is\n%x, want\n%x", i/36, got[i:i+36], want[i:i+36])
					}
				}
			})
		}
		t.Run("int8/"+name, func(t *testing.T) {
			parts := entries(t, "int8."+name)
			q, absmax := bnb.QuantiseInt8(x, 128)
			sameBits(t, absmax, floats(tensor.F32, parts["SCB"]))
			if i := difference(q, parts[""]); i >= 0 {
				t.Errorf("number %d, %g of row %d, is %d, want %d", i, x[i], i/128, int8(q[i]), int8(parts[""][i]))
			}
		})
	}
}

func difference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// TestNested: codes and nested absmax are bitsandbytes' when the offset is. The
// offset and the levels are but for a last bit: torch's sums and linspace depend
// on the processor.
func TestNested(t *testing.T) {
	parts := entries(t, "statistics")
	absmax, offset := floats(tensor.F32, parts["absmax"]), floats(tensor.F32, parts["offset"])[0]
	codes, n := bnb.Nest(absmax)
	if d := math.Abs(float64(n.Offset - offset)); d > 3e-7*float64(offset) {
		t.Errorf("offset %g, want %g", n.Offset, offset)
	}
	codes, n = bnb.NestAround(absmax, offset)
	levels := floats(tensor.F32, parts["quant_map"])
	for i, want := range levels {
		if d := math.Abs(float64(n.Levels[i] - want)); d > 2.4e-7*math.Abs(float64(want)) {
			t.Errorf("level %d is %g, want %g", i, n.Levels[i], want)
		}
	}
	sameBits(t, n.AbsMax, floats(tensor.F32, parts["nested_absmax"]))
	if i := difference(codes, parts["codes"]); i >= 0 {
		t.Errorf("code %d, of %g, is %d, want %d", i, absmax[i]-offset, codes[i], parts["codes"][i])
	}
	n.Levels = levels // which differ in the last bits
	sameBits(t, n.Decode(codes), floats(tensor.F32, parts["dequantised"]))
}

func TestInt8(t *testing.T) {
	parts := entries(t, "int8.bf16")
	w, err := bnb.Int8(parts[""], parts["SCB"], []int{20, 128})
	if err != nil || w.DType != tensor.LLM_INT8 {
		t.Fatal(w, err)
	}
	want := floats(tensor.F32, parts["dequantised"])
	_, got := read(t, w)
	sameBits(t, got, want)

	// The first 100 of each row are no whole blocks.
	var q []byte
	var cut []float32
	for i := range 20 {
		q = append(q, parts[""][128*i:][:100]...)
		cut = append(cut, want[128*i:][:100]...)
	}
	w, err = bnb.Int8(q, parts["SCB"], []int{20, 100})
	if err != nil || w.DType != tensor.F32 {
		t.Fatal(w, err)
	}
	_, got = read(t, w)
	sameBits(t, got, cut)
}

func TestRefused(t *testing.T) {
	type parts = map[string][]byte
	q := make([]byte, 128)
	state := func(s string) parts {
		return parts{bnb.AbsMax: make([]byte, 16), bnb.State + "nf4": []byte(s)}
	}
	const good = `{"quant_type": "nf4", "blocksize": 64, "shape": [2, 128]`
	with := func(p parts, more parts) parts { maps.Copy(p, more); return p }
	nested := with(state(good+`, "nested_blocksize": 2, "nested_offset": 1}`), parts{bnb.AbsMax: q[:4], bnb.NestedAbsMax: q[:8],
		bnb.NestedQuantMap: make([]byte, 1024)})
	but := func(more parts) parts { return with(maps.Clone(nested), more) }
	for name, p := range map[string]parts{"plain": state(good + "}"), "nested": nested} {
		if _, err := bnb.Four(q, p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, p := range map[string]parts{
		"no entry quant_state.bitsandbytes__nf4 or fp4": {bnb.AbsMax: q[:16]},
		"two descriptions":                               with(state(good+"}"), parts{bnb.State + "fp4": []byte(`{"quant_type": "fp4"}`)}),
		`4-bit type "af4"`:                               {bnb.State + "af4": []byte(good + "}")},
		`says quant_type "fp4"`:                          state(`{"quant_type": "fp4"}`),
		"unexpected end of JSON":                         state(good),
		"blocksize 0, want":                              state(`{"quant_type": "nf4", "shape": [1]}`),
		"blocksize 16, want":                             state(`{"quant_type": "nf4", "blocksize": 16, "shape": [1]}`),
		"blocksize 96, want":                             state(`{"quant_type": "nf4", "blocksize": 96, "shape": [1]}`),
		"blocksize 8192, want":                           state(`{"quant_type": "nf4", "blocksize": 8192, "shape": [1]}`),
		"shape [], want 1 to 4":                          state(`{"quant_type": "nf4", "blocksize": 64, "shape": null}`),
		"shape [1 1 1 1 1], want 1 to 4":                 state(`{"quant_type": "nf4", "blocksize": 64, "shape": [1, 1, 1, 1, 1]}`),
		"shape [0 128]":                                  state(`{"quant_type": "nf4", "blocksize": 64, "shape": [0, 128]}`),
		"shape [-2 -128]":                                state(`{"quant_type": "nf4", "blocksize": 64, "shape": [-2, -128]}`),
		"shape [4294967296 4294967296]":                  state(`{"quant_type": "nf4", "blocksize": 64, "shape": [4294967296, 4294967296]}`),
		"128 bytes for [2 130] numbers of nf4, want 130": state(`{"quant_type": "nf4", "blocksize": 64, "shape": [2, 130]}`),
		"absmax of 12 bytes, want 4 float32":             with(state(good+"}"), parts{bnb.AbsMax: q[:12]}),
		"quant_map is not that of nf4":                   with(state(good+"}"), parts{bnb.QuantMap: q[:64]}),
		"nested_blocksize 0":                             but(state(good + `, "nested_offset": 1}`)),
		"no nested_offset":                               but(state(good + `, "nested_blocksize": 2}`)),
		"absmax of 16 bytes, want 4":                     but(parts{bnb.AbsMax: q[:16]}),
		"nested_absmax of 4 bytes, want 2":               but(parts{bnb.NestedAbsMax: q[:4]}),
		"nested_quant_map of 64 bytes, want 256":         but(parts{bnb.NestedQuantMap: q[:64]}),
	} {
		if w, err := bnb.Four(q, p); err == nil || w != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for want, try := range map[string]func() (*bnb.Weight, error){
		"8-bit weight of shape [128]":           func() (*bnb.Weight, error) { return bnb.Int8(q, q[:4], []int{128}) },
		"8-bit weight of shape [1 0]":           func() (*bnb.Weight, error) { return bnb.Int8(nil, q[:4], []int{1, 0}) },
		"8-bit weight of 128 bytes, want 3×64":  func() (*bnb.Weight, error) { return bnb.Int8(q, q[:12], []int{3, 64}) },
		"8-bit weight of 128 bytes, want 1×127": func() (*bnb.Weight, error) { return bnb.Int8(q, q[:4], []int{1, 127}) },
		"SCB of 4 bytes, want 2 float32":        func() (*bnb.Weight, error) { return bnb.Int8(q, q[:4], []int{2, 64}) },
	} {
		if w, err := try(); err == nil || w != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	w, err := bnb.Int8(q, q[:8], []int{2, 64})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ bytes, row int }{{68, -1}, {68, 2}, {136, 1}, {67, 0}} {
		if err := w.Read(make([]byte, c.bytes), c.row); err == nil {
			t.Errorf("%d bytes from row %d on were read", c.bytes, c.row)
		}
	}
}

// TestProduct: bitsandbytes' own products are as far from the exact ones as its
// arithmetic makes them; those of float32 are close.
func TestProduct(t *testing.T) {
	a := floats(tensor.F32, entries(t, "product")["a"])
	for _, form := range []string{"nf4", "fp4"} {
		w, parts := four(t, form+".product")
		_, x := read(t, w)
		rows, cols := w.Shape[0], w.Shape[1]
		exact := make([]float64, len(a)/cols*rows)
		for i := range exact {
			for c := range cols {
				exact[i] += float64(a[i/rows*cols+c]) * float64(x[i%rows*cols+c])
			}
		}
		for name, d := range map[string]tensor.DType{"float32": tensor.F32, "float16": tensor.F16, "bfloat16": tensor.BF16} {
			var diff, norm float64
			for i, y := range floats(d, parts[name]) {
				diff += (float64(y) - exact[i]) * (float64(y) - exact[i])
				norm += exact[i] * exact[i]
			}
			t.Logf("%s %s: bitsandbytes' product has an error of %.2g", form, name, diff/norm)
			if bound := map[string]float64{"float32": 1e-12, "float16": 1e-6, "bfloat16": 1e-4}[name]; !(diff/norm < bound) {
				t.Errorf("%s %s: error %g, not these numbers", form, name, diff/norm)
			}
		}
	}
}

// FuzzFour: what comes from a file is refused or read, within its bounds.
func FuzzFour(f *testing.F) {
	f.Add([]byte(`{"quant_type": "nf4", "blocksize": 64, "shape": [2, 128]}`), make([]byte, 128), make([]byte, 16), []byte(nil))
	f.Add([]byte(`{"quant_type": "nf4", "blocksize": 32, "shape": [3, 5], "nested_blocksize": 1, "nested_offset": 0.5}`), make([]byte, 8), make([]byte, 1), make([]byte, 4))
	f.Fuzz(func(t *testing.T, state, packed, absmax, nested []byte) {
		parts := map[string][]byte{bnb.State + "nf4": state, bnb.AbsMax: absmax, bnb.NestedAbsMax: nested, bnb.NestedQuantMap: make([]byte, 1024)}
		if len(nested) == 0 {
			delete(parts, bnb.NestedAbsMax)
		}
		w, err := bnb.Four(packed, parts)
		if err != nil {
			return
		}
		if n := tensor.Count(w.Shape); (n+1)/2 != len(packed) {
			t.Fatalf("%d bytes for %v", len(packed), w.Shape)
		}
		read(t, w)
	})
}

func ExampleFour() {
	absmax := binary.LittleEndian.AppendUint32(nil, math.Float32bits(2))
	w, err := bnb.Four(slices.Repeat([]byte{0xf0}, 32), map[string][]byte{
		bnb.AbsMax:        absmax,
		bnb.State + "nf4": []byte(`{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [1, 64]}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	row := make([]byte, w.DType.Bytes(64))
	if err := w.Read(row, 0); err != nil {
		fmt.Println(err)
		return
	}
	x := make([]float32, 64)
	w.DType.Decode(x, row)
	fmt.Println(w.DType, w.Shape, x[:4])
	// Output: nf4 [1 64] [2 -2 2 -2]
}
