package kernels

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/llcuda/llcuda/internal/cuda/emulator"
)

// All tests run on a card that is not there, with the kernels compiled for the
// host. LLCUDA_LIBCUDA names another driver: libcuda.so.1 is the machine's.
func TestMain(m *testing.M) {
	if err := emulator.Use(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, emulator.ErrNoCompiler) {
			fmt.Fprintln(os.Stderr, "kernels: tests of the device are skipped")
		}
	}
	os.Exit(m.Run())
}

// emulated opens device 0 for a test.
func emulated(t testing.TB) *Device {
	t.Helper()
	if os.Getenv("LLCUDA_LIBCUDA") == "" {
		t.Skip("no emulated GPU: g++ is not there")
	}
	d, err := Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
