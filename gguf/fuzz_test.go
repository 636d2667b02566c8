package gguf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse: whatever the bytes are, Parse returns a file or a *FormatError,
// never both. What it accepts is written
//
//   - as the same bytes when the file is canonical: nothing after the end, and
//     padding of zeros; and
//   - as a canonical file in any case, with the same content.
func FuzzParse(f *testing.F) {
	f.Add(model())
	f.Add(many(3))
	f.Add(file(0, 0).Bytes())
	for _, c := range refused() {
		if len(c.data) < 4096 {
			f.Add(c.data)
		}
	}
	names, _ := filepath.Glob("testdata/*.gguf")
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Parse(b)
		if err != nil {
			var fault *FormatError
			if x != nil || !errors.As(err, &fault) {
				t.Fatalf("%v beside %T %v", x, err, err)
			}
			return
		}
		for i := range x.Tensors {
			if s := &x.Tensors[i]; len(s.Data) != s.DType.Bytes(s.Len()) || x.Tensor(s.Name) != s {
				t.Fatalf("tensor %s: %d bytes", s.Name, len(s.Data))
			}
		}
		Check(x)
		once := write(t, x)
		canonical := x.shards[0].slack == 0 && !x.shards[0].dirty
		if canonical != bytes.Equal(once, b) {
			t.Fatalf("canonical %v: %d bytes became %d", canonical, len(b), len(once))
		}
		y, err := Parse(once)
		if err != nil {
			t.Fatal("written, but refused: ", err)
		}
		if !bytes.Equal(write(t, y), once) {
			t.Fatal("written twice, different bytes")
		}
	})
}
