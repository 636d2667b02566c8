package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pathOf(name string) (string, error) {
	f, err := FromEnv().FindLocal(Query{Name: name})
	if err != nil {
		return "", err
	}
	return f.Path, nil
}

func TestFindModel(t *testing.T) {
	models, here := t.TempDir(), t.TempDir()
	t.Chdir(here)
	t.Setenv("LLCUDA_MODELS", models)
	t.Setenv("HOME", here)
	t.Setenv("XDG_CACHE_HOME", here)
	t.Setenv("OLLAMA_MODELS", here)
	t.Setenv("LLAMA_CACHE", here+"/none")
	for _, name := range []string{"smol-q4_1.gguf", "gemma-Q4_K_M.gguf", "gemma-Q8_0.gguf", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(models, name), []byte("GGUF"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"adapter", "two", "none"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"adapter/adapter_config.json", "two/a.gguf", "two/b.gguf", "own.gguf"} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(models, name) }
	for _, c := range []struct{ name, want, err string }{
		{"smol-q4_1", in("smol-q4_1.gguf"), ""},
		{"SMOL-Q4_1.GGUF", in("smol-q4_1.gguf"), ""},
		{"smol", in("smol-q4_1.gguf"), ""},
		{"gemma-q8_0", in("gemma-Q8_0.gguf"), ""},
		{"gemma", "", "gemma could be gemma-Q4_K_M or gemma-Q8_0"},
		{"big", in("big-00001-of-00002.gguf"), ""},
		{in("smol-q4_1.gguf"), in("smol-q4_1.gguf"), ""},
		{"own.gguf", "own.gguf", ""},
		{"~/own.gguf", filepath.Join(here, "own.gguf"), ""},
		{"adapter", "", "is an adapter of PEFT that names no base model, without weights; give"},
		{"two", "", "folder of 2 models (a.gguf, b.gguf)"},
		{"none", "", "without .gguf files"},
		{"gema-Q8_0", "", "did you mean gemma-Q8_0?"},
		{"org/repo", "", "org/repo is not on this machine; %pull org/repo fetches it"},
		{"two/c.gguf", "", "no file two/c.gguf in the folder two; to take it from the hub, write hf.co/two/c.gguf"},
		{"", "", "no model"},
	} {
		got, err := pathOf(c.name)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("FindLocal(%q) = %q, %v, want %q, %q", c.name, got, err, c.want, c.err)
		}
	}
	for _, m := range FromEnv().Local() {
		if m.Name == "big" && m.Size != 8 {
			t.Errorf("big has %d bytes, want those of both shards, 8", m.Size)
		}
	}
}

// FuzzName: whatever is typed, a repository that is asked for is one that a
// server could have, and a local answer is a file that is there.
func FuzzName(f *testing.F) {
	for _, s := range []string{"demo", "org/name", "hf.co/org/name:Q4_K_M", "https://huggingface.co/o/n/blob/main/a/b.gguf?x", "a/b/c.gguf", "../x", "hf.co/..", "gemma-3-1b:Q8_0", ":", "a:b:c"} {
		f.Add(s, "")
		f.Add(s, "x.gguf")
	}
	c := &Catalog{Folders: []string{f.TempDir()}}
	f.Fuzz(func(t *testing.T, name, file string) {
		q := Query{Name: name, File: file}
		r, err := c.parse(&q)
		if err != nil || r == nil {
			return
		}
		for _, repo := range r.repos {
			if !repository.MatchString(repo) {
				t.Errorf("%q: repository %q", name, repo)
			}
		}
		if len(r.repos) == 0 || r.entry == nil && len(r.repos) != 1 {
			t.Errorf("%q: %v", name, r.repos)
		}
	})
}
