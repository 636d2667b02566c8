package hub

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

func repoOf(paths ...string) *Repo {
	r := &Repo{ID: "org/name"}
	for _, p := range paths {
		r.Files = append(r.Files, File{p, 10})
	}
	return r
}

func TestQuantOf(t *testing.T) {
	for name, want := range map[string]string{
		"gemma-3-1b-it-Q4_K_M":             "Q4_K_M",
		"smollm2-135m-instruct-q8_0":       "Q8_0",
		"Llama-3.2-1B-Instruct-UD-Q4_K_XL": "UD-Q4_K_XL",
		"Qwen2.5-7B.IQ2_XXS":               "IQ2_XXS",
		"BF16/model":                       "BF16",
		"phi-4-fp16":                       "F16",
		"gpt-oss-20b-mxfp4":                "MXFP4",
		"Q4_0/model-Q8_0":                  "Q8_0",
		"model":                            "",
		"Qwen2.5-0.5B":                     "",
	} {
		if got := QuantOf(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestPick(t *testing.T) {
	r := repoOf("README.md", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-F16.gguf", "m.imatrix.gguf", "m-UD-Q2_K_XL.gguf",
		"F16/m-F16-00002-of-00003.gguf", "F16/m-F16-00001-of-00003.gguf", "F16/m-F16-00003-of-00003.gguf",
		"m-BF16-00001-of-00002.gguf") // its second shard misses
	for _, v := range []struct{ want, first, err string }{
		{"", "m-Q4_K_M.gguf", ""},
		{"q8_0", "m-Q8_0.gguf", ""},
		{"Q2_K_XL", "m-UD-Q2_K_XL.gguf", ""},
		{"m-Q8_0.gguf", "m-Q8_0.gguf", ""},
		{"*Q8*", "m-Q8_0.gguf", ""},
		{"F16", "F16/m-F16-00001-of-00003.gguf", ""},
		{"m-F16-00002-of-00003.gguf", "F16/m-F16-00001-of-00003.gguf", ""},
		{"F16/*.gguf", "F16/m-F16-00001-of-00003.gguf", ""},
		{"m-*", "", "fits 4 models"},
		{"Q5_0", "", "it has F16/m-F16-00001-of-00003.gguf, m-Q4_K_M.gguf"},
		{"BF16", "", "no model"},
		{"[", "", "syntax error"},
	} {
		m, err := r.Pick(v.want)
		switch {
		case v.err != "" && (err == nil || !strings.Contains(err.Error(), v.err)):
			t.Errorf("%q: %v, want %q", v.want, err, v.err)
		case v.err == "" && (err != nil || m.Files[0].Path != v.first):
			t.Errorf("%q: %v, %v, want %s", v.want, m, err, v.first)
		}
	}
	if m, _ := r.Pick("F16"); len(m.Files) != 3 || m.Size != 30 || m.Quant != "F16" || !slices.IsSortedFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) }) {
		t.Errorf("shards: %+v", m)
	}
	if _, err := repoOf("model.safetensors").Pick(""); err == nil || !strings.Contains(err.Error(), "-GGUF") {
		t.Errorf("no GGUF: %v", err)
	}
}

// TestFetch lists, picks and fetches a split model, and all again offline.
func TestFetch(t *testing.T) {
	f, c := newFake(t)
	names := []string{"q/m-Q6_K-00001-of-00002.gguf", "q/m-Q6_K-00002-of-00002.gguf"}
	for i, name := range names {
		f.Files[name] = hubtest.Bytes(uint64(i+5), 40_000+i)
	}
	for range 2 {
		r, err := c.List(t.Context(), hubtest.Repo, "")
		if err != nil || r.Commit != hubtest.Commit {
			t.Fatal(r, err)
		}
		for _, file := range r.Files {
			if strings.Contains(file.Path, "..") {
				t.Errorf("listed %s", file.Path)
			}
		}
		m, err := r.Pick("q6_k")
		if err != nil || m.Size != 80_001 {
			t.Fatal(m, err)
		}
		last := int64(0)
		paths, err := c.Fetch(t.Context(), r, "", m, func(done, total int64) {
			if done < last || total != m.Size {
				t.Errorf("progress %d, then %d of %d", last, done, total)
			}
			last = done
		})
		if err != nil || len(paths) != 2 || last != m.Size {
			t.Fatal(paths, err, last)
		}
		for i, p := range paths {
			wantFile(t, p, f.Files[names[i]])
		}
		wantFile(t, filepath.Join(c.folder(hubtest.Repo), "refs/main"), []byte(hubtest.Commit))
		c.Offline = true
	}
	checkCache(t, c)
	c.Offline = false
	if _, err := c.List(t.Context(), "no/such", ""); err == nil || !strings.Contains(err.Error(), "not found, or private") {
		t.Errorf("no repository: %v", err)
	}
}

// TestFetchDamaged: a file of the cache that has another size than the server
// says (a disk that filled up, a crash) is fetched again.
func TestFetchDamaged(t *testing.T) {
	f, c := newFake(t)
	path, err := c.Download(t.Context(), hubtest.Repo, large, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	r, err := c.List(t.Context(), hubtest.Repo, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Pick("q4_k_m")
	if err != nil {
		t.Fatal(err)
	}
	if path, ok := c.Has(r, m.Files[0]); ok {
		t.Errorf("has %s, of which a part is there", path)
	}
	paths, err := c.Fetch(t.Context(), r, "", m, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, paths[0], f.Files[large])
	if _, ok := c.Has(r, m.Files[0]); !ok {
		t.Error("does not have what it fetched")
	}
	checkCache(t, c)
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	f.Hub.Close()
	if paths, err := c.Fetch(t.Context(), r, "", m, nil); err == nil {
		t.Errorf("no server, and a part of the file: %v", paths)
	}
}

// TestPartial: what waits to be resumed, and not what is beside its whole file.
func TestPartial(t *testing.T) {
	f, c := newFake(t)
	path, err := c.Download(t.Context(), hubtest.Repo, large, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(filepath.Dir(blob), hubtest.Name(f.Files["dir/config.json"]))
	for _, name := range []string{blob + ".incomplete", blob + ".00000002.incomplete", other + ".incomplete", other + ".00000001.incomplete"} {
		if err := os.WriteFile(name, make([]byte, 50), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Partial(hubtest.Repo); got != 100 {
		t.Errorf("%d bytes wait, want 100", got)
	}
}

func TestFromEnv(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "token"), []byte("hf_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		env                    map[string]string
		cache, token, endpoint string
		offline                bool
	}{
		{map[string]string{"HF_HOME": home}, home + "/hub", "hf_file", DefaultEndpoint, false},
		{map[string]string{"HF_HOME": home, "HF_TOKEN": " hf_env\r\n"}, home + "/hub", "hf_env", DefaultEndpoint, false},
		{map[string]string{"HF_HOME": home, "HF_HUB_CACHE": "$HF_HOME/c"}, home + "/c", "hf_file", DefaultEndpoint, false},
		{map[string]string{"HF_HOME": "~/x"}, home + "/home/x/hub", "", DefaultEndpoint, false},
		{map[string]string{"XDG_CACHE_HOME": home}, home + "/huggingface/hub", "", DefaultEndpoint, false},
		{map[string]string{}, home + "/home/.cache/huggingface/hub", "", DefaultEndpoint, false},
		{map[string]string{"HF_ENDPOINT": "http://mirror:81/", "HF_HUB_OFFLINE": "yes"}, home + "/home/.cache/huggingface/hub", "", "http://mirror:81", true},
		{map[string]string{"HF_HUB_OFFLINE": "0", "HF_HOME": home, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, home + "/hub", "", DefaultEndpoint, false},
	} {
		clearEnv(t, filepath.Join(home, "home"))
		for k, s := range v.env {
			t.Setenv(k, s)
		}
		c, err := FromEnv()
		if err != nil {
			t.Fatal(err)
		}
		if c.Cache != v.cache || c.Token != v.token || c.endpoint.String() != v.endpoint || c.Offline != v.offline {
			t.Errorf("%v: cache %s, token %q, endpoint %s, offline %v", v.env, c.Cache, c.Token, c.endpoint, c.Offline)
		}
	}
	t.Setenv("HF_ENDPOINT", "mirror")
	if _, err := FromEnv(); err == nil || !strings.Contains(err.Error(), "HF_ENDPOINT") {
		t.Errorf("endpoint mirror: %v", err)
	}
}

// clearEnv takes this machine's own settings away.
func clearEnv(t *testing.T, home string) {
	for _, name := range []string{"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
		"HF_TOKEN_PATH", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
}

// FuzzList: whatever a server lists, each file stays inside its snapshot, models
// are whole, and what is picked is one of them.
func FuzzList(f *testing.F) {
	f.Add([]byte(`{"sha":"`+hubtest.Commit+`","siblings":[{"rfilename":"a-Q4_0.gguf","size":5},{"rfilename":"../b.gguf","size":1}]}`), "Q4_0")
	f.Add([]byte(`{"sha":"`+hubtest.Commit+`","siblings":[{"rfilename":"a-00001-of-00002.gguf"},{"rfilename":"a-00002-of-00002.gguf"}]}`), "*")
	f.Add([]byte(`{"sha":"main"}`), "")
	f.Fuzz(func(t *testing.T, data []byte, want string) {
		r, err := readList(bytes.NewReader(data), "org/name")
		if err != nil {
			return
		}
		for _, file := range r.Files {
			if !filepath.IsLocal(file.Path) || file.Size < 0 {
				t.Errorf("%+v", file)
			}
		}
		models := r.Models()
		for _, m := range models {
			if len(m.Files) == 0 || !strings.HasSuffix(m.Files[0].Path, ".gguf") {
				t.Errorf("%+v", m)
			}
		}
		if m, err := r.Pick(want); err == nil && !slices.ContainsFunc(models, func(x Model) bool { return x.Name == m.Name }) {
			t.Errorf("picked %+v", m)
		}
	})
}
