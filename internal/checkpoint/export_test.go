package checkpoint

import (
	"fmt"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/safetensors"
)

// OpenFiles is Open of files in memory, with weights that are open.
func OpenFiles(files map[string][]byte, weights *safetensors.File) (*gguf.File, error) {
	m := &model{dir: "memory", weights: weights}
	m.bytes = func(name string, most int64) ([]byte, error) {
		if b := files[name]; int64(len(b)) > most {
			return nil, fmt.Errorf("%s has %d bytes, at most %d allowed", name, len(b), most)
		}
		return files[name], nil
	}
	if err := m.configure(); err != nil {
		return nil, m.fault(err)
	}
	f, err := m.view()
	if err != nil {
		return nil, m.fault(err)
	}
	return f, nil
}
