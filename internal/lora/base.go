package lora

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llcuda/llcuda/gguf"
)

// A MismatchError says why an adapter is none of a base.
type MismatchError struct {
	Adapter, For string // the adapter, and what its base is called, if it says so
	Base         string
	Differs      []string // what is different, the most telling first
}

func (e *MismatchError) Error() string {
	const most = 4
	s := "lora: " + e.Adapter
	if e.For != "" {
		s += ", an adapter for " + e.For + ","
	}
	s += " does not fit " + e.Base + ": "
	if n := len(e.Differs); n > most {
		s += strings.Join(e.Differs[:most], "; ") + fmt.Sprintf("; and %d differences more", n-most)
	} else {
		s += strings.Join(e.Differs, "; ")
	}
	if e.For != "" {
		return s + "; load " + e.For + " for it"
	}
	return s + "; load the model that it was trained on"
}

// nameOf is what a model is called.
func nameOf(f *gguf.File) string {
	name, _ := f.StringOr("general.name", "")
	file := strings.TrimSuffix(filepath.Base(f.Path), ".gguf")
	if file == "." {
		file = "the model"
	}
	return cmp.Or(name, file)
}

// Target finds the tensor of a base that a delta of that name changes. The
// output of a base that has none is its embedding.
func Target(base *gguf.File, name string) *gguf.Tensor {
	t := base.Tensor(name)
	if t == nil && name == "output.weight" {
		t = base.Tensor(embedding)
	}
	return t
}

// Check refuses an adapter that was made for another model with a
// *MismatchError.
func (a *Adapter) Check(base *gguf.File, name string) error {
	e := &MismatchError{Adapter: cmp.Or(name, a.Name, "the adapter"), For: a.Base, Base: nameOf(base)}
	if arch, _ := base.StringOr("general.architecture", ""); a.Arch != arch {
		e.Differs = append(e.Differs, fmt.Sprintf("its architecture is %s, the model's %s", a.Arch, arch))
	}
	var shapes, missing []string
	layers := 0
	see := func(name string, what string, shape []int) {
		t := Target(base, name)
		layers = max(layers, layerOf(name)+1)
		switch {
		case t == nil:
			missing = append(missing, fmt.Sprintf("the model has no %q", name))
		case !slices.Equal(trim(t.Shape), trim(shape)):
			shapes = append(shapes, fmt.Sprintf("%q is %s there, %s %s", name, shapeText(t.Shape), what, shapeText(shape)))
		}
	}
	for i := range a.Deltas {
		d := &a.Deltas[i]
		shape := []int{d.Out(), d.In()}
		if d.Embeds() {
			shape = []int{d.In(), d.Out()}
		}
		see(d.Name, "the adapter is for", shape)
	}
	for _, t := range a.Whole {
		see(t.Name, "the adapter has", t.Shape)
	}
	have := 0
	for i := range base.Tensors {
		have = max(have, layerOf(base.Tensors[i].Name)+1)
	}
	if layers > have {
		e.Differs = append(e.Differs, fmt.Sprintf("it is for %d layers or more, the model has %d", layers, have))
		missing = slices.DeleteFunc(missing, func(s string) bool { return strings.Contains(s, `"blk.`) })
	}
	if e.Differs = slices.Concat(e.Differs, shapes, missing); len(e.Differs) > 0 {
		return e
	}
	return nil
}

// Doubt says that a model, which an adapter fits, may not be the one that it
// was made for; "" is no doubt.
func (a *Adapter) Doubt(base *gguf.File) string {
	if a.Base == "" {
		return ""
	}
	want := plainName(a.Base)
	names := []string{filepath.Base(base.Path)}
	for _, key := range []string{"general.name", "general.basename", "general.base_model.0.name", "general.base_model.0.repo_url", "general.repo_url", "general.source.url"} {
		if s, _ := base.StringOr(key, ""); s != "" {
			names = append(names, s)
		}
	}
	for _, n := range names {
		if got := plainName(n); got != "" && (strings.Contains(got, want) || len(got) > 5 && strings.HasPrefix(want, got)) {
			return ""
		}
	}
	return fmt.Sprintf("it was trained on %s; the model calls itself %s", a.Base, nameOf(base))
}

// plainName is the end of a name without what tells its forms apart.
func plainName(s string) string {
	s = strings.ToLower(strings.TrimRight(s, "/"))
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	for _, form := range []string{".gguf", "-gguf", "-unsloth", "-bnb", "-4bit", "-8bit"} {
		s = strings.ReplaceAll(s, form, "")
	}
	return strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(s)
}

// layerOf is the layer of a tensor, -1 outside of them.
func layerOf(name string) int {
	rest, ok := strings.CutPrefix(name, "blk.")
	number, _, _ := strings.Cut(rest, ".")
	if v, err := strconv.Atoi(number); ok && err == nil && v >= 0 {
		return v
	}
	return -1
}

func shapeText(shape []int) string {
	var s []string
	for _, d := range shape {
		s = append(s, strconv.Itoa(d))
	}
	return "(" + strings.Join(s, ", ") + ")"
}

// trim drops leading ones of a shape: files write (n) also as (1, n).
func trim(shape []int) []int {
	for len(shape) > 1 && shape[0] == 1 {
		shape = shape[1:]
	}
	return shape
}

// headDim is the length of the base's query and key heads.
func headDim(base *gguf.File, arch string) (int, error) {
	n, err := base.UintOr(arch+".attention.key_length", 0)
	if err == nil && n == 0 {
		var dim, heads uint64
		if dim, err = base.Uint(arch + ".embedding_length"); err != nil {
			return 0, err
		}
		if heads, err = base.Uint(arch + ".attention.head_count"); err == nil && heads > 0 {
			n = dim / heads
		}
	}
	if err != nil {
		return 0, err
	}
	if n == 0 || n > 1<<20 || n%2 != 0 {
		return 0, fmt.Errorf("the base's heads have length %d", n)
	}
	return int(n), nil
}
