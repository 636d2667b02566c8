package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// notebooks are the example notebooks, which are also acceptance tests.
func notebooks(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("../../notebooks/*.ipynb")
	if err != nil || len(all) < 3 {
		t.Fatalf("notebooks: %v, %v", all, err)
	}
	return all
}

// needs is the model that a notebook loads besides the embedded one.
var needs = map[string]string{"embed.ipynb": "all-minilm-l6-v2.gguf"}

// withModel is the environment for a notebook, which is skipped where its model
// is not.
func withModel(t *testing.T, path string) []string {
	t.Helper()
	dir := os.Getenv("LLCUDA_MODELS")
	if dir == "" {
		dir, _ = filepath.Abs("../../.models")
	}
	if name := needs[filepath.Base(path)]; name != "" {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Skipf("no model: %v; make testdata fetches it", err)
		}
	}
	return append(os.Environ(), "LLCUDA_MODELS="+dir)
}

// TestNotebooksHeadless executes every notebook without Jupyter.
func TestNotebooksHeadless(t *testing.T) {
	exe := program(t)
	for _, path := range notebooks(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			env := withModel(t, path)
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out.ipynb")
			cmd := exec.Command(exe, "run", path, "--output", out)
			cmd.Env = env
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("llcuda run: %v\n%s", err, b)
			}
			checkOutputs(t, out)
		})
	}
}

// TestNotebooksJupyter executes every notebook in the kernel, driven by
// nbclient, as JupyterLab would.
func TestNotebooksJupyter(t *testing.T) {
	python, err := filepath.Abs("../../.venv/bin/python")
	if err == nil {
		_, err = os.Stat(python)
	}
	if err != nil {
		t.Skip("no Jupyter clients; `make testdata` installs them into .venv")
	}
	exe, prefix := program(t), t.TempDir()
	if b, err := exec.Command(exe, "install", "--prefix", prefix).CombinedOutput(); err != nil {
		t.Fatalf("llcuda install: %v\n%s", err, b)
	}
	const script = `
import sys, nbformat, nbclient
nb = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(nb, timeout=300).execute()
nbformat.validate(nb)
nbformat.write(nb, sys.argv[2])
`
	for _, path := range notebooks(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			env := withModel(t, path)
			out := filepath.Join(t.TempDir(), "out.ipynb")
			cmd := exec.Command(python, "-c", script, path, out)
			cmd.Env = append(env, "JUPYTER_PATH="+filepath.Join(prefix, "share", "jupyter"))
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("nbclient: %v\n%s", err, b)
			}
			checkOutputs(t, out)
		})
	}
}

// TestNotebooksCommitted: the notebooks show outputs to who only reads them.
func TestNotebooksCommitted(t *testing.T) {
	for _, path := range notebooks(t) {
		t.Run(filepath.Base(path), func(t *testing.T) { checkOutputs(t, path) })
	}
}

// checkOutputs wants outputs somewhere, and an error nowhere.
func checkOutputs(t *testing.T, path string) {
	t.Helper()
	var nb struct {
		Metadata struct {
			Kernelspec struct{ Name string }
		}
		Cells []struct {
			Source  any
			Outputs []struct {
				OutputType string `json:"output_type"`
				EName      string
				EValue     string
			}
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &nb); err != nil {
		t.Fatal(err)
	}
	if nb.Metadata.Kernelspec.Name != "llcuda" {
		t.Errorf("kernelspec %q, want llcuda", nb.Metadata.Kernelspec.Name)
	}
	n := 0
	for _, c := range nb.Cells {
		for _, o := range c.Outputs {
			n++
			if o.OutputType == "error" {
				t.Errorf("cell %v: %s: %s", c.Source, o.EName, o.EValue)
			}
		}
	}
	if n == 0 {
		t.Error("no outputs")
	}
}
