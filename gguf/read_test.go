package gguf

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

type closer struct{ closed int }

func (c *closer) Close() error { c.closed++; return nil }

func TestMake(t *testing.T) {
	const rows, cols = 700, 1024 // pieces do not fit evenly
	data := make([]byte, rows*cols*4)
	for i := range data {
		data[i] = byte(i * 7 / 5)
	}
	asked := func(dst []byte, row int) error {
		copy(dst, data[row*cols*4:])
		return nil
	}
	shape := []int{7, 100, cols}
	under := &closer{}
	made, err := New([]KV{{"general.architecture", "x"}}, []Tensor{{Name: "w", DType: tensor.F32, Shape: shape, Make: asked}}, under)
	if err != nil {
		t.Fatal(err)
	}
	held, _ := New(made.Meta, []Tensor{{Name: "w", DType: tensor.F32, Shape: shape, Data: data}})
	if got, want := made.Size(), int64(len(data)); got != want || held.Size() != want {
		t.Errorf("sizes %d and %d, want %d", got, held.Size(), want)
	}
	for _, f := range []*File{made, held} {
		for _, r := range [][2]int{{0, rows}, {3, 4}, {1, 600}, {rows - 1, rows}} {
			dst := make([]byte, (r[1]-r[0])*cols*4)
			if err := f.Tensors[0].Read(dst, r[0]); err != nil || !bytes.Equal(dst, data[r[0]*cols*4:r[1]*cols*4]) {
				t.Errorf("rows %v differ (%v)", r, err)
			}
		}
	}
	var a, b bytes.Buffer
	if err := errors.Join(made.Write(&a), held.Write(&b)); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("files differ (%v)", err)
	}
	if f, err := Parse(a.Bytes()); err != nil || !bytes.Equal(f.Tensors[0].Data, data) || !slices.Equal(f.Tensors[0].Shape, shape) {
		t.Errorf("what was written reads differently (%v)", err)
	}
	if err := errors.Join(made.Close(), made.Close()); err != nil || under.closed != 1 {
		t.Errorf("closed %d times (%v), want once", under.closed, err)
	}
}

func TestMakeFails(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func() error{
		"error": func() error { return broken },
		"fault": func() error { return ErrFileChanged },
	} {
		want := fail()
		f, err := New(nil, []Tensor{{Name: "w", DType: tensor.F32, Shape: []int{9000, 256}, Make: func(dst []byte, row int) error {
			if row+len(dst)/1024 > 8000 {
				return fail()
			}
			return nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Tensors[0].Read(make([]byte, 9000*1024), 0); !errors.Is(err, want) {
			t.Errorf("%s: read gives %v", name, err)
		}
		if err := f.Write(io.Discard); !errors.Is(err, want) {
			t.Errorf("%s: write gives %v", name, err)
		}
	}
}
