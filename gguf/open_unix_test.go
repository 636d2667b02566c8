//go:build unix

package gguf

import (
	"errors"
	"io"
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
		fifo:        "is a pipe, want a file",
		"/dev/zero": "is a device, want a file",
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
	if err := f.Write(io.Discard); !errors.Is(err, ErrFileChanged) {
		t.Error("Write: ", err)
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

// TestOpenChanging writes lengths of strings while they are read: whatever
// Open makes of it, it does not panic.
func TestOpenChanging(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	const n = 1999 // odd: each length changes from round to round
	b := file(0, 1).list("k", typeString, 2*n)
	at := int64(b.Len())
	for range n { // 8 bytes of text that are as well an empty string
		b.put(uint64(8), uint64(0))
	}
	b.data(8 * n)
	put(t, path, b.Bytes())
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				w.WriteAt([]byte{byte(i % 2 * 8)}, at+int64(i%n)*16)
			}
		}
	}()
	for range 500 {
		if f, err := Open(path); err == nil {
			f.Close()
		}
	}
	close(stop)
	<-stopped
}
