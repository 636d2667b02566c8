package cpu

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// view is b as numbers of another type. New and Place align tensors to eight
// bytes at least, and views of tensors start at whole numbers.
func view[T any](b []byte) []T {
	var one T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(one)))
}

func f32s(t *tensor.Tensor) []float32 { return view[float32](t.Data) }
func i32s(t *tensor.Tensor) []int32   { return view[int32](t.Data) }

// bytesOf is x as bytes.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

// addr is where b lies. It only names memory that a compiled program keeps
// alive; nothing is read through it.
func addr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
