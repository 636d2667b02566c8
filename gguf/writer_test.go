package gguf

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

func write(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWriteSame: parse then write gives the same bytes, of files by gguf-py
// and by hand.
func TestWriteSame(t *testing.T) {
	files := map[string][]byte{"model": model(), "empty": file(0, 0).Bytes(), "unpadded": file(1, 0).tensor("x", 0, 0, 3).pad(32).data(12).Bytes(),
		"padded, no tensors": file(0, 1).key("k", typeUint8).put(uint8(1)).pad(32).Bytes()}
	names, _ := filepath.Glob("testdata/*.gguf")
	if len(names) != 4 {
		t.Fatal("testdata is not whole:", names)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	for name, b := range files {
		f, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := write(t, f); !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes became %d others", name, len(b), len(got))
		}
	}
}

// TestWriteModels does the same with real models, where there are some.
func TestWriteModels(t *testing.T) {
	dir := os.Getenv("LLCUDA_MODELS")
	if dir == "" {
		dir = "../.models"
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if len(names) == 0 {
		t.Skip("no models in " + dir + "; make testdata fetches some")
	}
	for _, name := range names {
		f, err := Open(name)
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Write(&same{r: want}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, _ := want.Stat(); f.Shards() == 1 && info.Size() != f.Size() {
			t.Errorf("%s: %d bytes, want %d", name, f.Size(), info.Size())
		}
		for _, p := range Check(f) {
			if p.Serious {
				t.Errorf("%s: %s", name, p)
			}
		}
		want.Close()
		f.Close()
	}
}

// same is a writer that wants what a reader gives.
type same struct{ r io.Reader }

func (s *same) Write(b []byte) (int, error) {
	want := make([]byte, len(b))
	if _, err := io.ReadFull(s.r, want); err != nil {
		return 0, err
	}
	if !bytes.Equal(b, want) {
		return 0, errors.New("other bytes")
	}
	return len(b), nil
}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	w.Add("general.architecture", "llama")
	w.Add(keyAlignment, uint32(64))
	w.Add("list", []uint16{1, 2})
	w.AddTensor("x", tensor.F32, []int{2, 3}, make([]byte, 24))
	chunks := 0
	w.AddTensorFunc("y", tensor.Q8_0, []int{3, 64}, func(dst io.Writer) error {
		for ; chunks < 6; chunks++ {
			if _, err := dst.Write(bytes.Repeat([]byte{byte(chunks)}, 34)); err != nil {
				return err
			}
		}
		return nil
	})
	if chunks != 0 {
		t.Error("the numbers were asked for before Close")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	y := f.Tensor("y")
	if f.Alignment() != 64 || y.Shape[0] != 3 || y.Shape[1] != 64 || y.Data[0] != 0 || y.Data[203] != 5 || b.Len()%64 != 0 {
		t.Errorf("alignment %d, y %v, %d bytes", f.Alignment(), y, b.Len())
	}
	if v, _ := f.Value("list"); !reflect.DeepEqual(v, []uint16{1, 2}) {
		t.Errorf("list is %v", v)
	}
	if err := w.Close(); err == nil {
		t.Error("closed twice")
	}
}

func TestWriterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *Writer) error
		want string
	}{
		"int":             {func(w *Writer) error { return w.Add("k", 1) }, `key "k": a int cannot be stored`},
		"nil":             {func(w *Writer) error { return w.Add("k", nil) }, "a <nil> cannot be stored"},
		"list of lists":   {func(w *Writer) error { return w.Add("k", [][]uint8{}) }, "cannot be stored"},
		"no key":          {func(w *Writer) error { return w.Add("", uint8(1)) }, "not a name"},
		"binary key":      {func(w *Writer) error { return w.Add("\xff", uint8(1)) }, "not a name"},
		"key twice":       {func(w *Writer) error { w.Add("k", uint8(1)); return w.Add("k", uint8(1)) }, `key "k": added twice`},
		"alignment":       {func(w *Writer) error { return w.Add(keyAlignment, uint32(3)) }, "is 3, want a power of two"},
		"alignment type":  {func(w *Writer) error { return w.Add(keyAlignment, uint64(32)) }, "is uint64, want uint32"},
		"no tensor name":  {func(w *Writer) error { return w.AddTensor("", 0, []int{1}, nil) }, "not a name"},
		"long name":       {func(w *Writer) error { return w.AddTensor(strings.Repeat("n", 64), 0, []int{1}, nil) }, "not a name"},
		"no dimensions":   {func(w *Writer) error { return w.AddTensor("x", 0, nil, nil) }, "0 dimensions"},
		"5 dimensions":    {func(w *Writer) error { return w.AddTensor("x", 0, []int{1, 1, 1, 1, 1}, nil) }, "5 dimensions"},
		"dimension 0":     {func(w *Writer) error { return w.AddTensor("x", 0, []int{0}, nil) }, "shape [0]"},
		"overflow":        {func(w *Writer) error { return w.AddTensor("x", 0, []int{1 << 40, 1 << 40}, nil) }, "shape [1099511627776"},
		"overflow of one": {func(w *Writer) error { return w.AddTensor("x", 0, []int{math.MaxInt}, nil) }, "shape [9223372036854775807]"},
		"half a block":    {func(w *Writer) error { return w.AddTensor("x", tensor.Q8_0, []int{2, 16}, nil) }, "rows of 16 numbers do not fit q8_0"},
		"type of no file": {func(w *Writer) error { return w.AddTensor("x", tensor.NF4, []int{2, 64}, nil) }, "nf4 is no type of GGUF"},
		"unknown type":    {func(w *Writer) error { return w.AddTensor("x", 4, []int{2, 16}, nil) }, "do not fit type 4"},
		"version":         {func(w *Writer) error { w.Version = 1; return w.Close() }, "version 1, want 2 or 3"},
		"too few numbers": {func(w *Writer) error { w.AddTensor("x", 0, []int{2}, make([]byte, 7)); return w.Close() }, "7 bytes of numbers, its shape has 8"},
		"source fails": {func(w *Writer) error {
			w.AddTensorFunc("x", 0, []int{2}, func(io.Writer) error { return io.ErrUnexpectedEOF })
			return w.Close()
		}, `tensor "x": unexpected EOF`},
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWriter(io.Discard)
			err := c.do(w)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if again := w.Close(); again == nil {
				t.Error("Close forgot the error")
			}
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriterDiskFull(t *testing.T) {
	w := NewWriter(full{})
	w.AddTensor("x", tensor.F32, []int{1 << 20}, make([]byte, 4<<20))
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Error(err)
	}
}
