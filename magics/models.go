package magics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/magics/expr"
)

func init() {
	register(Magic{Name: "unload", Args: "[NAME…]", Doc: "frees a model's memory; alone, the current one's", Line: true,
		Flags:    func(f *pflag.FlagSet) { f.Bool("all", false, "unload all models") },
		Run:      unload,
		Complete: func(in *Interpreter, _ Completing) []string { return in.models.names() }})
}

// A loaded model has a name of the user's, and one session that %infer uses
// again and again. It is a model of this process, or one behind an endpoint.
type loaded struct {
	name     string
	path     string
	why      string          // how its quantisation was chosen
	model    *engine.Model   // nil: behind endpoint
	session  *engine.Session // nil until the first %infer
	file     *gguf.File      // of the embedded model until it is loaded, else nil
	endpoint *endpoint       // nil: of this process
	chat     *chat.Session   // nil until the first %chat; it has session
	serving  *serving        // nil: not served
	adapters []*attached     // of the model
}

// onCard reports whether it has layers on a card of this machine.
func (l *loaded) onCard() bool { return l.model != nil && l.model.Info().Device != "cpu" }

func (l *loaded) close() error {
	if l.endpoint != nil {
		return l.endpoint.pool.Close()
	}
	var errs []error
	if l.serving != nil {
		errs = append(errs, l.serving.close())
	}
	if l.session != nil {
		errs = append(errs, l.session.Close())
	}
	errs = append(errs, l.model.Close())
	return errors.Join(errs...)
}

// serverGone says that a closed model was served, behind a semicolon.
func (l *loaded) serverGone() string {
	if l.serving == nil {
		return ""
	}
	return fmt.Sprintf("; its server at %s has ended%s", l.serving.url, l.serving.brokenOff())
}

// models is the table of loaded models; the last is the current one. Names may
// be read at any time.
type models struct {
	mu  sync.Mutex
	all []*loaded
}

func (ms *models) names() []string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var names []string
	for _, l := range ms.all {
		names = append(names, l.name)
	}
	return names
}

// onCards are the models that have layers on a card.
func (ms *models) onCards() (names []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, l := range ms.all {
		if l.onCard() {
			names = append(names, l.name)
		}
	}
	return names
}

// find returns the model of that name, or the current one for "". It has to be
// one of this process.
func (ms *models) find(name string) (*loaded, error) {
	l, err := ms.findAny(name)
	if err == nil && l.endpoint != nil {
		return nil, modelError("%s is not on this machine but at %s; this needs a model that is: %%load demo", l.name, l.endpoint.hosts())
	}
	return l, err
}

// findAny is find, endpoints included.
func (ms *models) findAny(name string) (*loaded, error) {
	names := ms.names()
	if len(names) == 0 {
		return nil, modelError("no model loaded; try %%load demo")
	}
	i := len(names) - 1
	if name != "" {
		i = slices.Index(names, name)
	}
	if i < 0 {
		hint := "loaded: " + strings.Join(names, ", ")
		if best := expr.Closest(name, names); best != "" {
			hint = "did you mean " + best + "?"
		}
		return nil, modelError("no loaded model is called %s; %s", name, hint)
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.all[i], nil
}

// add makes l the current model, in place of one of the same name.
func (ms *models) add(l *loaded) error {
	err := ms.remove(l.name)
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.all = append(ms.all, l)
	return err
}

// remove closes the model of that name, if there is one.
func (ms *models) remove(name string) error {
	ms.mu.Lock()
	i := slices.IndexFunc(ms.all, func(l *loaded) bool { return l.name == name })
	if i < 0 {
		ms.mu.Unlock()
		return nil
	}
	l := ms.all[i]
	ms.all = slices.Delete(ms.all, i, i+1)
	ms.mu.Unlock()
	return l.close() // may take a server's last second, for which names wait for nobody
}

func (ms *models) closeAll() error {
	var errs []error
	for _, name := range ms.names() {
		errs = append(errs, ms.remove(name))
	}
	return errors.Join(errs...)
}

func unload(_ context.Context, c *Call) error {
	names := c.Args
	if all, _ := c.Flags.GetBool("all"); all {
		if len(names) > 0 {
			return c.usage("--all takes no names")
		}
		if names = c.models.names(); len(names) == 0 {
			fmt.Fprintln(c.Display.Stdout(), "no model was loaded")
		}
	} else if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		l, err := c.models.findAny(name)
		if err != nil {
			return err
		}
		if err := c.models.remove(l.name); err != nil {
			return modelError("unloading %s: %v", l.name, err)
		}
		fmt.Fprintf(c.Display.Stdout(), "unloaded %s%s\n", l.name, l.serverGone())
	}
	return nil
}
