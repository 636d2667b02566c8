//go:build unix

package gguf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOpenSpecialFiles: nothing that blocks or never ends is opened.
func TestOpenSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	fifo, loop := filepath.Join(dir, "fifo"), filepath.Join(dir, "loop.gguf")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		fifo:        "is no regular file but p",
		"/dev/zero": "is no regular file but D",
		loop:        "too many",
	} {
		if f, err := Open(path); f != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	link := filepath.Join(dir, "link.gguf")
	put(t, filepath.Join(dir, "model"), model())
	if err := os.Symlink("model", link); err != nil {
		t.Fatal(err)
	}
	f, err := Open(link)
	if err != nil {
		t.Fatal("a link to a file: ", err)
	}
	f.Close()
}

// TestGuard truncates a file under its map.
func TestGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	put(t, path, file(1, 0).tensor("x", 0, 0, 1<<20).pad(32).data(4<<20).Bytes())
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	x := f.Tensor("x")
	out := make([]float32, 4096)
	for name, read := range map[string]func(){
		"decode": func() { x.DType.Decode(out, x.Data[1<<20:1<<20+4*4096]) },
		"copy":   func() { copy(make([]byte, 1<<20), x.Data[2<<20:]) },
	} {
		err := Guard(func() error { read(); return nil })
		if !errors.Is(err, ErrFileChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	problems := Check(f)
	if len(problems) == 0 || !strings.Contains(problems[len(problems)-1].What, "changed") {
		t.Error("Check: ", problems)
	}
	if err := Guard(func() error { return os.ErrClosed }); err != os.ErrClosed {
		t.Error(err)
	}
	defer func() {
		if r := recover(); r != "mine" {
			t.Errorf("another panic became %v", r)
		}
	}()
	Guard(func() error { panic("mine") })
}
