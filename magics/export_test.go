package magics

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

func TestExport(t *testing.T) {
	in, dir := newTestInterpreter(t), t.TempDir()
	t.Chdir(dir)
	if got := run(in, "%export x.gguf"); !strings.Contains(got, "no model loaded; try %load demo") {
		t.Errorf("without a model: %s", got)
	}
	run(in, "%load demo --silent")
	got := run(in, "%export small.gguf --type q4_k_m")
	if !strings.Contains(got, "wrote small.gguf: 2.6 MB, 3.9 M parameters, 5.37 bits each") || !strings.Contains(got, "%load small.gguf runs it") {
		t.Errorf("%s", got)
	}
	f, err := gguf.Open("small.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Tensor("blk.0.ffn_up.weight").DType.String(); d != "q4_k" {
		t.Errorf("ffn_up is %s", d)
	}
	f.Close()
	if got := run(in, "%export small.gguf --type q4_k_m"); !strings.Contains(got, "small.gguf is there already; --force writes over it") {
		t.Errorf("over a file: %s", got)
	}
	if got := run(in, "%load small.gguf\n%infer What is AI? --temperature 0 --max-tokens 5"); !strings.Contains(got, "Q4_K_M, 2.5 MB") || !strings.Contains(got, "Once upon a time") {
		t.Errorf("loaded again: %s", got)
	}
	if got := run(in, "%export small.gguf --force --type q3_k_m --model small"); !strings.Contains(got, "note: most weights were q4_k") {
		t.Errorf("twice quantised: %s", got)
	}
	if got := run(in, "%export 'a b.gguf' --model demo --split-max-size 2M"); !strings.Contains(got, `%load "a b-00001-of-00003.gguf" runs it`) {
		t.Errorf("in parts: %s", got)
	}
	for line, want := range map[string]string{
		"%export":                                        "want one file, got 0",
		"%export a.gguf b.gguf":                          "want one file, got 2",
		"%export a.bin":                                  "want a name that ends in .gguf",
		"%export a.gguf --type q9":                       `no type "q9"; there are q2_k_s`,
		"%export a.gguf --model nobody":                  "no loaded model is called nobody",
		"%export a.gguf --imatrix m.gguf":                "--imatrix goes with --type",
		"%export none/a.gguf":                            "no such file",
		"%export a.gguf --split-max-size 0":              "--split-max-size 0: want bytes",
		"%export a.gguf --type q4_0 --imatrix none.gguf": "importance matrix none.gguf",
	} {
		if got := run(in, line); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// TestExportInterrupted: what was there before is there after.
func TestExportInterrupted(t *testing.T) {
	in, dir := newTestInterpreter(t), t.TempDir()
	t.Chdir(dir)
	run(in, "%load demo --silent")
	if err := os.WriteFile("m.gguf", []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if got := runWith(ctx, in, &recorder{}, "%export m.gguf --type q4_k_m --force"); !strings.Contains(got, "KeyboardInterrupt") && !strings.Contains(got, "cancel") {
		t.Errorf("%s", got)
	}
	all, _ := filepath.Glob("*")
	hidden, _ := filepath.Glob(".*")
	if b, _ := os.ReadFile("m.gguf"); string(b) != "mine" || len(all) != 1 || len(hidden) != 0 {
		t.Errorf("m.gguf is %q; there are %v %v", b, all, hidden)
	}
}

// TestLoadQuantized: a model in a smaller form says so, and what it is asked
// for is what %export writes.
func TestLoadQuantized(t *testing.T) {
	in := newTestInterpreter(t)
	if got := run(in, "%load demo --quantize q5_0\n%infer What is AI? --temperature 0 --max-tokens 5"); !strings.Contains(got, "Q5_0, 2.8 MB") || !strings.Contains(got, "Once upon a time") {
		t.Errorf("%s", got)
	}
	if got := run(in, "%load demo --quantize q5"); !strings.Contains(got, `no type "q5"`) {
		t.Errorf("%s", got)
	}
}
