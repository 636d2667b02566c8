// Package tensor is the contract between models and devices: storage formats
// (DType), dense tensors (Tensor), the seam that a device implements (Device),
// the order of operations (Stream) and a recorded step (Program).
//
// It computes nothing itself. Package tensor/cpu is the reference device.
package tensor

import "fmt"

// A Tensor is a dense, row-major array of numbers on one device. There are no
// strides: a view is a range of whole rows (Slice) or another shape of the
// same numbers (Reshape), and shares the memory of the tensor it came from.
//
// A Tensor made by Device.New is freed by Device.Free; views are never freed.
// Reading a tensor from several goroutines is safe, writing is not.
type Tensor struct {
	Name   string // for errors and profiles; may be empty
	DType  DType
	Shape  []int // outermost first; the last dimension is contiguous
	Device Device
	Data   []byte  // the numbers, where the host can read them; else nil
	Addr   uintptr // the numbers in the device's address space; 0 on the host
	Aux    any     // what the device keeps beside the numbers (a repacked form)
}

// Len is the number of numbers.
func (t *Tensor) Len() int { return Count(t.Shape) }

// Bytes is the size of the numbers.
func (t *Tensor) Bytes() int { return t.DType.Bytes(t.Len()) }

// Cols is the last dimension, 1 for a scalar.
func (t *Tensor) Cols() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Rows is the product of all dimensions but the last.
func (t *Tensor) Rows() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return Count(t.Shape[:len(t.Shape)-1])
}

// RowBytes is the size of one row.
func (t *Tensor) RowBytes() int { return t.DType.Bytes(t.Cols()) }

// Slice is the view of the entries [lo, hi) of the outermost dimension.
func (t *Tensor) Slice(lo, hi int) *Tensor {
	if len(t.Shape) == 0 || lo < 0 || hi < lo || hi > t.Shape[0] {
		panic(fmt.Sprintf("tensor: slice [%d:%d] of %s", lo, hi, t))
	}
	step := 0
	if t.Shape[0] > 0 {
		step = t.Bytes() / t.Shape[0]
	}
	if len(t.Shape) == 1 && t.DType.Quantised() && (lo%t.DType.BlockLen() != 0 || hi%t.DType.BlockLen() != 0) {
		panic(fmt.Sprintf("tensor: slice [%d:%d] cuts a block of %s", lo, hi, t))
	}
	v := *t
	v.Aux = nil
	v.Shape = append([]int{hi - lo}, t.Shape[1:]...)
	if len(t.Shape) == 1 {
		lo, hi, step = t.DType.Bytes(lo), t.DType.Bytes(hi), 1
	}
	if t.Data != nil {
		v.Data = t.Data[lo*step : hi*step : hi*step]
	}
	if t.Addr != 0 {
		v.Addr = t.Addr + uintptr(lo*step)
	}
	return &v
}

// Reshape is the view of the same numbers in another shape.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	if Count(shape) != t.Len() {
		panic(fmt.Sprintf("tensor: reshape of %s to %v", t, shape))
	}
	v := *t
	v.Shape = shape
	return &v
}

// String names the tensor, its type and its shape: "wq q4_k(2048, 2048)".
func (t *Tensor) String() string {
	if t == nil {
		return "no tensor"
	}
	s := t.DType.String() + "("
	for i, d := range t.Shape {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprint(d)
	}
	s += ")"
	if t.Name != "" {
		s = t.Name + " " + s
	}
	return s
}

// Count is the number of numbers of a shape: 1 for the empty shape.
func Count(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
