package kernels

import (
	"errors"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/cuda"
)

func TestCUBLASLeftOut(t *testing.T) {
	t.Setenv("LLCUDA_CUBLAS", "0")
	d := emulated(t)
	err := d.UseCUBLAS(true)
	if !errors.Is(err, cuda.ErrNoCUBLAS) || !strings.Contains(err.Error(), "LLCUDA_CUBLAS is 0") {
		t.Errorf("error %v", err)
	}
	if err := d.UseCUBLAS(false); err != nil {
		t.Error(err)
	}
}
