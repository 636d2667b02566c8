package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMain is llcuda itself where a test runs it as a process of its own. Else it
// keeps the models and the tokens of whoever runs the tests out of them, and the
// network.
func TestMain(m *testing.M) {
	if os.Getenv("LLCUDA_TEST_MAIN") != "" {
		os.Exit(Main(os.Args[1:]))
	}
	dir, err := os.MkdirTemp("", "llcuda-cli")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{"HF_HOME": dir, "HF_HUB_CACHE": "", "HF_TOKEN": "", "HF_ENDPOINT": "", "HF_HUB_OFFLINE": "1",
		"OLLAMA_MODELS": filepath.Join(dir, "ollama"), "LLAMA_CACHE": filepath.Join(dir, "llama.cpp")} {
		os.Setenv(name, value)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
