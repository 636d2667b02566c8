package safetensors

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"testing"
)

// FuzzParse: whatever the bytes are, Parse returns a file or a *FormatError,
// never both, in memory bounded by the bytes. The tensors of a file cover its data without gap or overlap, in
// order. Written again it has the same metadata and tensors, and what is
// written is written again as the same bytes.
func FuzzParse(f *testing.F) {
	for _, c := range refused() {
		if len(c.data) < 4096 {
			f.Add(c.data)
		}
	}
	names, _ := filepath.Glob("testdata/*.safetensors")
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		x, err := Parse(b)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 40*uint64(len(b))+1<<20 {
			t.Fatalf("%d bytes of memory for %d", took, len(b))
		}
		if err != nil {
			var fault *FormatError
			if x != nil || !errors.As(err, &fault) {
				t.Fatalf("%v beside %T %v", x, err, err)
			}
			return
		}
		var all []byte
		for i := range x.Tensors {
			s := &x.Tensors[i]
			if len(s.Data)*8 != s.Len()*s.DType.Bits() || x.Tensor(s.Name) != s {
				t.Fatalf("tensor %q: %d bytes", s.Name, len(s.Data))
			}
			all = append(all, s.Data...)
		}
		if !bytes.HasSuffix(b, all) || x.Size() != int64(len(b)) {
			t.Fatalf("%d bytes of tensors in %d", len(all), len(b))
		}
		once := written(t, x)
		y, err := Parse(once)
		if err != nil {
			t.Fatal("written, but refused: ", err)
		}
		if !slices.Equal(x.Meta, y.Meta) || len(x.Tensors) != len(y.Tensors) {
			t.Fatalf("wrote %v, got %v", x, y)
		}
		for i := range x.Tensors {
			if s, u := x.Tensors[i], y.Tensors[i]; s.Name != u.Name || s.DType != u.DType || !slices.Equal(s.Shape, u.Shape) || !bytes.Equal(s.Data, u.Data) {
				t.Fatalf("wrote %v, got %v", s, u)
			}
		}
		if !bytes.Equal(written(t, y), once) || (len(once)-len(all))%8 != 0 {
			t.Fatal("written twice, different bytes")
		}
	})
}

func written(t *testing.T, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f.Meta, f.Sources()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzIndex: an index is read or refused, and whatever it says, its shards are
// files beside it.
func FuzzIndex(f *testing.F) {
	b, err := os.ReadFile("testdata/shards/model.safetensors.index.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, c := range indexes {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		weights, err := parseIndex(b, "")
		if err != nil {
			var fault *FormatError
			if weights != nil || !errors.As(err, &fault) {
				t.Fatalf("%v beside %T %v", weights, err, err)
			}
			return
		}
		for _, name := range weights {
			if path := filepath.Join("a", name); filepath.Dir(path) != "a" || filepath.Base(path) != name {
				t.Fatalf("shard %q", name)
			}
		}
		if again, err := parseIndex(b, ""); err != nil || !reflect.DeepEqual(weights, again) {
			t.Fatal("read twice, different: ", err)
		}
	})
}
