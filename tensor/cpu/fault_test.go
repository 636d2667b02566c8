//go:build unix

package cpu

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/edsrzf/mmap-go"
	"github.com/llcuda/llcuda/tensor"
)

// TestTruncatedFile cuts a mapped file short under a placed weight: every way
// to its numbers is an error, and the process and the device live on.
func TestTruncatedFile(t *testing.T) {
	const n, k = 512, 1024
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, make([]byte, n*k*4), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mmap.Map(f, mmap.RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Unmap()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}

	dev := New(2)
	defer dev.Close()
	w, err := dev.Place("blk.0.ffn_up.weight", tensor.F32, []int{n, k}, m)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := dev.New(tensor.F32, 1, k)
	y, _ := dev.New(tensor.F32, 1, n)
	id, _ := dev.New(tensor.I32, 1)
	i32s(id)[0] = n - 1
	s := tensor.NewStream(dev)
	for name, do := range map[string]func(){
		"matmul": func() { s.MatMul(y, w, x) },
		"rows":   func() { s.Rows(x, w, id) },
		"add":    func() { s.Add(w, w, w) },
	} {
		do()
		var fault *FaultError
		if err := s.Sync(); !errors.As(err, &fault) {
			t.Errorf("%s: got %v, want a FaultError", name, err)
		}
	}
	var fault *FaultError
	if err := dev.Read(make([]byte, n*k*4), w); !errors.As(err, &fault) {
		t.Errorf("read: got %v, want a FaultError", err)
	}
	s.Scale(x, x, 2)
	if err := s.Sync(); err != nil {
		t.Errorf("after the faults: %v", err)
	}
}
