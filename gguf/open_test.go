package gguf

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestOpenShards names each shard in turn; gguf-py wrote them.
func TestOpenShards(t *testing.T) {
	names, _ := filepath.Glob("testdata/split-*.gguf")
	if len(names) != 3 {
		t.Fatal(names)
	}
	for _, name := range names {
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Shards() != 3 || len(f.Tensors) != 5 || f.Path != names[0] || len(f.Paths()) != 3 {
			t.Errorf("%s: %d shards, %d tensors, %s", name, f.Shards(), len(f.Tensors), f.Path)
		}
		if n, err := f.Uint("llama.block_count"); err != nil || n != 0 {
			t.Error("metadata is not the first shard's: ", n, err)
		}
		for i, want := range []string{"t0", "t1", "t2", "t3", "t4"} {
			x := f.Tensor(want)
			if x != &f.Tensors[i] {
				t.Fatalf("%s: tensor %d is %v", name, i, f.Tensors[i])
			}
			got := make([]float32, x.Len())
			x.DType.Decode(got, x.Data)
			if got[7] != float32(i) {
				t.Errorf("%s: %s is %v", name, want, got)
			}
		}
		merged, err := Parse(write(t, f))
		if err != nil || len(merged.Tensors) != 5 {
			t.Errorf("merged: %v", err)
		} else if _, ok := merged.Value("split.count"); ok {
			t.Error("merged file has shards")
		}
		if err := f.Close(); err != nil || f.Tensors[0].Data != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error("second Close: ", err)
		}
	}
}

// part is a shard of one tensor.
func part(no, count uint16, tensors int32, name string) []byte {
	r := file(1, 3).key("split.no", typeUint16).put(no).key("split.count", typeUint16).put(count)
	r.key("split.tensors.count", typeInt32).put(tensors)
	return r.tensor(name, 0, 0, 8).pad(32).data(32).Bytes()
}

func TestOpenShardsRefuses(t *testing.T) {
	const first, second = "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"
	type files = map[string][]byte
	for name, c := range map[string]struct {
		files files
		want  string
	}{
		"missing":        {files{first: part(0, 2, 2, "a")}, "shard 2 of 2"},
		"second copied":  {files{first: part(0, 2, 2, "a"), second: part(0, 2, 2, "a")}, `key "split.no": is 0, want 1`},
		"out of range":   {files{first: part(7, 2, 2, "a"), second: part(1, 2, 2, "b")}, `key "split.no": is 7, want 0`},
		"another split":  {files{first: part(0, 2, 2, "a"), second: part(1, 3, 2, "b")}, `key "split.count": is 3, want 2`},
		"not a shard":    {files{first: part(0, 2, 2, "a"), second: model()}, `key "split.no": no such key`},
		"same tensor":    {files{first: part(0, 2, 2, "a"), second: part(1, 2, 2, "a")}, `tensor "a": is in two shards`},
		"tensors lost":   {files{first: part(0, 2, 3, "a"), second: part(1, 2, 3, "b")}, `key "split.tensors.count": is 3, the shards have 2`},
		"negative count": {files{first: part(0, 2, -1, "a"), second: part(1, 2, 3, "b")}, "want an unsigned integer"},
		"65535 shards":   {files{first: part(0, 65535, 2, "a")}, `is 65535, the file's name says 2`},
		"broken shard":   {files{first: part(0, 2, 2, "a"), second: part(1, 2, 2, "b")[:150]}, "shard 2 of 2"},
		"wrong type": {files{first: file(0, 1).key("split.count", typeString).str("../../etc/passwd").Bytes()},
			`key "split.count": is string, want an unsigned integer`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, b := range c.files {
				put(t, filepath.Join(dir, name), b)
			}
			f, err := Open(filepath.Join(dir, first))
			var fault *FormatError
			if f != nil || !errors.As(err, &fault) && !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	lone := filepath.Join(t.TempDir(), "model.gguf")
	put(t, lone, part(0, 2, 2, "a"))
	if _, err := Open(lone); err == nil || !strings.Contains(err.Error(), "not named like name-00001-of-00002.gguf") {
		t.Error(err)
	}
	whole := filepath.Join(t.TempDir(), "model.gguf")
	put(t, whole, part(0, 0, 1, "a")) // as merging tools leave it
	if f, err := Open(whole); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("empty"), nil)
	put(t, at("broken"), model()[:100])
	for path, want := range map[string]string{
		at("none"):   "no such file",
		at("empty"):  "empty: is empty",
		at("broken"): "broken: header: ",
		dir:          "is a folder, want a file",
	} {
		if runtime.GOOS == "windows" && path == at("none") {
			continue // says it in other words
		}
		if f, err := Open(path); f != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

// TestOpenSparse: a file of a terabyte of nothing is refused at once.
func TestOpenSparse(t *testing.T) {
	for name, head := range map[string][]byte{
		"string of 1 GiB": file(0, 1).key("k", typeString).put(uint64(1 << 30)).Bytes(),
		"1e9 doubles":     file(0, 1).list("k", typeFloat64, 1e9).Bytes(),
		"1e9 strings":     file(0, 1).list("k", typeString, 1e9).Bytes(),
		"1e9 keys":        file(0, 1e9).Bytes(),
		"1e9 tensors":     file(1e9, 0).Bytes(),
	} {
		path := filepath.Join(t.TempDir(), "sparse.gguf")
		put(t, path, head)
		if err := os.Truncate(path, 1<<40); err != nil {
			t.Skip("no sparse files here: ", err)
		}
		f, err := Open(path)
		var fault *FormatError
		if f != nil || !errors.As(err, &fault) || !strings.Contains(err.Error(), "metadata may take") {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(path)
	}
}

func TestOpenLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.gguf")
	put(t, path, file(1, 0).tensor("x", 0, 0, 1<<37).pad(32).Bytes())
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := len(f.Tensor("x").Data); n != 1<<39 {
		t.Errorf("%d bytes", n)
	}
}

// TestForget: what is forgotten is read again, also through what was made of it.
func TestForget(t *testing.T) {
	f, err := Open("testdata/split-00001-of-00003.gguf")
	if err != nil {
		t.Fatal(err)
	}
	before := write(t, f)
	f.Forget()
	view, err := New(f.Meta, f.Tensors, f)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	view.Forget()
	if !bytes.Equal(write(t, f), before) {
		t.Error("the file has changed")
	}
}
