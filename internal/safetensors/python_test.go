package safetensors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// truth is what the safetensors package of Python reads from the files of
// testdata.
func truth(t *testing.T) map[string]truthFile {
	t.Helper()
	b, err := os.ReadFile("testdata/truth.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]truthFile{}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 6 {
		t.Fatalf("truth.json has %d files", len(all))
	}
	return all
}

type truthFile struct {
	Meta    [][2]string
	Tensors map[string]truthTensor
}

type truthTensor struct {
	DType string
	Shape []int
	Data  string // hex
}

// same compares a file with what Python reads.
func same(t *testing.T, f *File, want truthFile) {
	t.Helper()
	var meta [][2]string
	for _, kv := range f.Meta {
		meta = append(meta, [2]string{kv.Key, kv.Value})
	}
	if !slices.Equal(meta, want.Meta) {
		t.Errorf("metadata %q, want %q", meta, want.Meta)
	}
	if len(f.Tensors) != len(want.Tensors) {
		t.Errorf("%d tensors, want %d", len(f.Tensors), len(want.Tensors))
	}
	for name, w := range want.Tensors {
		x := f.Tensor(name)
		if x == nil {
			t.Errorf("no tensor %q", name)
			continue
		}
		if string(x.DType) != w.DType || !slices.Equal(x.Shape, w.Shape) || hex.EncodeToString(x.Data) != w.Data {
			t.Errorf("%q: %s %v %x, want %v", name, x.DType, x.Shape, x.Data, w)
		}
	}
}

// TestPythonsFiles reads what Python wrote, and writes the same bytes.
func TestPythonsFiles(t *testing.T) {
	seen := map[DType]bool{}
	for name, want := range truth(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			same(t, f, want)
			if f.Size() != int64(len(b)) || !slices.Equal(f.Paths(), []string{path}) {
				t.Errorf("%d bytes in %v, want %d", f.Size(), f.Paths(), len(b))
			}
			tensors := f.Sources()
			slices.Reverse(tensors)
			if name != "f6.safetensors" { // its order is ours
				Sort(tensors)
			} else {
				slices.Reverse(tensors)
			}
			var out bytes.Buffer
			if err := Write(&out, f.Meta, tensors); err != nil || !bytes.Equal(out.Bytes(), b) {
				t.Errorf("wrote %q (%v), Python %q", out.Bytes(), err, b)
			}
			for _, x := range f.Tensors {
				seen[x.DType] = true
			}
		})
	}
	for _, d := range dtypes {
		if !seen[d.name] {
			t.Errorf("no file has %s", d.name)
		}
	}
}

// python returns the interpreter that LLCUDA_PYTHON names, else the one of
// .venv at the module's root, else python3, if it has safetensors.
func python(t *testing.T) string {
	for _, name := range []string{os.Getenv("LLCUDA_PYTHON"), "../../.venv/bin/python", "python3"} {
		if name != "" && exec.Command(name, "-c", "import safetensors.numpy").Run() == nil {
			return name
		}
	}
	t.Skip("no Python with safetensors and numpy: make testdata, or name the interpreter in LLCUDA_PYTHON")
	return ""
}

// TestPythonReads writes each file of testdata and our shards, and has Python
// read them.
func TestPythonReads(t *testing.T) {
	name := python(t)
	dir := t.TempDir()
	var paths []string
	want := map[string]truthTensor{}
	for file, w := range truth(t) {
		f, err := Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sub := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := WriteFolder(sub, "model", f.Meta, f.Sources(), 20); err != nil {
			t.Fatal(err)
		}
		parts, _ := filepath.Glob(sub + "/*.safetensors")
		paths = append(paths, parts...)
		for k, v := range w.Tensors {
			want[filepath.Base(sub)+" "+k] = v
		}
	}
	const script = `
import json, os, sys, safetensors
out = {}
for path in sys.argv[1:]:
    for name, t in safetensors.deserialize(open(path, "rb").read()):
        key = os.path.basename(os.path.dirname(path)) + " " + name
        assert key not in out, key
        out[key] = {"dtype": t["dtype"], "shape": t["shape"], "data": bytes(t["data"]).hex()}
json.dump(out, sys.stdout)`
	out, err := exec.Command(name, append([]string{"-c", script}, paths...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]truthTensor{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(paths) < 20 || len(got) != len(want) {
		t.Errorf("%d files, %d tensors, want %d", len(paths), len(got), len(want))
	}
	for k, w := range want {
		if g := got[k]; g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || g.Data != w.Data {
			t.Errorf("%s: Python reads %v, want %v", k, g, w)
		}
	}
}

// TestPythonNumbers has NumPy read numbers that we wrote.
func TestPythonNumbers(t *testing.T) {
	name := python(t)
	path := filepath.Join(t.TempDir(), "x.safetensors")
	var out bytes.Buffer
	err := Write(&out, []KV{{"format", "pt"}}, []Source{
		Bytes("b", F32, []int{2, 1}, []byte{0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0}),
		Bytes("a", I16, []int{3}, []byte{1, 0, 0xff, 0xff, 0, 1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, out.Bytes())
	const script = `
import sys, numpy as np
from safetensors import safe_open
with safe_open(sys.argv[1], "np") as f:
    print(f.metadata(), [(k, str(f.get_tensor(k).dtype), f.get_tensor(k).tolist()) for k in sorted(f.keys())])`
	got, err := exec.Command(name, "-c", script, path).CombinedOutput()
	want := "{'format': 'pt'} [('a', 'int16', [1, -1, 256]), ('b', 'float32', [[1.5], [-2.0]])]"
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("%v: %s, want %s", err, got, want)
	}
}
