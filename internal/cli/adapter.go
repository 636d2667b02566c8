package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/internal/quantize"
	"github.com/llcuda/llcuda/magics"
)

// adapterFlags are the adapters of a model that a command loads, and other
// changes of its weights.
type adapterFlags struct {
	adapters []string
	base     string
	merge    bool
	quantize string
}

func (af *adapterFlags) add(cmd *cobra.Command) {
	af.addAdapters(cmd)
	f := cmd.Flags()
	f.BoolVar(&af.merge, "merge", false, "put the adapters into the weights instead of beside them")
	f.StringVar(&af.quantize, "quantize", "", "load the weights in a smaller `type`, such as q4_k_m; llcuda quantize lists them")
	completeNames(cmd, "quantize", quantize.Names())
}

func (af *adapterFlags) addAdapters(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&af.adapters, "adapter", nil, "an `adapter` (LoRA) for the model: a folder of PEFT, a .gguf file or a repository, with =0.5 for half of it; may be given several times")
	f.StringVar(&af.base, "base", "", "where MODEL is an adapter's folder or repository: the `model` to load instead of the one that it names")
}

// A scaled is an adapter by its path, and how much of it.
type scaled struct {
	path  string
	scale float32
	model bool   // it is MODEL, and its base was found for it
	name  string // "": the path's
}

// load loads a model with its adapters. A MODEL that is an adapter's folder is
// the base that it names, with the adapter.
func (af *adapterFlags) load(cmd *cobra.Command, name string, o engine.Options) (*engine.Model, error) {
	mix, err := af.mix()
	if err != nil {
		return nil, usageError{err}
	}
	f, all, err := af.find(cmd, query(name, o))
	if err != nil {
		return nil, err
	}
	if af.merge {
		if f, err = merged(cmd, f, all); err != nil {
			return nil, err
		}
		all = nil
	}
	if f, err = quantized(f, mix); err != nil {
		return nil, err
	}
	m, err := engine.LoadOwned(cmd.Context(), f, o)
	if err != nil {
		return nil, err
	}
	if err := attach(cmd, m, all); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// mix is what --quantize asks for; nil is nothing.
func (af *adapterFlags) mix() (*quantize.Mix, error) {
	if af.quantize == "" {
		return nil, nil
	}
	m, err := quantize.ParseMix(af.quantize)
	return &m, err
}

// quantized is a model in the types of mix, which is nil where it keeps its own.
// After an error f is closed.
func quantized(f *gguf.File, mix *quantize.Mix) (*gguf.File, error) {
	if mix == nil {
		return f, nil
	}
	q, err := quantize.File(f, quantize.Options{Mix: *mix})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return q, nil
}

// find opens a model's file, and says which adapters are to go with it.
func (af *adapterFlags) find(cmd *cobra.Command, q catalog.Query) (*gguf.File, []scaled, error) {
	all, err := af.parse()
	if err != nil {
		return nil, nil, usageError{err}
	}
	dir := catalog.InHome(q.Name)
	_, missing := os.Stat(dir)
	switch {
	case lora.IsFolder(dir):
		return af.withBase(cmd, q, scaled{dir, 1, true, ""}, all)
	case af.base != "" && (missing == nil || q.Name == "demo"):
		return nil, nil, usageError{fmt.Errorf("--base goes with an adapter's folder, which %s is not", q.Name)}
	case af.base != "":
		return af.fromHub(cmd, q, all)
	}
	f, err := openModel(cmd, q, catalog.FromEnv().Find)
	if e := (*catalog.AdapterError)(nil); errors.As(err, &e) {
		return af.fromHub(cmd, q, all)
	}
	return f, all, err
}

// fromHub is find for a repository of an adapter.
func (af *adapterFlags) fromHub(cmd *cobra.Command, q catalog.Query, all []scaled) (*gguf.File, []scaled, error) {
	found, err := pull(cmd, catalog.Query{Name: q.Name}, catalog.FromEnv().FindAdapter)
	if err != nil {
		return nil, nil, err
	}
	return af.withBase(cmd, q, scaled{filepath.Dir(found.Path), 1, true, found.Name}, all)
}

// withBase opens the base of an adapter: that of --base, or the one that the
// adapter names.
func (af *adapterFlags) withBase(cmd *cobra.Command, q catalog.Query, a scaled, all []scaled) (*gguf.File, []scaled, error) {
	find := catalog.FromEnv().Find
	if af.base != "" {
		q.Name = af.base
	} else {
		base, err := lora.BaseOf(a.path)
		if err != nil {
			return nil, nil, err
		}
		find = func(ctx context.Context, q catalog.Query) (*catalog.Found, error) {
			return catalog.FromEnv().FindBase(ctx, a.path, base, q)
		}
	}
	f, err := openModel(cmd, q, find)
	if err == nil {
		f, err = trained(f, a.path)
	}
	return f, append([]scaled{a}, all...), err
}

// trained is a base with the chat template that an adapter was trained with.
func trained(f *gguf.File, dir string) (*gguf.File, error) {
	template, err := lora.Template(dir)
	if err == nil {
		var with *gguf.File
		if with, err = lora.WithTemplate(f, template); err == nil {
			return with, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

// parse reads PATH and PATH=SCALE.
func (af *adapterFlags) parse() (all []scaled, err error) {
	for _, a := range af.adapters {
		path, scale, err := magics.ParseScaled(a)
		if err != nil {
			return nil, fmt.Errorf("--adapter %w", err)
		}
		all = append(all, scaled{path: path, scale: scale})
	}
	return all, nil
}

// attach puts adapters beside the weights, for all texts.
func attach(cmd *cobra.Command, m *engine.Model, all []scaled) error {
	var set []engine.Scaled
	for _, s := range all {
		f, name, err := openAdapter(cmd, s.path, m.File())
		if err != nil {
			return err
		}
		name = cmp.Or(s.name, name)
		a, err := m.Attach(cmd.Context(), f, name)
		if err != nil {
			return err
		}
		if doubt := a.Info().Doubt; doubt != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "llcuda: adapter %s: %s\n", name, doubt)
		}
		set = append(set, engine.Scaled{Adapter: a, Scale: s.scale})
	}
	return m.SetAdapters(set...)
}

// merged is a model with adapters in its weights. After an error f is closed.
func merged(cmd *cobra.Command, f *gguf.File, all []scaled) (*gguf.File, error) {
	for _, s := range all {
		a, _, err := openAdapter(cmd, s.path, f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		m, err := lora.Merge(f, a, s.scale)
		if err != nil {
			return nil, errors.Join(err, a.Close(), f.Close())
		}
		f = m
	}
	return f, nil
}

// openAdapter finds an adapter, fetches it if it is not here, and opens it for
// a base.
func openAdapter(cmd *cobra.Command, path string, base *gguf.File) (*gguf.File, string, error) {
	found, err := pull(cmd, catalog.Query{Name: path}, catalog.FromEnv().FindAdapter)
	if err != nil {
		return nil, "", err
	}
	f, err := lora.Open(found.Path, base)
	return f, found.Name, err
}
