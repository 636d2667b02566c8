package hub

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

// TestRemove: the blob goes with the last link to it, the repository with its
// last file, and nothing outside is touched.
func TestRemove(t *testing.T) {
	f, c := newFake(t)
	fetch := func(names ...string) {
		for _, name := range names {
			if _, err := c.Download(t.Context(), hubtest.Repo, name, "", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(r *Repo, name string) Removed {
		t.Helper()
		done, err := c.Remove(t.Context(), r, []File{{Path: name}})
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	fetch(large, "dir/config.json")
	r, _ := c.Cached(hubtest.Repo, "")
	root := c.folder(hubtest.Repo)
	blob := filepath.Join(root, "blobs", hubtest.Name(f.Files[large]))

	other := filepath.Join(root, "snapshots", strings.Repeat("f", 40))
	if err := os.Mkdir(other, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/"+filepath.Base(blob), filepath.Join(other, large)); err != nil {
		t.Fatal(err)
	}
	if got := remove(r, large); got != (Removed{Shared: 300_000}) {
		t.Errorf("shared: %+v", got)
	}
	wantFile(t, blob, f.Files[large])
	if got := remove(&Repo{ID: hubtest.Repo, Commit: filepath.Base(other)}, large); got != (Removed{Bytes: 300_000}) {
		t.Errorf("last: %+v", got)
	}
	if _, err := os.Stat(blob); !os.IsNotExist(err) {
		t.Errorf("the blob is there: %v", err)
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("the empty snapshot is there: %v", err)
	}
	wantFile(t, filepath.Join(root, "snapshots", hubtest.Commit, "dir/config.json"), f.Files["dir/config.json"])
	checkCache(t, c)
	remove(r, "dir/config.json")
	if left, _ := os.ReadDir(c.Cache); len(left) != 1 || left[0].Name() != ".locks" {
		t.Errorf("left: %v", left)
	}

	outside := filepath.Join(t.TempDir(), "outside.gguf")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	fetch("dir/config.json")
	snapshot := filepath.Join(root, "snapshots", hubtest.Commit)
	if err := os.Symlink(outside, filepath.Join(snapshot, "x.gguf")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(snapshot, "out")); err != nil {
		t.Fatal(err)
	}
	if got := remove(r, "x.gguf"); got != (Removed{}) {
		t.Errorf("a link that leads out: %+v", got)
	}
	for _, name := range []string{"out/outside.gguf", "../../../../outside.gguf", "dir", "none"} {
		if done, err := c.Remove(t.Context(), r, []File{{Path: name}}); err == nil {
			t.Errorf("%s: removed, %+v", name, done)
		}
	}
	if _, err := c.RemoveRepo(hubtest.Repo); err != nil {
		t.Error(err)
	}
	wantFile(t, outside, []byte("mine"))
	if _, err := c.RemoveRepo("no/such"); err == nil {
		t.Error("removed what is not there")
	}
	if err := os.Symlink(filepath.Dir(outside), c.folder("a/link")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RemoveRepo("a/link"); err == nil {
		t.Error("removed through a link")
	}
	wantFile(t, outside, []byte("mine"))
}
