package jupyter_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llcuda/llcuda/jupyter"
)

// golden.ipynb was written by Python's nbformat; loose.ipynb is the same
// notebook in one line, with texts unsplit.
func TestNotebookBytes(t *testing.T) {
	want, err := os.ReadFile("testdata/golden.ipynb")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"golden.ipynb", "loose.ipynb"} {
		nb, err := jupyter.ReadNotebook(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(nb.Bytes()), "\n"), strings.Split(string(want), "\n")); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
		path := filepath.Join(t.TempDir(), "out.ipynb")
		if err := nb.Write(path); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
			t.Errorf("%s: the file written is not the one wanted", name)
		}
	}
}

// Write keeps a link a link, and the permissions of the file.
func TestNotebookWrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file.ipynb"), filepath.Join(dir, "link.ipynb")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	nb := &jupyter.Notebook{}
	if err := nb.Write(link); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(link)
	if err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", fi.Mode(), err)
	}
	fi, err = os.Stat(file)
	if err != nil || fi.Mode().Perm() != 0o600 || fi.Size() != int64(len(nb.Bytes())) {
		t.Errorf("the file is %v, %d bytes, %v", fi.Mode(), fi.Size(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	if err := nb.Write(filepath.Join(dir, "none", "x.ipynb")); err == nil {
		t.Error("wrote into a folder that is not there")
	}
}

func TestNotebookRefused(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no JSON", `{`, "unexpected EOF"},
		{"two values", `{} {}`, "more than one"},
		{"a list", `[]`, "not a JSON object"},
		{"nbformat 3", `{"nbformat": 3}`, "nbconvert"},
		{"no cells", `{"nbformat": 4, "metadata": {}}`, "cells"},
		{"no metadata", `{"nbformat": 4, "cells": []}`, "metadata"},
		{"odd cell", `{"nbformat": 4, "metadata": {}, "cells": [7]}`, "cell 1"},
		{"no source", `{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "raw", "metadata": {}}]}`, "source"},
		{"odd source", `{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "raw", "metadata": {}, "source": [1]}]}`, "source"},
		{"no outputs", `{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, "source": ""}]}`, "outputs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nb, err := jupyter.ParseNotebook([]byte(c.in))
			if err == nil || nb != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want an error with %q", nb, err, c.want)
			}
		})
	}
}

func code(source string, tags ...any) *jupyter.NotebookCell {
	return &jupyter.NotebookCell{Type: "code", Source: source, Metadata: map[string]any{"tags": tags}}
}

func TestNotebookRun(t *testing.T) {
	nb := &jupyter.Notebook{Cells: []*jupyter.NotebookCell{
		{Type: "markdown", Source: "# A title\ntext"},
		code("print a\nprint b\neprint c\nprint d"),
		code("print gone\nclear wait\nshow x"),
		code("print gone\nclear\nprint kept"),
		code("update new"),
		code("fail here", "raises-exception"),
		code("fail never", "skip-execution"),
		code("result 7\nresult 8"),
		code("bad"),
		code("input name?"),
		code("print not reached"),
	}}
	var out strings.Builder
	err := nb.Run(context.Background(), echo{}, jupyter.RunOptions{Echo: &out})
	if err == nil || !strings.HasPrefix(err.Error(), "jupyter: cell 8: Error: input is not possible") {
		t.Fatalf("got error %v", err)
	}
	stream := func(name, text string) map[string]any {
		return map[string]any{"output_type": "stream", "name": name, "text": text}
	}
	display := func(text string) map[string]any {
		return map[string]any{"output_type": "display_data", "metadata": map[string]any{}, "data": map[string]any{"text/plain": text}}
	}
	shown := display("x")
	shown["data"] = map[string]any{"text/plain": "x", "text/html": "<b>x</b>", "image/png": "iVBORw=="}
	result := display("7")
	result["output_type"], result["execution_count"] = "execute_result", 6
	want := [][]map[string]any{
		nil,
		{stream("stdout", "a\nb\n"), stream("stderr", "c\n"), stream("stdout", "d\n")},
		{shown},
		{stream("stdout", "kept\n")},
		{display("new")},
		{{"output_type": "error", "ename": "Fail", "evalue": "here", "traceback": []any{"Fail: here"}}},
		nil,
		{result, display("8")},
		{stream("stderr", "display_data: json: unsupported type: func()\n")},
	}
	for i, w := range want {
		if diff := cmp.Diff(nb.Cells[i].Outputs, w); diff != "" {
			t.Errorf("outputs of cell at %d (-got +want):\n%s", i, diff)
		}
	}
	if n := nb.Cells[6].Count; n != 0 {
		t.Errorf("the skipped cell has number %d", n)
	}
	const echoed = `
A title

[1] │ print a
    │ print b
    │ eprint c
    │ print d
a
b
c
d
`
	summary := regexp.MustCompile(`\n8 cells in \d+\.\d\d s, 1 failed\n$`)
	if !strings.HasPrefix(out.String(), echoed) || !summary.MatchString(out.String()) {
		t.Errorf("echo is:\n%s", out.String())
	}
}

func TestNotebookRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	nb := &jupyter.Notebook{Cells: []*jupyter.NotebookCell{code("sleep 10000", "raises-exception")}}
	if err := nb.Run(ctx, echo{}, jupyter.RunOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context canceled", err)
	}
}

// What Run writes is valid to nbformat, and nbformat writes the same bytes.
func TestNotebookRunValid(t *testing.T) {
	python := venv(t)
	nb := &jupyter.Notebook{Cells: []*jupyter.NotebookCell{
		{Type: "markdown", ID: "m1", Source: "# A title\ntext"},
	}}
	for i, source := range []string{"print a\neprint b", "show x\nclear wait\nresult 1\nupdate 2", "fail x"} {
		c := code(source)
		c.ID = "c" + string(rune('1'+i))
		nb.Cells = append(nb.Cells, c)
	}
	nb.Run(context.Background(), echo{}, jupyter.RunOptions{})
	path := filepath.Join(t.TempDir(), "run.ipynb")
	if err := nb.Write(path); err != nil {
		t.Fatal(err)
	}
	const check = `
import sys, io, nbformat
path = sys.argv[1]
nb = nbformat.read(path, as_version=4)
nbformat.validate(nb)
f = io.StringIO(newline="")
nbformat.write(nb, f)
assert f.getvalue() == open(path, encoding="utf-8", newline="").read(), "nbformat writes it differently"
assert [len(c.outputs) for c in nb.cells[1:]] == [2, 2, 1], nb
`
	if out, err := exec.Command(python, "-c", check, path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// venv returns the Python of the clients' virtual environment.
func venv(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../.venv/bin/python")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Skip("no Jupyter clients: make testdata installs them in .venv")
	}
	return path
}
