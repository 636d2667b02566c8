package magics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/verify"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/tensor"
)

func init() {
	register(Magic{Name: "load", Args: "MODEL", Doc: "loads a model: a short name, a .gguf file, a checkpoint's folder, a repository of Hugging Face, or demo (the embedded model)", Line: true,
		Help: `%load demo
%load gemma-3-1b-Q4_K_M --ctx 8192     a short name, fetched at its first use
%load gemma-3-1b                       the quantisation is chosen for the memory there is
%load org/name:Q4_K_M                  a repository of Hugging Face; or org/name --file x.gguf, hf.co/org/name
%load llama-3.1-8b --gpu-layers 20     the last 20 layers go to the GPU, the others to the CPU
%load ~/models/qwen.gguf --as qwen
%load outputs/merged                   a folder that transformers or Unsloth saved (safetensors)
%load outputs/merged --quantize q4_k_m     in a smaller form, made while it is loaded
%load outputs/lora                     an adapter's folder or repository: the base that it names is loaded, with the adapter
%load gemma-3-1b --adapter outputs/lora    any base, with an adapter; %adapter switches them
%load http://host:8000/v1 --model m    one that vLLM, Ray Serve, llama-server or another OpenAI-compatible server has
%load http://a:8000/v1 http://b:8000/v1    the same model on several: calls go to the one with the fewest
%models lists what is here, %models search what can be fetched by a short name. What is fetched lies in
Hugging Face's cache (HF_HOME); HF_TOKEN opens private and gated repositories. The model that was loaded
last is the one that %infer asks.`,
		Flags: func(f *pflag.FlagSet) {
			f.Int("gpu-layers", -1, "the last `layers` go to the GPU; 0 is none, -1 as many as fit")
			f.String("device", "auto", "auto, cpu, cuda:0, or cuda:0,cuda:1")
			f.Int("ctx", 0, "how many `tokens` a text may have (default: the model's, at most 4096)")
			f.String("cache-type", "f16", "type of the key-value cache: f16, bf16, q8_0 or f32")
			f.Int("batch", 512, "how many `tokens` of a prompt are computed together")
			f.String("as", "", "the `name` to call it by (default: the file's)")
			f.StringArray("adapter", nil, "an `adapter` (LoRA) to attach: a folder, a .gguf file or a repository; may be given several times")
			f.Bool("merge", false, "put the adapters into the weights instead of beside them")
			f.String("base", "", "of an adapter's folder or repository: the `model` to load instead of the one that it names")
			f.String("quantize", "", "load the weights in a smaller `type`, such as q4_k_m; %export? lists them")
			fetchFlags(f)
			f.Bool("silent", false, "show nothing")
			f.String("model", "", "of an endpoint: the `name` that it calls the model by (default: its only one)")
			f.String("key-env", "", "of an endpoint: the environment `variable` that holds the key (default: OPENAI_API_KEY)")
		},
		Run:      load,
		Complete: func(_ *Interpreter, c Completing) []string { return shortNames(modelFiles(c)) }})
}

func load(ctx context.Context, c *Call) error {
	switch {
	case slices.ContainsFunc(c.Args, IsAddress):
		return loadEndpoint(ctx, c)
	case c.Flags.Changed("model") || c.Flags.Changed("key-env"):
		return c.usage("--model and --key-env go with an address, http://host:8000/v1")
	case len(c.Args) > 1:
		return c.usage("want one model, got %d; a path with blanks stands in quotes", len(c.Args))
	case len(c.Args) == 0 || c.Args[0] == "":
		return c.usage("the model is missing; demo is always there")
	}
	var o engine.Options
	o.Device = c.o.Devices[0]
	device, _ := c.Flags.GetString("device")
	o.GPULayers, _ = c.Flags.GetInt("gpu-layers")
	o.Context, _ = c.Flags.GetInt("ctx")
	if o.Context < 0 {
		return c.usage("--ctx %d: want at least 1", o.Context)
	}
	if o.GPULayers < -1 {
		return c.usage("--gpu-layers %d: want 0 or more, or -1 for as many as fit", o.GPULayers)
	}
	if o.Batch, _ = c.Flags.GetInt("batch"); o.Batch < 1 {
		return c.usage("--batch %d: want at least 1", o.Batch)
	}
	cache, _ := c.Flags.GetString("cache-type")
	switch t, err := tensor.ParseDType(cache); {
	case err != nil || t != tensor.F16 && t != tensor.BF16 && t != tensor.Q8_0 && t != tensor.F32:
		return c.usage("--cache-type %s: want f16, bf16, q8_0 or f32", cache)
	default:
		o.CacheType, o.ExactCache = t, t == tensor.F32
	}
	if o.GPULayers != 0 {
		var err error
		if o.GPUs, err = c.devices.gpus(device); err != nil {
			return c.usage("--device: %v", err)
		}
	}
	switch {
	case o.GPULayers <= 0 || len(o.GPUs) > 0:
	case device == "cpu":
		return c.usage("--gpu-layers %d and --device cpu exclude each other; leave one of them out", o.GPULayers)
	case slices.ContainsFunc(c.devices.known(), isCard):
		return modelError("%s: %d layers on a GPU: %%gpu use cpu has put models on the CPU; %%gpu use auto takes the GPUs again", c.Args[0], o.GPULayers)
	}
	if failed := failures(o.GPUs); len(failed) > 0 && o.GPULayers > 0 {
		return modelError("%s", strings.Join(failed, "; "))
	}
	mix, err := c.mix()
	if err != nil {
		return err
	}
	silent, _ := c.Flags.GetBool("silent")
	name, _ := c.Flags.GetString("as")
	f := c.fetch(c.Args[0], func() catalog.Room { return Room(o) }, o.Context)
	f.silent = silent
	adapters, adapted, err := c.adapters(ctx, f)
	if err != nil {
		return err
	}
	l, err := c.open(ctx, f, cmp.Or(name, adapted))
	if e := (*catalog.AdapterError)(nil); errors.As(err, &e) && adapted == "" {
		if adapters, adapted, err = c.adapterFromHub(ctx, f, adapters); err != nil {
			return err
		}
		l, err = c.open(ctx, f, cmp.Or(name, adapted))
	}
	if err != nil {
		return err
	}
	with := ""
	if adapted != "" {
		if with, err = l.trained(adapters[0].path); err != nil {
			return err
		}
	}
	if merge, _ := c.Flags.GetBool("merge"); merge {
		merged, err := c.merge(ctx, l, adapters)
		if err != nil {
			return err
		}
		with += merged
		adapters = nil
	}
	if err := l.quantize(mix); err != nil {
		return err
	}
	freed := ""
	old, _ := c.models.find(l.name)
	if old != nil && old.name != l.name {
		old = nil
	}
	if old != nil && old.onCard() {
		// A card rarely holds both.
		if err := c.models.remove(l.name); err != nil {
			return modelError("the former %s could not be freed: %v", l.name, err)
		}
		freed = fmt.Sprintf("; the former %s was freed before%s", l.name, old.serverGone())
	}
	bar := progressBar{d: c.Display, what: "loading " + l.name, off: silent || !c.Display.Interactive()}
	bar.begin()
	o.Progress = bar.update
	if c.o.LoadOptions != nil {
		c.o.LoadOptions(&o)
	}
	if l.model, err = l.load(ctx, o); err != nil {
		bar.failed()
		others := c.models.names()
		if e := (*engine.TooBigError)(nil); errors.As(err, &e) && e.Device != "cpu" {
			others = c.models.onCards()
		}
		if failed := failures(o.GPUs); len(failed) > 0 && ctx.Err() == nil {
			err = modelError("%s: %v", c.Args[0], err)
		} else {
			err = loadError(ctx, c.Args[0], err, others)
		}
		if e := (*jupyter.Error)(nil); errors.As(err, &e) {
			e.Value += freed
		}
		return err
	}
	attached, err := c.attachAll(ctx, l, adapters)
	if err != nil {
		bar.failed()
		if e := l.close(); e != nil {
			err = errors.Join(err, e)
		}
		return err
	}
	if err := c.models.add(l); err != nil {
		return modelError("the former %s could not be freed: %v", l.name, err)
	}
	if !silent {
		text := loadedText(l.name, l.model.Info(), time.Since(bar.start)) + c.whyCPU(l.model.Info(), o)
		if l.why != "" {
			text += "\n" + l.why
		}
		text += with + attached
		if old != nil && old.serving != nil {
			text += fmt.Sprintf("\nthe server of the former %s at %s has ended%s; %%serve starts one", l.name, old.serving.url, old.serving.brokenOff())
		}
		bar.done(text)
		for _, w := range l.model.Tokenizer().Warnings() {
			fmt.Fprintf(c.Display.Stderr(), "tokenizer: %s\n", w)
		}
		for _, w := range verify.Faults(l.model) {
			fmt.Fprintf(c.Display.Stderr(), "warning: %s\n", w)
		}
	}
	return nil
}

// open finds a model's file, and fetches it if it is not here; only the
// embedded one is open already.
func (in *Interpreter) open(ctx context.Context, f *fetch, name string) (*loaded, error) {
	if file, err := in.openDemo(f.Name); err != nil {
		return nil, err
	} else if file != nil {
		return &loaded{name: cmp.Or(name, "demo"), file: file}, nil
	}
	found, err := f.find(ctx)
	if err != nil {
		return nil, err
	}
	return &loaded{name: cmp.Or(name, found.Name), path: found.Path, why: found.Why}, nil
}

// opened opens the model's file, if it is not open.
func (l *loaded) opened() (err error) {
	if l.file != nil {
		return nil
	}
	if l.file, err = catalog.Open(l.path); err != nil {
		return modelError("%v", err)
	}
	return nil
}

// load loads the model's file, which becomes the model's.
func (l *loaded) load(ctx context.Context, o engine.Options) (*engine.Model, error) {
	file := l.file
	if l.file = nil; file == nil {
		var err error
		if file, err = catalog.Open(l.path); err != nil {
			return nil, err
		}
	}
	return engine.LoadOwned(ctx, file, o)
}

// openDemo opens the embedded model if that is the name; nil is another.
func (in *Interpreter) openDemo(name string) (*gguf.File, error) {
	if name != "demo" || in.o.Demo == nil {
		return nil, nil
	}
	f, err := in.o.Demo()
	if err != nil {
		return nil, modelError("the embedded model is broken: %v; load a file instead", err)
	}
	return f, nil
}

// loadError says what to do about an error of the engine.
func loadError(ctx context.Context, name string, err error, others []string) error {
	var format *gguf.FormatError
	var refused *checkpoint.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, engine.ErrTooBig) && len(others) > 0:
		return modelError("%s: %v; or free %s with %%unload", name, err, strings.Join(others, ", "))
	case errors.Is(err, engine.ErrTooBig): // says so itself
		return modelError("%s: %v", name, err)
	case errors.Is(err, tensor.ErrNoMemory):
		return modelError("%s: %v; something else fills the card: %%gpu shows what", name, err)
	case errors.Is(err, engine.ErrNoGPU):
		return modelError("%s: %v; %%gpu says what is missing", name, err)
	case errors.Is(err, engine.ErrArch):
		return modelError("%s: %v; take another model: %%models lists those here", name, err)
	case errors.As(err, &refused): // says so itself
		return modelError("%v", err)
	case errors.As(err, &format): // names the file itself
		return modelError("%v; the file is damaged or no model: download it again", err)
	case errors.Is(err, engine.ErrModel):
		return modelError("%s: %v; the file is damaged or no model: download it again", name, err)
	}
	return modelError("%s: %v; %%models lists the models here", name, err)
}

func loadedText(name string, i engine.Info, took time.Duration) string {
	text := fmt.Sprintf("loaded %s: %s, %s parameters, %s, %s, context %d, on %s, in %s",
		name, i.Arch, countText(i.Params), i.FileType, bytesText(i.WeightBytes), i.Context, i.Device, secondsText(took))
	for _, u := range i.Devices {
		if u.Device != "cpu" {
			text += fmt.Sprintf("\n%s: %d of %d layers, %s (weights %s, cache %s, scratch %s)", u.Device, u.Layers, i.Layers,
				bytesText(u.Bytes()), bytesText(u.Weights), bytesText(u.Cache), bytesText(u.Scratch))
		}
	}
	return text
}

// whyCPU says why a model is on the CPU that would have gone to a card.
func (c *Call) whyCPU(i engine.Info, o engine.Options) (why string) {
	if i.Device != "cpu" || o.GPULayers == 0 {
		return ""
	}
	for _, failed := range failures(o.GPUs) {
		why += "\n" + failed
	}
	for _, d := range o.GPUs {
		if failure(d) != nil {
			continue
		}
		free, _ := d.Memory()
		why += fmt.Sprintf("\n%s has %s free, too little for a layer: %%gpu shows what fills it", d.Name(), bytesText(free))
	}
	if c.devices.why() != nil {
		cards, _ := c.cards()
		for _, g := range cards {
			if g.Problem != "" {
				why += fmt.Sprintf("\n%s is not used: %s", known(g.Device), g.Problem)
			}
		}
	}
	return why
}
