package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/magics"
)

// adapterFlags are the adapters of a model that a command loads.
type adapterFlags struct {
	adapters []string
	base     string
	merge    bool
}

func (af *adapterFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&af.adapters, "adapter", nil, "an `adapter` (LoRA) for the model: a folder of PEFT, a .gguf file or a repository, with =0.5 for half of it; may be given several times")
	f.BoolVar(&af.merge, "merge", false, "put the adapters into the weights instead of beside them")
	f.StringVar(&af.base, "base", "", "where MODEL is an adapter's folder: the `model` to load instead of the one that it names")
}

// A scaled is an adapter by its path, and how much of it.
type scaled struct {
	path  string
	scale float32
}

// load loads a model with its adapters. A MODEL that is an adapter's folder is
// the base that it names, with the adapter.
func (af *adapterFlags) load(cmd *cobra.Command, name string, o engine.Options) (*engine.Model, error) {
	all, err := af.parse()
	if err != nil {
		return nil, usageError{err}
	}
	q := query(name, o)
	find := catalog.FromEnv().Find
	switch dir := catalog.InHome(name); {
	case !lora.IsFolder(dir) && af.base != "":
		return nil, usageError{fmt.Errorf("--base goes with an adapter's folder, which %s is not", name)}
	case !lora.IsFolder(dir):
	case af.base != "":
		all, q.Name = append([]scaled{{dir, 1}}, all...), af.base
	default:
		base, err := lora.BaseOf(dir)
		if err != nil {
			return nil, err
		}
		all = append([]scaled{{dir, 1}}, all...)
		find = func(ctx context.Context, q catalog.Query) (*catalog.Found, error) {
			return catalog.FromEnv().FindBase(ctx, dir, base, q)
		}
	}
	f, err := openModel(cmd, q, find)
	if err != nil {
		return nil, err
	}
	if af.merge {
		return merged(cmd, f, all, o)
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

// parse reads PATH and PATH=SCALE.
func (af *adapterFlags) parse() (all []scaled, err error) {
	for _, a := range af.adapters {
		path, scale, err := magics.ParseScaled(a)
		if err != nil {
			return nil, fmt.Errorf("--adapter %w", err)
		}
		all = append(all, scaled{path, scale})
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

// merged loads a model with adapters in its weights.
func merged(cmd *cobra.Command, f *gguf.File, all []scaled, o engine.Options) (*engine.Model, error) {
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
	return engine.LoadOwned(cmd.Context(), f, o)
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
