package kernels

import (
	"slices"

	"github.com/llcuda/llcuda/tensor"
)

// dtypes are the types that there are kernels for.
func dtypes() []tensor.DType { return slices.DeleteFunc(tensor.DTypes(), tensor.DType.Foreign) }
