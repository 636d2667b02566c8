package magics

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkpointDir is a checkpoint of transformers: internal/checkpoint/testdata.
func checkpointDir(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs("../internal/checkpoint/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestLoadCheckpoint: the folder, a file in it, and its name among the folders
// are the model, which answers.
func TestLoadCheckpoint(t *testing.T) {
	dir := checkpointDir(t, "llama")
	t.Setenv("LLCUDA_MODELS", filepath.Dir(dir))
	for _, name := range []string{dir, filepath.Join(dir, "model.safetensors"), "llama-f32"} {
		in := newTestInterpreter(t)
		got := run(in, "%load "+name)
		if !strings.Contains(got, "loaded llama") || !strings.Contains(got, ": llama, ") || !strings.Contains(got, "parameters, ") {
			t.Fatal(got)
		}
		if got = run(in, "%infer --max-tokens 4 --temperature 0 hello"); !strings.Contains(got, "4 new tokens") {
			t.Error(got)
		}
		if got = run(in, "%unload"); strings.Contains(got, "Error") {
			t.Error(got)
		}
	}
	in := newTestInterpreter(t)
	if got := run(in, "%gguf show "+dir); !strings.Contains(got, `llama.block_count`) || !strings.Contains(got, "blk.1.attn_q.weight") {
		t.Error(got)
	}
	// Its rows are made when they are wanted.
	if got := run(in, "%gguf tensor "+dir+" blk.0.attn_q.weight --as W\n%tensor W.shape"); !strings.Contains(got, "32, 32") {
		t.Error(got)
	}
}

// TestLoadCheckpointRefused: what is not supported is said, and what to do.
func TestLoadCheckpointRefused(t *testing.T) {
	in := newTestInterpreter(t)
	for config, want := range map[string]string{
		`{"architectures":["MixtralForCausalLM"]}`: `: a model of architecture "MixtralForCausalLM" is not supported; llcuda has Gemma2ForCausalLM, `,
		`{`: ": config.json is no JSON object: unexpected EOF; the folder is damaged or incomplete: download it again, or save the model again",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := run(in, "%load "+dir); !strings.Contains(got, "ModelError: checkpoint: "+dir+want) {
			t.Error(got)
		}
	}
}

// TestLoadCheckpointFromHub: a repository that has nothing but a checkpoint.
func TestLoadCheckpointFromHub(t *testing.T) {
	dir := checkpointDir(t, "llama-rope") // in shards
	f, _ := newTestHub(t)
	files := map[string][]byte{}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	f.Others["meta/Tiny-Llama"] = files
	in := newTestInterpreter(t)
	got := run(in, "%load meta/Tiny-Llama")
	if !strings.Contains(got, "fetched Tiny-Llama from meta/Tiny-Llama: ") || !strings.Contains(got, "loaded Tiny-Llama: llama") {
		t.Fatal(got)
	}
	asked := len(f.Asked)
	if got := run(in, "%load meta/Tiny-Llama"); strings.Contains(got, "fetched") || !strings.Contains(got, "loaded Tiny-Llama") || len(f.Asked) != asked {
		t.Errorf("again: %s after %v", got, f.Asked[asked:])
	}
	if got := run(in, "%load Tiny-Llama --offline"); !strings.Contains(got, "loaded Tiny-Llama") {
		t.Error(got)
	}
}
