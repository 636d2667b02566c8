package safetensors

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// x1 is a file with a tensor of one byte.
func x1(name string) []byte {
	return raw(`{"`+name+`":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "1")
}

// TestOpenShards reads what Python wrote by its index and by its folder.
func TestOpenShards(t *testing.T) {
	want := truthFile{Tensors: map[string]truthTensor{}}
	for name, f := range truth(t) {
		if strings.HasPrefix(name, "shards/") {
			want.Meta = f.Meta
			for k, v := range f.Tensors {
				want.Tensors[k] = v
			}
		}
	}
	for _, path := range []string{"testdata/shards", "testdata/shards/model.safetensors.index.json"} {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		same(t, f, want)
		var order []string
		for _, x := range f.Tensors {
			order = append(order, x.Name)
		}
		if w := []string{"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"}; !slices.Equal(order, w) {
			t.Errorf("order %q, want %q", order, w)
		}
		if n := f.Params(); n != 8*4+4*4+4 {
			t.Errorf("%d numbers", n)
		}
		if c := f.TypeCounts(); len(c) != 2 || c[0] != (TypeCount{F32, 2, 36, 144}) || c[1] != (TypeCount{F16, 1, 16, 32}) {
			t.Errorf("types %v", c)
		}
		if len(f.Paths()) != 2 {
			t.Errorf("files %v", f.Paths())
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if f.Tensors[0].Data != nil {
			t.Error("data after Close")
		}
	}
}

// indexes are refused in a folder that has a.safetensors with the tensor a,
// b.safetensors with b, and twice.safetensors with a.
var indexes = []struct{ name, text, want string }{
	{"empty", ``, "unexpected EOF"},
	{"no object", `[]`, "is an array, want an object"},
	{"no weight_map", `{"metadata":{}}`, "has no weight_map"},
	{"empty weight_map", `{"weight_map":{}}`, "has no weight_map with tensors"},
	{"weight_map twice", `{"weight_map":{"a":"a.safetensors"},"weight_map":{}}`, `key "weight_map" is there twice`},
	{"tensor twice", `{"weight_map":{"a":"a.safetensors","a":"b.safetensors"}}`, `key "a" is there twice`},
	{"shard is a number", `{"weight_map":{"a":1}}`, `the shard of "a" is a number`},
	{"shard above", `{"weight_map":{"a":"../a.safetensors"}}`, "is no file beside the index"},
	{"shard above by a detour", `{"weight_map":{"a":"x/../../a.safetensors"}}`, "is no file beside the index"},
	{"shard from the root", `{"weight_map":{"a":"/etc/passwd"}}`, "is no file beside the index"},
	{"shard from a drive", `{"weight_map":{"a":"C:a.safetensors"}}`, "is no file beside the index"},
	{"shard above, of Windows", `{"weight_map":{"a":"..\\a.safetensors"}}`, "is no file beside the index"},
	{"shard is the folder", `{"weight_map":{"a":"."}}`, "is no file beside the index"},
	{"shard without a name", `{"weight_map":{"a":""}}`, "is no file beside the index"},
	{"NUL in a shard", `{"weight_map":{"a":"a.safetensors\u0000"}}`, "is no file beside the index"},
	{"shard missing", `{"weight_map":{"a":"none.safetensors"}}`, "no such file"},
	{"shard is the index", `{"weight_map":{"a":"model.safetensors.index.json"}}`, "header"},
	{"tensor not in its shard", `{"weight_map":{"a":"a.safetensors","c":"a.safetensors"}}`, `tensor "c": is not in a.safetensors`},
	{"tensor in the other shard", `{"weight_map":{"a":"b.safetensors","b":"a.safetensors"}}`, `tensor "a": is not in b.safetensors but in a.safetensors`},
	{"tensor in two shards", `{"weight_map":{"a":"a.safetensors","b":"twice.safetensors"}}`, `tensor "a": is in two shards, a.safetensors and twice.safetensors`},
	{"deep", `{"x":` + strings.Repeat("[", 1000), "nested deeper than 64"},
	{"more after the end", `{"weight_map":{"a":"a.safetensors"}} x`, "more after the end"},
	{"not UTF-8", "{\"weight_map\":{\"a\":\"\xff\"}}", "is not UTF-8"},
}

func TestOpenIndexRefuses(t *testing.T) {
	for _, c := range indexes {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(filepath.Dir(dir), "a.safetensors"), x1("a"))
			put(t, filepath.Join(dir, "a.safetensors"), x1("a"))
			put(t, filepath.Join(dir, "b.safetensors"), x1("b"))
			put(t, filepath.Join(dir, "twice.safetensors"), x1("a"))
			put(t, filepath.Join(dir, "model.safetensors.index.json"), []byte(c.text))
			f, err := Open(dir)
			var fault *FormatError
			if f != nil || err == nil || !strings.Contains(err.Error(), c.want) ||
				!errors.As(err, &fault) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v, %v, want %s", f, err, c.want)
			}
		})
	}
}

// TestOpenFolder says which of a folder's files is the checkpoint.
func TestOpenFolder(t *testing.T) {
	for _, c := range []struct{ name, files, want, refusal string }{
		{"nothing", "config.json", "", "has no .safetensors file"},
		{"model", "model.safetensors adapter_model.safetensors other.safetensors", "model.safetensors", ""},
		{"adapter", "adapter_model.safetensors other.safetensors", "adapter_model.safetensors", ""},
		{"one", "diffusion.safetensors config.json", "diffusion.safetensors", ""},
		{"several", "a.safetensors b.safetensors", "", "has a.safetensors, b.safetensors and no model.safetensors; name one"},
		{"many", "a.safetensors b.safetensors c.safetensors d.safetensors", "", "has 4 files *.safetensors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name := range strings.FieldsSeq(c.files) {
				put(t, filepath.Join(dir, name), x1("x"))
			}
			f, err := Open(dir)
			if c.refusal != "" {
				if f != nil || err == nil || !strings.Contains(err.Error(), c.refusal) {
					t.Errorf("got %v, %v, want %s", f, err, c.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if p := f.Paths(); len(p) != 1 || p[0] != filepath.Join(dir, c.want) {
				t.Errorf("opened %v, want %s", p, c.want)
			}
		})
	}
	if f, err := Open(filepath.Join(t.TempDir(), "none")); f != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such path: %v, %v", f, err)
	}
}
