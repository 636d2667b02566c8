package lora

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// Merge is the base with an adapter's changes, times scale, in its weights: a
// view, whose numbers are made when they are wanted. A weight keeps its type
// where that can be written, and else becomes f16; one that was trained whole
// keeps the adapter's. Numbers that the type cannot hold are an error of who
// reads them. Closing the result closes both files.
func Merge(base, adapter *gguf.File, scale float32) (*gguf.File, error) {
	a, err := Read(adapter)
	if err != nil {
		return nil, err
	}
	if err := a.Check(base, adapter.Path); err != nil {
		return nil, err
	}
	if !finite(scale) || scale == 0 {
		return nil, fmt.Errorf("lora: merge with scale %g: want a number other than 0", scale)
	}
	m := &merger{base: base, tensors: slices.Clone(base.Tensors), scale: scale}
	m.untie(a)
	for _, t := range a.Whole {
		at := m.find(t.Name)
		name, shape := m.tensors[at].Name, m.tensors[at].Shape
		m.tensors[at] = *t
		m.tensors[at].Name, m.tensors[at].Shape = name, shape
	}
	for i := range a.Deltas {
		if err := m.merge(&a.Deltas[i]); err != nil {
			return nil, err
		}
	}
	f, err := gguf.New(base.Meta, m.tensors, base, adapter)
	if err != nil {
		return nil, err
	}
	f.Path = base.Path
	return f, nil
}

type merger struct {
	base    *gguf.File
	tensors []gguf.Tensor
	scale   float32
}

func (m *merger) find(name string) int {
	return slices.IndexFunc(m.tensors, func(t gguf.Tensor) bool { return t.Name == name })
}

// untie gives a model whose output is its embedding an output of its own, if
// one of the two changes.
func (m *merger) untie(a *Adapter) {
	ends := func(name string) bool { return name == "output.weight" || name == embedding }
	changes := slices.ContainsFunc(a.Deltas, func(d Delta) bool { return ends(d.Name) }) ||
		slices.ContainsFunc(a.Whole, func(t *gguf.Tensor) bool { return ends(t.Name) })
	if !changes || m.find("output.weight") >= 0 {
		return
	}
	t := m.tensors[m.find(embedding)]
	t.Name = "output.weight"
	m.tensors = append(m.tensors, t)
}

// merge changes the weight of d.
func (m *merger) merge(d *Delta) error {
	t := &m.tensors[m.find(d.Name)]
	f, err := d.factors()
	if err != nil {
		return err
	}
	from, s := *t, m.scale*d.Scale
	t.Data, t.DType = nil, written(from.DType)
	var gains []float32 // of DoRA: of rows, or of the embedding's columns
	if d.Magnitude != nil {
		if gains, err = d.gains(&from, s); err != nil {
			return err
		}
	}
	t.Make = func(dst []byte, row int) error {
		n := len(dst) / t.DType.Bytes(f.cols)
		w, err := floatRows(&from, row, row+n)
		if err != nil {
			return err
		}
		ba := make([]float32, len(w))
		f.change(ba, row)
		for i := range w {
			w[i] += s * ba[i]
			switch {
			case gains != nil && d.Embeds():
				w[i] *= gains[i%f.cols]
			case gains != nil:
				w[i] *= gains[row+i/f.cols]
			}
		}
		return encode(dst, w, t)
	}
	if d.Bias != nil {
		return m.mergeBias(d)
	}
	return nil
}

func (d *Delta) gains(w *gguf.Tensor, s float32) ([]float32, error) {
	l, err := d.Lengths(context.Background(), w)
	if err != nil {
		return nil, err
	}
	magnitude, err := Floats(d.Magnitude)
	if err != nil {
		return nil, err
	}
	return l.Gains(magnitude, s)
}

// mergeBias adds what d adds to the product's result to the bias of the base.
func (m *merger) mergeBias(d *Delta) error {
	name := strings.TrimSuffix(d.Name, ".weight") + ".bias"
	at := m.find(name)
	if at < 0 {
		return fmt.Errorf("lora: merge: the adapter adds a bias to %s (lora_bias), and the base has no %s to put it into; attach it instead", d.Name, name)
	}
	bias, err := Floats(&m.tensors[at])
	if err != nil {
		return err
	}
	more, err := Floats(d.Bias)
	if err != nil {
		return err
	}
	for i := range bias {
		bias[i] += m.scale * d.Scale * more[i]
	}
	t := &m.tensors[at]
	t.DType, t.Make = tensor.F32, nil
	t.Data = make([]byte, 4*len(bias))
	return encode(t.Data, bias, t)
}

// written is the type that a changed weight of type d gets.
func written(d tensor.DType) tensor.DType {
	if d.CanEncode() {
		return d
	}
	return tensor.F16
}

// encode writes numbers in t's type, if they all fit.
func encode(dst []byte, f []float32, t *gguf.Tensor) error {
	const maxF16 = 65504
	for _, x := range f {
		if !finite(x) || t.DType == tensor.F16 && (x > maxF16 || x < -maxF16) {
			return fmt.Errorf("merge: %g is too large for %s; take a smaller scale, or attach the adapter instead", x, t.DType)
		}
	}
	t.DType.Encode(dst, f)
	return nil
}
