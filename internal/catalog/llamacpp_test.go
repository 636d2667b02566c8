package catalog

import (
	"path/filepath"
	"testing"
)

// TestLlamaCpp: files of llama.cpp's cache are found by their own name, by what
// their manifest says and by the registry's names.
func TestLlamaCpp(t *testing.T) {
	root := t.TempDir()
	file := put(t, root, "ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M.gguf", weights)
	put(t, root, "manifest=ggml-org=gemma-3-1b-it-GGUF=latest.json", `{"ggufFile":{"rfilename":"gemma-3-1b-it-Q4_K_M.gguf","size":17},"mmprojFile":null}`)
	put(t, root, "manifest=..=x=latest.json", `{"ggufFile":{"rfilename":"../../x.gguf"}}`)
	shards := put(t, root, "a_b_m-Q8_0-00001-of-00002.gguf", weights)
	put(t, root, "a_b_m-Q8_0-00002-of-00002.gguf", weights)
	put(t, root, "a_b_m-F16-00001-of-00002.gguf", weights) // its second shard misses
	put(t, root, "x_mmproj.gguf.etag", "")
	outside := put(t, t.TempDir(), "out.gguf", weights)
	if err := escape(root, put(t, root, "leaves.gguf", weights)); err != nil {
		t.Fatal(outside, err)
	}
	c := &Catalog{LlamaCpp: root}
	real := func(path string) string {
		p, err := filepath.EvalSymlinks(path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, want := range map[string]string{
		"ggml-org/gemma-3-1b-it-GGUF:Q4_K_M":                    real(file),
		"ggml-org/gemma-3-1b-it-GGUF":                           real(file),
		"ggml-org/gemma-3-1b-it-GGUF/gemma-3-1b-it-Q4_K_M.gguf": real(file),
		"gemma-3-1b":           real(file),
		"gemma-3-1b-q4_k_m":    real(file),
		"gemma-3-1b-it-Q4_K_M": real(file),
		"a_b_m-Q8_0":           shards,
	} {
		if f, err := c.FindLocal(Query{Name: name}); err != nil || f.Path != want || f.Source != LlamaCpp {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	for _, name := range []string{"ggml-org/gemma-3-1b-it-GGUF:Q8_0", "gemma-3-1b:Q8_0", "leaves", "a_b_m-F16"} {
		if f, err := c.FindLocal(Query{Name: name}); err == nil {
			t.Errorf("%s: found %+v", name, f)
		}
	}
	if n := len(c.Local()); n != 2 {
		t.Errorf("%d models, want 2: %+v", n, c.Local())
	}
}

func FuzzLlamaManifest(f *testing.F) {
	f.Add("manifest=org=name=latest.json", []byte(`{"ggufFile":{"rfilename":"a/b.gguf"}}`))
	f.Add("manifest==.json", []byte(`{}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		repo, file, ok := llamaManifest(name, data)
		if ok && (!repository.MatchString(repo) || file == "") {
			t.Errorf("%q: %q %q", name, repo, file)
		}
		if ok && filepath.Base(llamaFile(repo, file)) != llamaFile(repo, file) {
			t.Errorf("%q leaves the folder", llamaFile(repo, file))
		}
	})
}
