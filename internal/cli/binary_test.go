package cli

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// program is the binary under test: the one that the Makefile built, or one
// that is built alike, without symbols.
func program(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("LLCUDA_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "llcuda")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "github.com/llcuda/llcuda").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestBinary: small enough to download in a cell, and it starts on Colab,
// which has glibc 2.35.
func TestBinary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads ELF files")
	}
	path := program(t)
	if st, err := os.Stat(path); err != nil || st.Size() >= 40<<20 {
		t.Errorf("size %d, want below 40 MiB (%v)", st.Size(), err)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.ImportedSymbols()
	if err != nil && len(symbols) > 0 {
		t.Fatal(err)
	}
	for _, s := range symbols {
		version, ok := strings.CutPrefix(s.Version, "GLIBC_2.")
		if !ok {
			continue
		}
		minor, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
		if err != nil || minor > 35 {
			t.Errorf("symbol %s needs glibc %s, at most 2.35 allowed", s.Name, s.Version)
		}
	}
}

// TestExitCodes: 0 done, 1 failed, 2 wrong usage.
func TestExitCodes(t *testing.T) {
	path := program(t)
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"version", []string{"version"}, 0},
		{"help", []string{"--help"}, 0},
		{"no such model", []string{"infer", "/no/such/file.gguf", "hello"}, 1},
		{"no such notebook", []string{"run", "/no/such/file.ipynb"}, 1},
		{"no argument", []string{"infer"}, 2},
		{"unknown command", []string{"fly"}, 2},
		{"unknown flag", []string{"version", "--fly"}, 2},
		{"embed without text", []string{"embed", "demo"}, 2},
		{"pull demo", []string{"pull", "demo"}, 2},
		{"bad flag value", []string{"bench", "demo", "-n", "many"}, 2},
		{"eval without ids", []string{"eval", "demo"}, 2},
		{"two texts", []string{"tokenize", "demo", "a", "--file", "b"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(path, c.args...)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("llcuda %s: exit code %d, want %d\n%s", strings.Join(c.args, " "), got, c.want, out)
			}
		})
	}
}
