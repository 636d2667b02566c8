//go:build unix

package safetensors

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

// TestOpenSpecialFiles: nothing that blocks or never ends is opened.
func TestOpenSpecialFiles(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo.safetensors")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{fifo, "/dev/zero"} {
		if f, err := Open(path); f != nil || err == nil || !strings.Contains(err.Error(), "is no regular file") {
			t.Errorf("%s: got %v, %v", path, f, err)
		}
	}
}

// TestOpenLinks: links inside a folder and those of Hugging Face's cache are
// followed, those that lead out are not.
func TestOpenLinks(t *testing.T) {
	root := t.TempDir()
	snapshot := filepath.Join(root, "models--a--b", "snapshots", "123")
	blobs := filepath.Join(root, "models--a--b", "blobs")
	plain := filepath.Join(root, "plain")
	for _, d := range []string{snapshot, blobs, plain} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(blobs, "abc"), x1("x"))
	put(t, filepath.Join(root, "outside"), x1("x"))
	put(t, filepath.Join(plain, "inside"), x1("x"))
	index := `{"weight_map":{"x":"s.safetensors"}}`
	for _, c := range []struct{ name, dir, link, to, index, want string }{
		{"cache", snapshot, "model.safetensors", "../../blobs/abc", "", ""},
		{"cache, shard", snapshot, "s.safetensors", "../../blobs/abc", index, ""},
		{"inside", plain, "model.safetensors", "inside", "", ""},
		{"out", plain, "model.safetensors", "../outside", "", "is a link out of the folder"},
		{"out, from the root", plain, "model.safetensors", filepath.Join(root, "outside"), "", "is a link out of the folder"},
		{"out, shard", plain, "s.safetensors", "../outside", index, "is a link out of the folder"},
		{"out of the cache", snapshot, "model.safetensors", "../../../outside", "", "is a link out of the folder"},
		{"to blobs, but from no snapshot", plain, "model.safetensors", "../models--a--b/blobs/abc", "", "is a link out of the folder"},
		{"to nothing", plain, "model.safetensors", "nothing", "", "no such file"},
		{"to itself", plain, "model.safetensors", "model.safetensors", "", "too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			link := filepath.Join(c.dir, c.link)
			if err := os.Symlink(c.to, link); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(link)
			if c.index != "" {
				path := filepath.Join(c.dir, "model.safetensors.index.json")
				put(t, path, []byte(c.index))
				defer os.Remove(path)
			}
			f, err := Open(c.dir)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				f.Close()
			} else if f != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want %s", f, err, c.want)
			}
		})
	}
}

// TestTruncated cuts a file under its map.
func TestTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	put(t, path, raw(one("U8", "[4194304]", "[0,4194304]"), strings.Repeat("x", 4<<20)))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if err := Write(io.Discard, nil, f.Sources()); !errors.Is(err, gguf.ErrFileChanged) {
		t.Error("Write: ", err)
	}
	err = gguf.Guard(func() error { copy(make([]byte, 1<<20), f.Tensors[0].Data[2<<20:]); return nil })
	if !errors.Is(err, gguf.ErrFileChanged) {
		t.Error("Guard: ", err)
	}
}
