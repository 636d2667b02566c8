package magics

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/gguf"
)

// demoFile is the demo, to be changed.
func demoFile(t *testing.T) *gguf.File {
	t.Helper()
	f, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func demoModel(t *testing.T) *engine.Model {
	t.Helper()
	m, err := engine.LoadFile(t.Context(), demoFile(t), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// saved is the path of a new file.
func saved(t *testing.T, f *gguf.File, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Write(file), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
