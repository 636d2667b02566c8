package magics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
	"github.com/llcuda/llcuda/tensor"
)

func init() {
	register(Magic{Name: "gguf", Args: "show|check MODEL, get MODEL KEY, or tensor MODEL NAME", Doc: "looks into a model's file without loading it", Line: true,
		Help: `%gguf show demo                                  metadata and tensors
%gguf check demo                                 is the file sound?
%gguf get demo general.architecture              one value
%gguf tensor demo token_embd.weight --as W       a tensor for %tensor, in the type it has in the file`,
		Flags: func(f *pflag.FlagSet) { f.String("as", "", "the `variable` that tensor makes") },
		Run:   ggufMagic,
		Complete: func(_ *Interpreter, c Completing) []string {
			if len(c.Words) == 0 {
				return []string{"show", "check", "get", "tensor"}
			}
			return modelFiles(c)
		}})
}

func ggufMagic(ctx context.Context, c *Call) error {
	want := map[string]int{"show": 2, "check": 2, "get": 3, "tensor": 3}
	if len(c.Args) == 0 || want[c.Args[0]] != len(c.Args) {
		return c.usage("want show, check, get or tensor, and a model")
	}
	f, err := c.openFile(ctx, c.Args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	switch c.Args[0] {
	case "show":
		return f.Show(c.Display.Stdout())
	case "check":
		return checkFile(c, f)
	case "get":
		return showKey(c, f, c.Args[2])
	}
	return takeTensor(c, f, c.Args[2])
}

// openFile opens a model's file that is on this machine: to look into one is no
// reason to fetch it.
func (in *Interpreter) openFile(ctx context.Context, name string) (*gguf.File, error) {
	if f, err := in.openDemo(name); f != nil || err != nil {
		return f, err
	}
	path, err := FindModel(name)
	if err != nil {
		return nil, err
	}
	f, err := catalog.Open(path)
	if err != nil {
		return nil, loadError(ctx, name, err, nil)
	}
	return f, nil
}

func checkFile(c *Call, f *gguf.File) error {
	problems := gguf.Check(f)
	bad := 0
	for _, p := range problems {
		fmt.Fprintln(c.Display.Stdout(), p)
		if p.Serious {
			bad++
		}
	}
	switch {
	case bad > 0:
		return modelError("%s has %s; take another file", c.Args[1], count(bad, "serious problem"))
	case len(problems) == 0:
		fmt.Fprintf(c.Display.Stdout(), "%s: sound: %s, %s\n", c.Args[1], count(len(f.Meta), "key"), count(len(f.Tensors), "tensor"))
	}
	return nil
}

func showKey(c *Call, f *gguf.File, key string) error {
	v, ok := f.Value(key)
	if !ok {
		var keys []string
		for _, kv := range f.Meta {
			keys = append(keys, kv.Key)
		}
		return modelError("%s has no key %s; %s", c.Args[1], key, closestOr(key, keys, "%gguf show lists them"))
	}
	text := gguf.Brief(v, 2000)
	if s, ok := v.(string); ok {
		text = s
	}
	b := jupyter.Bundle{"text/plain": text}
	if c.Last {
		c.Display.Result(b)
	} else {
		c.Display.Show(b)
	}
	return nil
}

func closestOr(id string, known []string, otherwise string) string {
	if best := expr.Closest(id, known); best != "" {
		return "did you mean " + best + "?"
	}
	return otherwise
}

// takeTensor copies a tensor of the file into a variable.
func takeTensor(c *Call, f *gguf.File, name string) error {
	t := f.Tensor(name)
	if t == nil {
		var names []string
		for _, t := range f.Tensors {
			names = append(names, t.Name)
		}
		return modelError("%s has no tensor %s; %s", c.Args[1], name, closestOr(name, names, "%gguf show lists them"))
	}
	id, _ := c.Flags.GetString("as")
	if id == "" {
		return c.usage("--as is missing: the variable for the tensor")
	}
	if !t.DType.Known() || !slices.Contains(tensor.DTypes(), t.DType) {
		return modelError("%s has type %s, which cannot be read; take another tensor", name, t.DType)
	}
	c.env.Devices = c.devices.all()
	data, err := t.Numbers()
	if err != nil {
		return modelError("%v", err)
	}
	err = gguf.Guard(func() error { return c.env.Put(id, t.DType, slices.Clone(t.Shape), data) })
	if errors.Is(err, gguf.ErrFileChanged) {
		return modelError("%s changed while it was read; try again", c.Args[1])
	}
	if err != nil {
		return &jupyter.Error{Name: "TensorError", Value: strings.TrimPrefix(err.Error(), "tensor: ")}
	}
	return nil
}
