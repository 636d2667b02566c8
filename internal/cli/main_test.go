package cli

import (
	"os"
	"testing"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

// TestMain is llcuda itself where a test runs it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("LLCUDA_TEST_MAIN") != "" {
		os.Exit(Main(os.Args[1:]))
	}
	os.Exit(hubtest.Run(m))
}
