package cuda

import (
	"errors"
	"testing"

	"github.com/llcuda/llcuda/internal/cuda/emulator"
)

// library is the emulated driver, without kernels.
func library(t *testing.T) string {
	t.Helper()
	lib, err := emulator.Build(t.TempDir())
	if errors.Is(err, emulator.ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lib
}
