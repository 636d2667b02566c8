package magics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
)

func init() {
	register(Magic{Name: "adapter", Args: "[add ADAPTER | NAME=SCALE… | off | list | rm NAME]", Doc: "attaches adapters (LoRA) to the loaded model and switches them, with nothing loaded again", Line: true,
		Help: `%adapter add outputs/lora          a folder that PEFT or Unsloth saved, a .gguf adapter, or a repository
%adapter add org/name --name poet --scale 0.5
%adapter poet=0.8 coder=0.3        these two with these scales, all others off; a name alone is 1
%adapter off                       the model as it was loaded; the adapters stay attached
%adapter list                      what is attached
%adapter rm poet                   forgets one
The weights stay as they are, 4-bit ones too; an adapter is refused that was made for another model.
%load BASE --adapter ADAPTER loads both; %load outputs/lora finds the base that the adapter names.`,
		Flags: func(f *pflag.FlagSet) {
			f.String("name", "", "with add: what to call it (default: the folder's or file's name)")
			f.Float32("scale", 1, "with add: how much of it; 1 is as it was trained")
			f.String("model", "", "the loaded model of this `name` (default: the last one)")
			fetchFlags(f)
		},
		Run: adapterMagic,
		Complete: func(in *Interpreter, c Completing) []string {
			attached := func() (names []string) {
				if l, err := in.models.find(""); err == nil {
					for _, a := range l.model.Adapters() { // a cell may change l.adapters meanwhile
						names = append(names, a.Info().Name)
					}
				}
				return names
			}
			switch {
			case len(c.Words) == 0:
				return append([]string{"add", "list", "off", "rm"}, attached()...)
			case c.Words[0] == "add":
				return append(c.files(".gguf"), fetchedAdapters(catalog.FromEnv())...)
			}
			return attached()
		}})
}

// An attached adapter has a name of the user's, and how much of it is in use.
type attached struct {
	name  string
	path  string
	scale float32 // 0: off
	*engine.Adapter
}

func adapterMagic(ctx context.Context, c *Call) error {
	model, _ := c.Flags.GetString("model")
	l, err := c.models.find(model)
	if err != nil {
		return err
	}
	verb := ""
	if len(c.Args) > 0 {
		verb = c.Args[0]
	}
	switch {
	case verb != "add" && (c.Flags.Changed("name") || c.Flags.Changed("scale")):
		return c.usage("--name and --scale go with add")
	case verb == "add" && len(c.Args) == 2:
		return addAdapter(ctx, c, l)
	case verb == "add":
		return c.usage("add: want one adapter, got %d", len(c.Args)-1)
	case verb == "rm" && len(c.Args) == 2:
		return removeAdapter(c, l, c.Args[1])
	case verb == "rm":
		return c.usage("rm: want one name, got %d", len(c.Args)-1)
	case verb == "" || verb == "list":
		if err := c.atMost(1); err != nil {
			return err
		}
		listAdapters(c, l)
		return nil
	case verb == "off":
		if err := c.atMost(1); err != nil {
			return err
		}
		if err := l.use(nil); err != nil {
			return err
		}
	default:
		if err := l.choose(c, c.Args); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.Display.Stdout(), l.inUse())
	return nil
}

// addAdapter attaches one and switches it on, beside those that are on.
func addAdapter(ctx context.Context, c *Call, l *loaded) error {
	name, _ := c.Flags.GetString("name")
	scale, _ := c.Flags.GetFloat32("scale")
	f := c.fetch(c.Args[1], nil, 0)
	a, err := l.attach(ctx, f, name, scale)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Display.Stdout(), "%s\n%s\n", a.text(), l.inUse())
	return nil
}

// attach finds an adapter, fetches it if it is not here, and attaches it with a
// scale, beside those that are in use.
func (l *loaded) attach(ctx context.Context, f *fetch, name string, scale float32) (*attached, error) {
	f.look = f.places.FindAdapter
	found, err := f.find(ctx)
	if err != nil {
		return nil, err
	}
	name = cmp.Or(name, found.Name)
	switch {
	case !finiteScale(scale):
		return nil, modelError("--scale %g: want a number", scale)
	case strings.ContainsAny(name, "= \t") || slices.Contains([]string{"add", "rm", "list", "off"}, name):
		return nil, modelError("an adapter can't be called %q; choose another --name", name)
	case l.adapter(name) != nil:
		return nil, modelError("%s has an adapter %s; choose another --name, or %%adapter rm %s first", l.name, name, name)
	}
	file, err := lora.Open(found.Path, l.model.File())
	if err != nil {
		return nil, modelError("%v", err)
	}
	ea, err := l.model.Attach(ctx, file, name)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, modelError("%v", err)
	}
	a := &attached{name, found.Path, scale, ea}
	before := l.adapters
	l.adapters = append(slices.Clone(before), a)
	if err := l.use(l.set()); err != nil {
		l.adapters = before
		if e := l.model.Detach(ea); e != nil {
			err = errors.Join(err, e)
		}
		return nil, err
	}
	return a, nil
}

func finiteScale(x float32) bool {
	return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0)
}

func (l *loaded) adapter(name string) *attached {
	for _, a := range l.adapters {
		if a.name == name {
			return a
		}
	}
	return nil
}

// set is what is in use.
func (l *loaded) set() (set []engine.Scaled) {
	for _, a := range l.adapters {
		if a.scale != 0 {
			set = append(set, engine.Scaled{Adapter: a.Adapter, Scale: a.scale})
		}
	}
	return set
}

// use switches the model and its session to a set.
func (l *loaded) use(set []engine.Scaled) error {
	if l.session != nil {
		if err := l.session.SetAdapters(set...); err != nil {
			return modelError("%s: %v", l.name, err)
		}
	}
	if err := l.model.SetAdapters(set...); err != nil {
		return modelError("%s: %v", l.name, err)
	}
	for _, a := range l.adapters {
		a.scale = 0
		for _, s := range set {
			if s.Adapter == a.Adapter {
				a.scale = s.Scale
			}
		}
	}
	return nil
}

// choose uses those that words name, and no others: name=scale, or a name.
func (l *loaded) choose(c *Call, words []string) error {
	var set []engine.Scaled
	for _, w := range words {
		name, scale, err := ParseScaled(w)
		if err != nil {
			return c.usage("%v", err)
		}
		a := l.adapter(name)
		if a == nil {
			return l.noAdapter(c, name)
		}
		if slices.ContainsFunc(set, func(s engine.Scaled) bool { return s.Adapter == a.Adapter }) {
			return c.usage("%s is there twice", name)
		}
		set = append(set, engine.Scaled{Adapter: a.Adapter, Scale: scale})
	}
	return l.use(set)
}

// ParseScaled reads an adapter and how much of it: name=0.5, or name, which is 1.
func ParseScaled(word string) (name string, scale float32, err error) {
	i := strings.LastIndexByte(word, '=')
	if i < 0 {
		return word, 1, nil
	}
	x, err := strconv.ParseFloat(word[i+1:], 32)
	if err != nil || !finiteScale(float32(x)) {
		return "", 0, fmt.Errorf("%s: want a number after =", word)
	}
	return word[:i], float32(x), nil
}

func (l *loaded) noAdapter(c *Call, name string) error {
	var names []string
	for _, a := range l.adapters {
		names = append(names, a.name)
	}
	if _, err := os.Stat(catalog.InHome(name)); err == nil || len(names) == 0 {
		return c.usage("%s has no adapter %s; %%adapter add %s attaches one", l.name, name, name)
	}
	hint := "attached: " + strings.Join(names, ", ")
	if best := expr.Closest(name, names); best != "" {
		hint = "did you mean " + best + "?"
	}
	return c.usage("%s has no adapter %s; %s", l.name, name, hint)
}

func removeAdapter(c *Call, l *loaded, name string) error {
	a := l.adapter(name)
	if a == nil {
		return l.noAdapter(c, name)
	}
	scale := a.scale
	a.scale = 0
	if err := l.use(l.set()); err != nil {
		a.scale = scale
		return err
	}
	if err := l.model.Detach(a.Adapter); err != nil {
		return modelError("%v; a server or a batch has it: %%serve stop ends a server", err)
	}
	l.adapters = slices.DeleteFunc(l.adapters, func(o *attached) bool { return o == a })
	fmt.Fprintf(c.Display.Stdout(), "removed %s\n%s\n", name, l.inUse())
	return nil
}

// text says what an adapter is, and whether the model may be the wrong one.
func (a *attached) text() string {
	i := a.Info()
	text := fmt.Sprintf("attached %s: %s", a.name, strings.Join(a.kinds(), ", "))
	if i.Base != "" {
		text += ", trained on " + i.Base
	}
	if i.Doubt != "" {
		text += "\nnote: " + i.Doubt + "; its shapes fit, its answers may not"
	}
	return text
}

// kinds are what an adapter changes, in words.
func (a *attached) kinds() (kinds []string) {
	i := a.Info()
	if i.Changed > 0 {
		kind := "LoRA"
		if i.DoRA {
			kind = "DoRA"
		}
		rank := fmt.Sprintf("rank %d", i.MaxRank)
		if i.MinRank != i.MaxRank {
			rank = fmt.Sprintf("ranks %d to %d", i.MinRank, i.MaxRank)
		}
		kinds = append(kinds, kind+" of "+rank, "changes "+count(i.Changed, "weight"))
	}
	if i.Whole > 0 {
		kinds = append(kinds, "replaces "+count(i.Whole, "tensor"))
	}
	return append(kinds, countText(i.Params)+" parameters")
}

// inUse says what is switched on.
func (l *loaded) inUse() string {
	var on []string
	for _, a := range l.adapters {
		if a.scale != 0 {
			on = append(on, fmt.Sprintf("%s×%g", a.name, a.scale))
		}
	}
	text := l.name + " as it was loaded, without adapters"
	if len(on) > 0 {
		text = l.name + " with " + strings.Join(on, " + ")
	}
	if l.serving != nil && l.serving.running() {
		text += "; the server at " + l.serving.url + " goes on with what it began with: %serve stop, then %serve, to change it"
	}
	return text
}

func listAdapters(c *Call, l *loaded) {
	if len(l.adapters) == 0 {
		fmt.Fprintf(c.Display.Stdout(), "%s has no adapters; %%adapter add FOLDER attaches one\n", l.name)
		return
	}
	t := table{Head: []string{"adapter", "scale", "is", "trained on", "from"}, Note: l.inUse()}
	for _, a := range l.adapters {
		scale := "off"
		if a.scale != 0 {
			scale = strconv.FormatFloat(float64(a.scale), 'g', -1, 32)
		}
		t.Rows = append(t.Rows, []string{a.name, scale, strings.Join(a.kinds(), ", "), a.Info().Base, a.path})
	}
	c.Display.Show(jupyter.Bundle{"text/plain": t.text(), "text/html": t.html()})
}

// trained gives l's file the chat template that the adapter in a folder was
// trained with, and says so.
func (l *loaded) trained(dir string) (text string, err error) {
	template, err := lora.Template(dir)
	if err != nil {
		return "", modelError("%v", err)
	}
	if err := l.opened(); err != nil {
		return "", err
	}
	f, err := lora.WithTemplate(l.file, template)
	if err != nil {
		return "", errors.Join(modelError("%v", err), l.file.Close())
	}
	if f != l.file {
		text = "\nits chat template is the adapter's"
	}
	l.file = f
	return text, nil
}

// A wish is an adapter that %load was asked for.
type wish struct {
	path  string
	scale float32
	name  string // "": the path's
}

// Adapters of %load: those of --adapter, and the model itself if it is one,
// which makes f look for its base. name is what that is called.
func (c *Call) adapters(ctx context.Context, f *fetch) (wishes []wish, name string, err error) {
	words, _ := c.Flags.GetStringArray("adapter")
	for _, w := range words {
		path, scale, err := ParseScaled(w)
		if err != nil {
			return nil, "", c.usage("--adapter %v", err)
		}
		wishes = append(wishes, wish{path: path, scale: scale})
	}
	path := catalog.InHome(f.Name)
	_, missing := os.Stat(path)
	switch base, _ := c.Flags.GetString("base"); {
	case lora.IsFolder(path):
		whole, err := filepath.Abs(path)
		if err != nil {
			return nil, "", err
		}
		name = filepath.Base(whole)
		return append([]wish{{path: path, scale: 1}}, wishes...), name, c.lookForBase(f, path)
	case base == "":
		return wishes, "", nil
	case missing == nil || f.Name == "demo":
		return nil, "", c.usage("--base goes with an adapter's folder, which %s is not", f.Name)
	}
	return c.adapterFromHub(ctx, f, wishes)
}

// adapterFromHub is adapters for a repository of an adapter, which is fetched
// if it is not here. --revision is the adapter's, --file its base's.
func (c *Call) adapterFromHub(ctx context.Context, f *fetch, wishes []wish) ([]wish, string, error) {
	a := c.fetchAdapter(f.Name)
	a.Revision, a.silent, a.look = f.Revision, f.silent, f.places.FindAdapter
	found, err := a.find(ctx)
	if err != nil {
		return nil, "", err
	}
	f.Revision = ""
	dir := filepath.Dir(found.Path)
	return append([]wish{{dir, 1, found.Name}}, wishes...), found.Name, c.lookForBase(f, dir)
}

// lookForBase makes f look for the model that the adapter in a folder is for:
// that of --base, or the one that the adapter names.
func (c *Call) lookForBase(f *fetch, dir string) error {
	if base, _ := c.Flags.GetString("base"); base != "" {
		f.Name = base
		return nil
	}
	named, err := lora.BaseOf(dir)
	if err != nil {
		return modelError("%v", err)
	}
	f.look = func(ctx context.Context, q catalog.Query) (*catalog.Found, error) {
		return f.places.FindBase(ctx, dir, named, q)
	}
	return nil
}

// attachAll attaches what %load was asked for.
func (c *Call) attachAll(ctx context.Context, l *loaded, wishes []wish) (text string, err error) {
	for _, w := range wishes {
		a, err := l.attach(ctx, c.fetchAdapter(w.path), w.name, w.scale)
		if err != nil {
			return "", err
		}
		text += "\n" + a.text()
	}
	return text, nil
}

// merge makes l's file one with the adapters in its weights.
func (c *Call) merge(ctx context.Context, l *loaded, wishes []wish) (text string, err error) {
	if err := l.opened(); err != nil {
		return "", err
	}
	for _, w := range wishes {
		f := c.fetchAdapter(w.path)
		f.look = f.places.FindAdapter
		found, err := f.find(ctx)
		if err != nil {
			return "", errors.Join(err, l.file.Close())
		}
		a, err := lora.Open(found.Path, l.file)
		if err != nil {
			return "", errors.Join(modelError("%v", err), l.file.Close())
		}
		m, err := lora.Merge(l.file, a, w.scale)
		if err != nil {
			return "", errors.Join(modelError("%v", err), a.Close(), l.file.Close())
		}
		l.file = m
		text += fmt.Sprintf("\nmerged %s×%g into the weights", cmp.Or(w.name, found.Name), w.scale)
	}
	return text, nil
}

// fetchAdapter is fetch for an adapter beside a model, whose flags are not its.
func (c *Call) fetchAdapter(path string) *fetch {
	f := c.fetch(path, nil, 0)
	f.File, f.Revision = "", ""
	return f
}
