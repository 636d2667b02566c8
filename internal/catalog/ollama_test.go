package catalog

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func sum(data string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(data))) }

// put writes a file below root, with its folders.
func put(t *testing.T, root, name, data string) string {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

const weights = "GGUF: the weights"

// ollamaStore is a store with one model, as Ollama 0.9 writes it.
func ollamaStore(t *testing.T, manifest string) string {
	root := t.TempDir()
	config := `{"model_format":"gguf","model_family":"llama","model_type":"1.2B","file_type":"Q8_0"}`
	put(t, root, "blobs/sha256-"+sum(weights), weights)
	put(t, root, "blobs/sha256-"+sum(config), config)
	if manifest == "" {
		manifest = fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:%s","size":%d},
"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:%s","size":%d},
{"mediaType":"application/vnd.ollama.image.license","digest":"sha256:%s","size":3}]}`,
			sum(config), len(config), sum(weights), len(weights), strings.Repeat("0", 64))
	}
	put(t, root, "manifests/registry.ollama.ai/library/llama3.2/1b", manifest)
	return root
}

func TestOllama(t *testing.T) {
	root := ollamaStore(t, "")
	manifest, err := os.ReadFile(filepath.Join(root, "manifests/registry.ollama.ai/library/llama3.2/1b"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, "manifests/registry.ollama.ai/library/mine/latest", string(manifest))
	put(t, root, "manifests/registry.ollama.ai/someone/model/q8", string(manifest))
	put(t, root, "manifests/hf.co/bartowski/Some-GGUF/Q8_0", string(manifest))
	put(t, root, "manifests/registry.ollama.ai/library/stray", string(manifest))
	link := filepath.Join(t.TempDir(), "store") // as where the store was moved to a larger disk
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	c := &Catalog{Ollama: []string{link, filepath.Join(root, "none")}}
	blob, err := filepath.EvalSymlinks(filepath.Join(root, "blobs/sha256-"+sum(weights)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"llama3.2:1b", "LLAMA3.2:1B", "mine", "mine:latest", "someone/model:q8", "hf.co/bartowski/Some-GGUF:Q8_0"} {
		f, err := c.FindLocal(Query{Name: name})
		if err != nil || f.Path != blob || f.Size != int64(len(weights)) || f.Quant != "Q8_0" || f.Source != Ollama {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if n := len(c.Local()); n != 4 {
		t.Errorf("%d models, want 4: %+v", n, c.Local())
	}
	if _, err := c.Remove(t.Context(), "llama3.2:1b"); err == nil || !strings.Contains(err.Error(), "ollama rm llama3.2:1b") {
		t.Errorf("rm: %v", err)
	}
}

// TestOllamaHostile: a manifest opens nothing but a blob of its own store.
func TestOllamaHostile(t *testing.T) {
	layer := func(digest string, size int) string {
		return fmt.Sprintf(`{"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":%q,"size":%d}]}`, digest, size)
	}
	right := "sha256:" + sum(weights)
	for name, v := range map[string]struct {
		manifest string
		change   func(root, blob string) error
	}{
		"a path for a digest":     {layer("sha256:../../../../etc/passwd", 10), nil},
		"a path behind a digest":  {layer(right+"/../x", len(weights)), nil},
		"a line behind a digest":  {layer(right+"\n", len(weights)), nil},
		"capitals":                {layer("sha256:"+strings.ToUpper(sum(weights)), len(weights)), nil},
		"another size":            {layer(right, len(weights)-1), nil},
		"a negative size":         {layer(right, -1), nil},
		"a blob that is not here": {layer("sha256:"+sum("x"), 1), nil},
		"no layers":               {`{"layers":[]}`, nil},
		"two layers of weights": {`{"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"` + right + `","size":17},
			{"mediaType":"application/vnd.ollama.image.model","digest":"` + right + `","size":17}]}`, nil},
		"no JSON":            {"nothing", nil},
		"a list":             {"[]", nil},
		"a large manifest":   {`{"x":"` + strings.Repeat("y", manifestLimit) + `"}`, nil},
		"a blob that leaves": {layer(right, len(weights)), func(root, blob string) error { return escape(root, blob) }},
		"a blob that is a FIFO": {layer(right, 0), func(_, blob string) error {
			os.Remove(blob)
			return syscall.Mkfifo(blob, 0o666)
		}},
		"a blob that is a folder": {layer(right, len(weights)), func(_, blob string) error {
			os.Remove(blob)
			return os.Mkdir(blob, 0o777)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := ollamaStore(t, v.manifest)
			if v.change != nil {
				if err := v.change(root, filepath.Join(root, "blobs/sha256-"+sum(weights))); err != nil {
					t.Fatal(err)
				}
			}
			c := &Catalog{Ollama: []string{root}}
			if all := c.Local(); len(all) != 0 {
				t.Errorf("found %+v", all)
			}
			if _, err := readOllama(root, filepath.Join(root, "manifests/registry.ollama.ai/library/llama3.2/1b")); err == nil {
				t.Error("no error")
			}
		})
	}
}

// escape puts a link in place of the blob, to the same bytes outside.
func escape(root, blob string) error {
	outside := root + "-outside"
	if err := os.Rename(blob, outside); err != nil {
		return err
	}
	return os.Symlink(outside, blob)
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"sha256:00"},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:` + sum("x") + `","size":3}]}`))
	f.Add([]byte(`{"layers":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		model, _, err := parseManifest(data)
		if err != nil {
			return
		}
		if hex, ok := strings.CutPrefix(strings.Replace(model.Digest, "-", ":", 1), "sha256:"); !ok || len(hex) != 64 ||
			strings.Trim(hex, "0123456789abcdef") != "" || model.Size <= 0 {
			t.Errorf("%+v accepted", model)
		}
	})
}
