package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunFolder: cells are in the notebook's folder, as they are under Jupyter;
// the paths of the command line and of LLCUDA_MODELS are in the user's.
func TestRunFolder(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		out  string
	}{
		{"written back", nil, "books/a.ipynb"},
		{"output", []string{"--output", "out.ipynb"}, "out.ipynb"},
		{"output in a folder", []string{"-o", "books/out.ipynb"}, "books/out.ipynb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			t.Setenv("LLCUDA_MODELS", "models")
			files := map[string]string{
				"books/a.ipynb": `{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "id": "a", "metadata": {},
					"execution_count": null, "outputs": [], "source": "!ls\n%models"}]}`,
				"books/beside.txt":  "",
				"mine.txt":          "",
				"models/fable.gguf": "GGUF",
			}
			for name, text := range files {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			here, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			shown := output(t, "", append([]string{"run", "books/a.ipynb"}, c.args...)...)
			if !strings.Contains(shown, "beside.txt") || strings.Contains(shown, "mine.txt") {
				t.Errorf("cells are not in the notebook's folder: %s", shown)
			}
			if !strings.Contains(shown, "fable") {
				t.Errorf("models of the user's folder are not found: %s", shown)
			}
			b, err := os.ReadFile(filepath.Join(here, c.out))
			if err != nil || !strings.Contains(string(b), "beside.txt") {
				t.Errorf("%s: %v: %s", c.out, err, b)
			}
		})
	}
}
