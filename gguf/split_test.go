package gguf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestSplit: what gguf-py split comes apart in the same way, whatever it was
// before, and Open puts it together.
func TestSplit(t *testing.T) {
	whole, err := Open("testdata/split-00001-of-00003.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	one := int64(whole.Tensors[0].Bytes())
	for _, c := range []struct {
		bytes int64
		parts []int
	}{{2 * one, []int{2, 2, 1}}, {2*one + 1, []int{2, 2, 1}}, {3*one - 1, []int{2, 2, 1}}, {1, []int{1, 1, 1, 1, 1}}, {4 * one, []int{4, 1}}} {
		parts, err := whole.Split(c.bytes)
		if err != nil || len(parts) != len(c.parts) {
			t.Fatalf("%d bytes: %d parts, want %d (%v)", c.bytes, len(parts), len(c.parts), err)
		}
		dir := t.TempDir()
		for i, p := range parts {
			if len(p.Tensors) != c.parts[i] {
				t.Errorf("%d bytes: part %d has %d tensors, want %d", c.bytes, i, len(p.Tensors), c.parts[i])
			}
			if err := os.WriteFile(ShardPath(dir+"/x.gguf", i, len(parts)), write(t, p), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Open(filepath.Join(dir, fmt.Sprintf("x-00001-of-%05d.gguf", len(parts))))
		if err != nil {
			t.Fatal(err)
		}
		if got := write(t, again); !bytes.Equal(got, write(t, whole)) {
			t.Errorf("%d bytes: put together it is another file", c.bytes)
		}
		again.Close()
	}
	if parts, err := whole.Split(5 * one); err != nil || len(parts) != 1 || parts[0] != whole {
		t.Errorf("all fits: %v, %v", parts, err)
	}
}
