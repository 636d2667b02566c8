package export

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// model is a file of n tensors of 1 KiB; made, if it is not nil, is called when
// their numbers are wanted.
func model(t *testing.T, n int, made func(i int) error) *gguf.File {
	t.Helper()
	tensors := make([]gguf.Tensor, n)
	for i := range tensors {
		tensors[i] = gguf.Tensor{Name: string(rune('a' + i)), DType: tensor.F32, Shape: []int{256}, Make: func(dst []byte, _ int) error {
			clear(dst)
			dst[0] = byte(i)
			if made != nil {
				return made(i)
			}
			return nil
		}}
	}
	meta := []gguf.KV{{Key: "general.architecture", Value: "llama"}, {Key: "llama.block_count", Value: uint32(1)},
		{Key: "llama.context_length", Value: uint32(8)}, {Key: "llama.embedding_length", Value: uint32(256)},
		{Key: "llama.attention.head_count", Value: uint32(4)}}
	f, err := gguf.New(meta, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// names lists a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range all {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestFile(t *testing.T) {
	for _, c := range []struct {
		max  int64
		want string
	}{{0, "m.gguf"}, {1 << 20, "m.gguf"}, {2048, "m-00001-of-00003.gguf m-00002-of-00003.gguf m-00003-of-00003.gguf"}} {
		dir := t.TempDir()
		var last, all int64
		r, err := File(t.Context(), model(t, 5, nil), filepath.Join(dir, "m.gguf"),
			Options{MaxBytes: c.max, Progress: func(done, total int64) { last, all = done, total }})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir); got != c.want || len(r.Problems) > 0 {
			t.Errorf("%d: %s, want %s; %v", c.max, got, c.want, r.Problems)
		}
		if last != 5<<10 || all != last {
			t.Errorf("%d: progress ended at %d of %d, want %d", c.max, last, all, 5<<10)
		}
		f, err := gguf.Open(r.Paths[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors) != 5 || f.Tensors[4].Data[0] != 4 || f.Size() != r.Bytes {
			t.Errorf("%d: read %d tensors, %d bytes of %d", c.max, len(f.Tensors), f.Size(), r.Bytes)
		}
		f.Close()
	}
}

// TestFileKeeps: whatever goes wrong, there is what was there before.
func TestFileKeeps(t *testing.T) {
	failure := errors.New("no more rows")
	for _, c := range []struct {
		name  string
		file  string
		o     Options
		made  func(stop context.CancelFunc) func(int) error
		want  string
		error error
	}{
		{"there is one", "m.gguf", Options{}, nil, "m.gguf is there already", ErrExists},
		{"a part is there", "m-00002-of-00003.gguf", Options{MaxBytes: 2048}, nil, "m-00002-of-00003.gguf is there already", ErrExists},
		{"numbers fail", "m.gguf", Options{Force: true}, func(context.CancelFunc) func(int) error {
			return func(i int) error {
				if i == 3 {
					return failure
				}
				return nil
			}
		}, `tensor "d": no more rows`, failure},
		{"interrupted", "m.gguf", Options{Force: true, MaxBytes: 2048}, func(stop context.CancelFunc) func(int) error {
			return func(i int) error {
				if i == 3 {
					stop()
				}
				return nil
			}
		}, "context canceled", context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var made func(int) error
			if c.made != nil {
				made = c.made(stop)
			}
			_, err := File(ctx, model(t, 5, made), filepath.Join(dir, "m.gguf"), c.o)
			if !errors.Is(err, c.error) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if got := names(t, dir); got != c.file {
				t.Errorf("there is %s, want %s", got, c.file)
			}
			if b, _ := os.ReadFile(filepath.Join(dir, c.file)); string(b) != "old" {
				t.Errorf("the file became %q", b)
			}
		})
	}
}

func TestFileRefuses(t *testing.T) {
	for path, want := range map[string]string{"m.bin": "ends in .gguf", filepath.Join(t.TempDir(), "none", "m.gguf"): "none: no such file"} {
		if _, err := File(t.Context(), model(t, 1, nil), path, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	// Larger than any disk: only the sum is asked.
	big, err := gguf.New(nil, []gguf.Tensor{{Name: "x", DType: tensor.F32, Shape: []int{1 << 30, 1 << 20}, Make: func([]byte, int) error { return nil }}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := File(t.Context(), big, filepath.Join(t.TempDir(), "m.gguf"), Options{}); err == nil || !strings.Contains(err.Error(), "MB free in") {
		t.Error(err)
	}
}
