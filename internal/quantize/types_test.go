package quantize

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// A typesCase is a model of testdata/make_types.py with llama.cpp's choices.
type typesCase struct {
	Name           string
	Arch           string
	Layers         int
	Heads          int
	KVHeads        int `json:"kv_heads"`
	Experts        int
	Model, Layer   [][]any
	Plain, Imatrix map[string]choices
}

// choices are the type that most tensors have, and the tensors that have
// another one.
type choices map[string]json.RawMessage

func (c choices) types(t *testing.T, n int) []string {
	t.Helper()
	all := make([]string, n)
	for name, list := range c {
		if name == "most" {
			continue
		}
		var at []int
		if err := json.Unmarshal(list, &at); err != nil {
			t.Fatal(err)
		}
		for _, i := range at {
			all[i] = name
		}
	}
	var most string
	if err := json.Unmarshal(c["most"], &most); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i] == "" {
			all[i] = most
		}
	}
	return all
}

func (c *typesCase) file(t *testing.T) *gguf.File {
	t.Helper()
	own := func(key string, v int) gguf.KV { return gguf.KV{Key: c.Arch + "." + key, Value: uint32(v)} }
	meta := []gguf.KV{{Key: "general.architecture", Value: c.Arch}, own("block_count", c.Layers),
		own("attention.head_count", c.Heads), own("attention.head_count_kv", c.KVHeads), own("expert_count", c.Experts)}
	var tensors []gguf.Tensor
	add := func(prefix string, list [][]any) {
		for _, l := range list {
			x := gguf.Tensor{Name: prefix + l[0].(string), DType: tensor.F16, Make: func([]byte, int) error { return nil }}
			for _, n := range l[1:] {
				x.Shape = append(x.Shape, int(n.(float64)))
			}
			if len(x.Shape) == 1 {
				x.DType = tensor.F32
			}
			tensors = append(tensors, x)
		}
	}
	add("", c.Model)
	for i := range c.Layers {
		add(fmt.Sprintf("blk.%d.", i), c.Layer)
	}
	f, err := gguf.New(meta, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTypes: every tensor of every model gets llama.cpp's type in every mix,
// with and without an importance matrix.
func TestTypes(t *testing.T) {
	b, err := os.ReadFile("testdata/types.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []typesCase
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, c := range cases {
		f := c.file(t)
		for _, m := range Mixes {
			for _, importance := range []bool{false, true} {
				theirs := c.Plain[m.Name]
				if with, differs := c.Imatrix[m.Name]; importance && differs {
					theirs = with
				}
				if theirs == nil && !importance {
					continue // q2_k_s is refused without an importance matrix
				}
				if theirs == nil {
					t.Fatalf("%s: nothing to compare %s with", c.Name, m.Name)
				}
				got, err := m.Types(f, importance)
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range theirs.types(t, len(f.Tensors)) {
					if compared++; got[i].String() != want {
						t.Errorf("%s, %s, importance %t: %s is %s, want %s", c.Name, m.Name, importance, f.Tensors[i].Name, got[i], want)
					}
				}
			}
		}
	}
	if compared < 100_000 {
		t.Errorf("%d types compared", compared)
	}
}
