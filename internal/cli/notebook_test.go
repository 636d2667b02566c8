package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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
			runNotebook(t, exe, alone(t, path), env)
		})
	}
}

// runNotebook executes a notebook without Jupyter, and wants it to succeed.
func runNotebook(t *testing.T, exe, path string, env []string) (shown string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.ipynb")
	cmd := exec.Command(exe, "run", path, "--output", out)
	cmd.Env = env
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("llcuda run: %v\n%s", err, b)
	}
	checkOutputs(t, out)
	return string(b)
}

// edited is a copy of a notebook with other words in its cells.
func edited(t *testing.T, path string, words ...string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(words); i += 2 {
		if !bytes.Contains(b, []byte(words[i])) {
			t.Fatalf("%s has no %q", path, words[i])
		}
	}
	path = filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(path, []byte(strings.NewReplacer(words...).Replace(string(b))), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// alone is a notebook that does not meet others of its kind on this machine.
func alone(t *testing.T, path string) string {
	t.Helper()
	switch filepath.Base(path) {
	case "remote.ipynb":
	case "unsloth.ipynb": // takes a folder beside it, and writes one file there
		robots, err := filepath.Abs("../../notebooks/robots")
		if err != nil {
			t.Fatal(err)
		}
		return edited(t, path, "!ls robots", "!ls "+robots, "--adapter robots", "--adapter "+robots, "robots.gguf", filepath.Join(t.TempDir(), "robots.gguf"))
	default:
		return path
	}
	var ports []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return edited(t, path, "8417", ports[0], "8418", ports[1], "/tmp/llcuda-remote", filepath.Join(t.TempDir(), "remote"))
}

// TestNotebookRemote points the one cell of the notebook that names servers at
// another one: of our own, or at LLCUDA_REMOTE.
func TestNotebookRemote(t *testing.T) {
	exe, env, address := program(t), os.Environ(), os.Getenv("LLCUDA_REMOTE")
	load := "%load " + address
	if address == "" {
		address = served(t, "demo")
		load = "%load " + address + " --key-env LLCUDA_TEST_KEY"
		env = append(env, "LLCUDA_TEST_KEY="+servedKey)
	}
	path := alone(t, "../../notebooks/remote.ipynb")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`%load http[^"]*(?: --as)`).FindString(string(b))
	shown := runNotebook(t, exe, edited(t, path, own, load+" --as"), env)
	for _, want := range []string{"at " + address, ": 9 of 9 lines answered · ", `"id":"short"`, "unloaded remote"} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in\n%s", want, shown)
		}
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
			cmd := exec.Command(python, "-c", script, alone(t, path), out)
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
