package hub

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

// python returns the interpreter that LLCUDA_PYTHON names, else the one of
// .venv at the module's root, else python3, if it has huggingface_hub.
func python(t *testing.T) string {
	for _, name := range []string{os.Getenv("LLCUDA_PYTHON"), "../../.venv/bin/python", "python3"} {
		if name != "" && exec.Command(name, "-c", "import huggingface_hub").Run() == nil {
			return name
		}
	}
	t.Skip("no Python with huggingface_hub: pip install huggingface_hub, and name the interpreter in LLCUDA_PYTHON")
	return ""
}

// newPythonFake names the other host otherwise: some versions tell hosts apart
// by name alone.
func newPythonFake(t *testing.T) (*hubtest.Server, *Client) {
	f, c := newFake(t)
	f.Other = strings.Replace(f.CDN.URL, "127.0.0.1", "localhost", 1)
	return f, c
}

// runPython runs a script with the cache as its own, and returns what it prints.
func runPython(t *testing.T, name, script string, c *Client, env ...string) string {
	t.Helper()
	cmd := exec.Command(name, "-c", script)
	cmd.Env = append(os.Environ(), append(env, "HF_HUB_CACHE="+c.Cache, "HF_HOME="+t.TempDir(), "HF_TOKEN=",
		"HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1")...)
	out, err := cmd.Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestPythonReadsOurs: huggingface_hub, offline, finds what we fetched, and
// its scan of the cache has nothing to say against it.
func TestPythonReadsOurs(t *testing.T) {
	name := python(t)
	f, c := newPythonFake(t)
	for _, file := range []string{large, "dir/config.json"} {
		path, err := c.Download(t.Context(), hubtest.Repo, file, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		got := runPython(t, name, `from huggingface_hub import hf_hub_download, scan_cache_dir
s = scan_cache_dir()
assert not s.warnings, s.warnings
assert [r.repo_id for r in s.repos] == ["`+hubtest.Repo+`"], s.repos
print(hf_hub_download("`+hubtest.Repo+`", "`+file+`"))`, c, "HF_HUB_OFFLINE=1")
		if got != path {
			t.Errorf("%s: huggingface_hub finds %s, want %s", file, got, path)
		}
		wantFile(t, got, f.Files[file])
	}
}

// TestWeReadPythons: we find, offline, what huggingface_hub fetched, and the two
// caches have the same folders, links and blobs.
func TestWeReadPythons(t *testing.T) {
	name := python(t)
	f, theirs := newPythonFake(t)
	ours, err := New(f.Hub.URL, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{large, "dir/config.json"} {
		want := runPython(t, name, `from huggingface_hub import hf_hub_download
print(hf_hub_download("`+hubtest.Repo+`", "`+file+`"))`, theirs, "HF_ENDPOINT="+f.Hub.URL)
		theirs.Offline = true
		got, err := theirs.Download(t.Context(), hubtest.Repo, file, "", nil)
		if err != nil || got != want {
			t.Errorf("%s: we find %s, %v; want %s", file, got, err, want)
		}
		wantFile(t, got, f.Files[file])
		if _, err := ours.Download(t.Context(), hubtest.Repo, file, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := tree(t, ours.Cache), tree(t, theirs.Cache); a != b {
		t.Errorf("our cache:\n%s\nhuggingface_hub's:\n%s", a, b)
	}
}

// TestPythonGoesOn: after our transfer was stopped midway, huggingface_hub
// fetches the right file. (Version 0.36 goes on from our .incomplete, and
// checks no sum.)
func TestPythonGoesOn(t *testing.T) {
	name := python(t)
	f, c := newPythonFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.Download(ctx, hubtest.Repo, large, "", func(done, _ int64) {
		if done > 150_000 {
			cancel()
		}
	}); err == nil {
		t.Fatal("not stopped")
	}
	got := runPython(t, name, `from huggingface_hub import hf_hub_download
print(hf_hub_download("`+hubtest.Repo+`", "`+large+`"))`, c, "HF_ENDPOINT="+f.Hub.URL)
	wantFile(t, got, f.Files[large])
	checkCache(t, c)
}

// TestPythonShards: a split model that we fetched is a whole snapshot to
// huggingface_hub, offline; and one that it fetched is one model to us.
func TestPythonShards(t *testing.T) {
	name := python(t)
	f, ours := newPythonFake(t)
	shards := []string{"q/m-Q6_K-00001-of-00002.gguf", "q/m-Q6_K-00002-of-00002.gguf"}
	for i, s := range shards {
		f.Files[s] = hubtest.Bytes(uint64(i+5), 40_000+i)
	}
	r, err := ours.List(t.Context(), hubtest.Repo, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Pick("Q6_K")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := ours.Fetch(t.Context(), r, "", m, nil)
	if err != nil {
		t.Fatal(err)
	}
	const snapshot = `import os
from huggingface_hub import snapshot_download
print(snapshot_download("` + hubtest.Repo + `", allow_patterns=["q/*"]))`
	dir := runPython(t, name, snapshot, ours, "HF_HUB_OFFLINE=1")
	for i, s := range shards {
		if paths[i] != filepath.Join(dir, s) {
			t.Errorf("huggingface_hub has %s, we %s", filepath.Join(dir, s), paths[i])
		}
	}

	theirs, err := New(f.Hub.URL, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	runPython(t, name, `from huggingface_hub import hf_hub_download
for s in `+fmt.Sprintf("[%q, %q]", shards[0], shards[1])+`:
    hf_hub_download("`+hubtest.Repo+`", s)`, theirs, "HF_ENDPOINT="+f.Hub.URL)
	asked := len(f.Asked)
	theirs.Offline = true
	list, ok := theirs.Cached(hubtest.Repo, "")
	if !ok || len(list.Models()) != 1 || len(list.Models()[0].Files) != 2 {
		t.Fatalf("%+v", list)
	}
	got, err := theirs.Fetch(t.Context(), list, "", list.Models()[0], nil)
	if err != nil || len(f.Asked) != asked {
		t.Fatal(err, f.Asked[asked:])
	}
	for i, s := range shards {
		wantFile(t, got[i], f.Files[s])
	}
}

// TestWeGoOn: after huggingface_hub was stopped midway we fetch the right file,
// and leave nothing that it has to clean up but its own part.
func TestWeGoOn(t *testing.T) {
	name := python(t)
	f, c := newPythonFake(t)
	f.Fault = func(w http.ResponseWriter, _ *http.Request, cdn bool) bool {
		if cdn {
			w.Header().Set("Content-Length", "300000")
			w.Write(f.Files[large][:100_000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		return false
	}
	runPython(t, name, `from huggingface_hub import hf_hub_download
try:
    hf_hub_download("`+hubtest.Repo+`", "`+large+`")
    raise SystemExit("not stopped")
except Exception as e:
    print(type(e))`, c, "HF_ENDPOINT="+f.Hub.URL)
	f.Mu.Lock()
	f.Fault = nil
	f.Mu.Unlock()
	path, err := c.Download(t.Context(), hubtest.Repo, large, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, f.Files[large])
	checkCache(t, c)
}

// tree lists a folder: its files, and where its links lead.
func tree(t *testing.T, root string) string {
	var s strings.Builder
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == "CACHEDIR.TAG" { // new versions add it
			return nil
		}
		name, _ := filepath.Rel(root, path)
		to, _ := os.Readlink(path)
		s.WriteString(strings.TrimSpace(name+" "+to) + "\n")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return s.String()
}
