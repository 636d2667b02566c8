package hubtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Run is m.Run without the models and the tokens of whoever runs the tests, and
// without the network. The exit code is for os.Exit.
func Run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "llcuda-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for name, value := range map[string]string{"HF_HOME": dir, "HF_HUB_CACHE": "", "HF_TOKEN": "", "HF_ENDPOINT": "", "HF_HUB_OFFLINE": "1",
		"OLLAMA_MODELS": filepath.Join(dir, "ollama"), "LLAMA_CACHE": filepath.Join(dir, "llama.cpp")} {
		os.Setenv(name, value)
	}
	return m.Run()
}
