package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics"
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// modelFlags are the options of every command that loads a model.
type modelFlags struct {
	context   int
	threads   int
	batch     int
	gpuLayers int
	device    deviceFlag
	cacheType string
	adapterFlags
}

func (mf *modelFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVarP(&mf.context, "ctx", "c", 0, "context length (default: the model's, at most 4096)")
	f.IntVarP(&mf.threads, "threads", "t", 0, "CPU threads (default: all cores)")
	f.IntVarP(&mf.batch, "batch", "b", 0, "tokens of a prompt computed together (default 512)")
	f.IntVar(&mf.gpuLayers, "gpu-layers", -1, "the last `layers` go to the GPU; 0 is none, -1 as many as fit")
	mf.device.add(cmd)
	f.StringVar(&mf.cacheType, "cache-type", "f16", "type of the KV cache: f16, bf16, q8_0 or f32")
	completeNames(cmd, "cache-type", cacheTypes())
	mf.adapterFlags.add(cmd)
}

func (mf *modelFlags) threadCount() int {
	if mf.threads > 0 {
		return mf.threads
	}
	return runtime.NumCPU()
}

// open loads a model by what a user calls it: a file, a short name, a repository
// of Hugging Face, or demo. What is not here is fetched.
func (mf *modelFlags) open(cmd *cobra.Command, name string) (*engine.Model, error) {
	o, err := mf.options(cmd)
	if err != nil {
		return nil, err
	}
	m, err := mf.load(cmd, name, o)
	if err == nil && len(o.GPUs) > 0 && m.Info().Device == "cpu" {
		fmt.Fprintln(cmd.ErrOrStderr(), "llcuda: the CPU is used: no card has memory free for a layer; close what fills them, or try a smaller --ctx")
	}
	return m, err
}

// query asks for a model. Where the name leaves the quantisation open, it is
// chosen for the memory of o's devices.
func query(name string, o engine.Options) catalog.Query {
	return catalog.Query{Name: name, Context: o.Context, Room: func() catalog.Room { return magics.Room(o) }}
}

// A finder finds what a name means.
type finder func(context.Context, catalog.Query) (*catalog.Found, error)

// openModel opens the file of a model, fetched if it is not here.
func openModel(cmd *cobra.Command, q catalog.Query, find finder) (*gguf.File, error) {
	if q.Name == "demo" {
		return demo.Open()
	}
	found, err := pull(cmd, q, find)
	if err != nil {
		return nil, err
	}
	return catalog.Open(found.Path)
}

// options are the engine's, with the devices opened.
func (mf *modelFlags) options(cmd *cobra.Command) (engine.Options, error) {
	cache, err := mf.check()
	if err != nil {
		return engine.Options{}, usageError{err}
	}
	o := engine.Options{Device: cpu.New(mf.threads), GPULayers: mf.gpuLayers, Context: mf.context,
		CacheType: cache, ExactCache: cache == tensor.F32, Batch: mf.batch}
	if mf.gpuLayers == 0 {
		return o, nil
	}
	o.GPUs, err = mf.device.cards(cmd)
	return o, err
}

// check refuses flags that no model could be loaded with.
func (mf *modelFlags) check() (cache tensor.DType, err error) {
	switch {
	case mf.context < 0:
		return 0, fmt.Errorf("--ctx %d: want 1 or more tokens, or 0 for the default", mf.context)
	case mf.threads < 0:
		return 0, fmt.Errorf("--threads %d: want 1 or more, or 0 for all cores", mf.threads)
	case mf.gpuLayers < -1:
		return 0, fmt.Errorf("--gpu-layers %d: want 0 or more, or -1 for as many as fit", mf.gpuLayers)
	case mf.batch < 0:
		return 0, fmt.Errorf("--batch %d: want 1 or more tokens, or 0 for the default", mf.batch)
	}
	cache, err = tensor.ParseDType(mf.cacheType)
	if err != nil || !slices.Contains([]tensor.DType{tensor.F16, tensor.BF16, tensor.Q8_0, tensor.F32}, cache) {
		return 0, fmt.Errorf("--cache-type %q: want f16, bf16, q8_0 or f32", mf.cacheType)
	}
	return cache, nil
}

// findModel returns the path of a model that is on this machine.
func findModel(name string) (string, error) {
	path, err := magics.FindModel(name)
	return path, plain(err)
}

// plain is an error in the words of the command line.
func plain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if e := (*jupyter.Error)(nil); errors.As(err, &e) {
		text = e.Value
	}
	return said{onCommandLine.Replace(text), err}
}

// onCommandLine says for a shell what errors of magics say for a cell.
var onCommandLine = strings.NewReplacer("%load demo", "demo", "%models", "llcuda models", "%pull", "llcuda pull",
	" of %load names", " names", "%load names address and model anew", "check address and --model", "run the cell again", "run the command again", "%env ", "export ")

// said is an error in other words.
type said struct {
	text string
	err  error
}

func (e said) Error() string { return e.text }
func (e said) Unwrap() error { return e.err }

// openGGUF maps the file of a model that is on this machine, without loading it:
// to look into one is no reason to fetch it.
func openGGUF(name string) (*gguf.File, error) {
	if name == "demo" {
		return demo.Open()
	}
	path, err := findModel(name)
	if err != nil {
		return nil, err
	}
	return catalog.Open(path)
}

// openTokenizer reads the vocabulary of a model's file. Its strings are
// copies: the file is closed again.
func openTokenizer(name string) (*tokenizer.Tokenizer, error) {
	f, err := openGGUF(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return tokenizer.Read(f)
}

// exactly and between are cobra's checks of positional arguments, ending with
// the exit code of wrong usage.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(lo, hi int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < lo || len(args) > hi {
			return usageError{fmt.Errorf("%s: %d arguments; usage: %s", cmd.Name(), len(args), cmd.UseLine())}
		}
		return nil
	}
}
