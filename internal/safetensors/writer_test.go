package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestWriteRefuses(t *testing.T) {
	none := func(io.Writer) error { return nil }
	many := func(w io.Writer) error { _, err := w.Write(make([]byte, 5)); return err }
	huge := func(name string) Source { return Source{name, U8, []int{1 << 60}, none} }
	failing := func(io.Writer) error { return io.ErrNoProgress }
	for _, c := range []struct {
		name    string
		meta    []KV
		tensors []Source
		want    string
		bytes   bool // something may have been written
	}{
		{"type", nil, []Source{{"x", "Q4", nil, none}}, `tensor "x": type "Q4" is none`, false},
		{"dimension", nil, []Source{{"x", U8, []int{-1}, none}}, "negative dimension", false},
		{"dimensions", nil, []Source{{"x", U8, make([]int, 65), none}}, "65 dimensions, at most 64", false},
		{"product", nil, []Source{{"x", U8, []int{1 << 40, 1 << 40}, none}}, "too many numbers", false},
		{"product of bits", nil, []Source{{"x", U8, []int{1 << 62}, none}}, "too many numbers", false},
		{"sum", nil, []Source{huge("0"), huge("1"), huge("2"), huge("3"), huge("4"), huge("5"), huge("6"), huge("7")}, `tensor "7": the file gets too large`, false},
		{"half a byte", nil, []Source{{"x", F4, []int{3}, none}}, "not whole bytes", false},
		{"tensor twice", nil, []Source{{"x", U8, []int{0}, none}, {"x", U8, []int{0}, none}}, `tensor "x": the name is taken`, false},
		{"reserved name", nil, []Source{{"__metadata__", U8, []int{0}, none}}, "the name is taken", false},
		{"name not UTF-8", nil, []Source{{"\xff", U8, []int{0}, none}}, "is not UTF-8", false},
		{"metadata not UTF-8", []KV{{"a", "\xff"}}, nil, `metadata "a": is not UTF-8`, false},
		{"metadata twice", []KV{{"a", "1"}, {"a", "2"}}, nil, `metadata "a": is there twice`, false},
		{"header too long", []KV{{"a", strings.Repeat("\x01", 17_000_000)}}, nil, "at most 100000000 allowed", false},
		{"too few bytes", nil, []Source{{"x", U8, []int{4}, none}}, `tensor "x": 0 bytes came, shape [4] of U8 is 4`, true},
		{"too many bytes", nil, []Source{{"x", U8, []int{4}, many}}, "more bytes came than the shape has", true},
		{"source fails", nil, []Source{{"x", U8, []int{4}, failing}}, io.ErrNoProgress.Error(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			err := Write(&b, c.meta, c.tensors)
			if err == nil || !strings.Contains(err.Error(), c.want) || !c.bytes && b.Len() > 0 {
				t.Errorf("got %v and %d bytes, want %s", err, b.Len(), c.want)
			}
		})
	}
	full := errors.New("disk full")
	err := Write(failWriter{full}, nil, []Source{Bytes("x", U8, []int{1 << 20}, make([]byte, 1<<20))})
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

type failWriter struct{ err error }

func (f failWriter) Write([]byte) (int, error) { return 0, f.err }

// TestWriteStreams writes 1 GiB of tensors in much less memory.
func TestWriteStreams(t *testing.T) {
	chunk := make([]byte, 1<<20)
	var tensors []Source
	for i := range 16 {
		tensors = append(tensors, Source{fmt.Sprint(i), F32, []int{16, 1 << 20}, func(w io.Writer) error {
			for range 64 {
				if _, err := w.Write(chunk); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := Write(io.Discard, nil, tensors); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("%d bytes of memory", took)
	}
}

// TestWriteFolder splits, joins again, and leaves nothing of what failed.
func TestWriteFolder(t *testing.T) {
	dir := t.TempDir()
	var tensors []Source
	for i, n := range []int{3, 3, 10, 1, 1, 1} {
		tensors = append(tensors, Bytes(fmt.Sprint("t", i), U8, []int{n}, bytes.Repeat([]byte{byte(i)}, n)))
	}
	files := func() []string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	meta := []KV{{"format", "pt"}}
	if err := WriteFolder(dir, "model", meta, tensors, 6); err != nil {
		t.Fatal(err)
	}
	want := []string{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"}
	if got := files(); !slices.Equal(got, want) {
		t.Fatalf("wrote %q, want %q", got, want)
	}
	index, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
	if err != nil || !strings.HasPrefix(string(index), "{\n  \"metadata\": {\n    \"total_size\": 19\n  },\n  \"weight_map\": {\n    \"t0\": \"model-00001-of-00003.safetensors\",\n") {
		t.Errorf("%v, index %s", err, index)
	}
	check := func() {
		t.Helper()
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if len(f.Tensors) != len(tensors) || !slices.Equal(f.Meta, meta) {
			t.Fatalf("%d tensors, metadata %v", len(f.Tensors), f.Meta)
		}
		for i := range tensors {
			if x := f.Tensor(tensors[i].Name); x == nil || !bytes.Equal(x.Data, bytes.Repeat([]byte{byte(i)}, x.Len())) || x.Len() != tensors[i].Shape[0] {
				t.Errorf("tensor %d is %v", i, x)
			}
		}
	}
	check()

	before := files()
	bad := append(slices.Clone(tensors[:2]), Source{"bad", U8, []int{1}, func(io.Writer) error { return io.ErrNoProgress }})
	if err := WriteFolder(dir, "model", meta, bad, 0); !errors.Is(err, io.ErrNoProgress) || !slices.Equal(files(), before) {
		t.Errorf("%v left %q", err, files())
	}
	check()
	twice := append(slices.Clone(tensors), tensors[0])
	if err := WriteFolder(dir, "model", meta, twice, 6); err == nil || !strings.Contains(err.Error(), `tensor "t0": the name is taken`) || !slices.Equal(files(), before) {
		t.Errorf("a name twice: %v left %q", err, files())
	}
	check()

	// One file now; the old index must not hide it.
	if err := WriteFolder(dir, "model", meta, tensors, 0); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(files(), "model.safetensors.index.json") || !slices.Contains(files(), "model.safetensors") {
		t.Errorf("files %q", files())
	}
	check()
}
