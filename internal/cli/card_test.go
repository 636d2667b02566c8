package cli

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/internal/cuda/emulator"
)

// emulated builds the driver of the emulated cards. It is not left in the
// environment: the other tests here are about the CPU.
var emulated = sync.OnceValues(func() (string, error) {
	err := emulator.Use()
	lib := os.Getenv("LLCUDA_LIBCUDA")
	os.Unsetenv("LLCUDA_LIBCUDA")
	return lib, err
})

// onCards runs the program on a machine with emulated cards: the kernels
// compiled for the host, behind a driver that is none (internal/cuda/emulator).
func onCards(t *testing.T, exe, memory string) func(args ...string) (string, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles all kernels for the host")
	}
	lib, err := emulated()
	if errors.Is(err, emulator.ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) (string, error) {
		cmd := exec.Command(exe, args...)
		cmd.Env = append(os.Environ(), "LLCUDA_LIBCUDA="+lib, "EMU_DEVICES=2", "EMU_MEMORY="+memory)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			err = errors.New(strings.TrimSpace(stderr.String()))
		}
		return string(out), err
	}
}

// TestCards: the whole way from the command line to the kernels and back.
func TestCards(t *testing.T) {
	exe := program(t)
	run := onCards(t, exe, "134217728")
	type text struct{ Tokens []int32 }
	infer := func(args ...string) (x text) {
		t.Helper()
		out, err := run(append([]string{"infer", "demo", "Once upon a time", "--max-tokens", "24", "--json"}, args...)...)
		if err != nil {
			t.Fatalf("infer %v: %v", args, err)
		}
		if err := json.Unmarshal([]byte(out), &x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	want := infer("--temperature", "0", "--device", "cpu")
	for _, args := range [][]string{{}, {"--device", "cuda:1"}, {"--gpu-layers", "2"}, {"--gpu-layers", "99", "--device", "cuda"}} {
		if got := infer(append(args, "--temperature", "0")...); !slices.Equal(got.Tokens, want.Tokens) {
			t.Errorf("%v: tokens %v, on the CPU %v", args, got.Tokens, want.Tokens)
		}
	}
	a, b, c := infer("--seed", "3"), infer("--seed", "3"), infer("--seed", "4")
	if !slices.Equal(a.Tokens, b.Tokens) || slices.Equal(a.Tokens, c.Tokens) {
		t.Errorf("seeds 3, 3 and 4: %v, %v, %v", a, b, c)
	}
	if out, err := run("infer", "demo", "x", "--device", "cuda:2"); err == nil || !strings.Contains(err.Error(), "no such card") {
		t.Errorf("a third card: %q, %v", out, err)
	}
	out, err := run("selftest", "--op", "scale,arg_max,top_k")
	if err != nil || strings.Count(out, " 0 failed, 0 not on this device") != 2 || !strings.Contains(out, "Emulated GPU, compute capability 8.0") {
		t.Errorf("selftest: %v\n%s", err, out)
	}
	var rows []benchResult
	if out, err = run("bench", "demo", "-p", "16", "-n", "4", "-r", "1", "--load", "--json"); err != nil || json.Unmarshal([]byte(out), &rows) != nil {
		t.Fatalf("bench: %v\n%s", err, out)
	}
	if len(rows) != 3 || !(rows[0].Seconds > 0 && rows[2].StreamRead > 0 && rows[2].HostMicros > 0 && rows[2].GBPerSecond > 0) || rows[2].Device != "cuda:0" {
		t.Errorf("bench: %+v", rows)
	}
	if out, err = run("gpu"); err != nil || !strings.Contains(out, "1 Emulated GPU  8.0, 4 SMs") || !strings.Contains(out, "cuda:1 runs sm_80 machine code") {
		t.Errorf("gpu: %v\n%s", err, out)
	}
	if out, err = run("gpu", "--watch", "1.1"); err != nil || strings.Count(out, "1 Emulated GPU  8.0") != 2 || strings.Contains(out, "\x1b") {
		t.Errorf("gpu --watch into a pipe: %v\n%q", err, out)
	}
	if out, err = run("doctor"); !strings.Contains(out, "cuda:0: Emulated GPU") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}

// TestCardTooSmall: what does not fit is refused with what would, and goes to
// the CPU where nobody insists.
func TestCardTooSmall(t *testing.T) {
	run := onCards(t, program(t), "16777216")
	_, err := run("infer", "demo", "Once", "--max-tokens", "2", "--gpu-layers", "4")
	if err == nil || !strings.Contains(err.Error(), "with 4 layers on GPUs needs") || !strings.Contains(err.Error(), "; take ") {
		t.Errorf("all layers: %v", err)
	}
	if out, err := run("infer", "demo", "Once", "--max-tokens", "2"); err != nil || out == "" {
		t.Errorf("as many as fit: %q, %v", out, err)
	}
}

// TestNotebooksOnCards executes the notebooks on an emulated card.
func TestNotebooksOnCards(t *testing.T) {
	run := onCards(t, program(t), "1073741824")
	for _, name := range []string{"gpu", "tensors", "gguf"} { // the others take minutes there
		path := "../../notebooks/" + name + ".ipynb"
		out := t.TempDir() + "/out.ipynb"
		if text, err := run("run", path, "--output", out); err != nil {
			t.Errorf("%s: %v\n%s", path, err, text)
			continue
		}
		checkOutputs(t, out)
	}
}
