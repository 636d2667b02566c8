package magics

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/catalog"
)

func init() {
	register(Magic{Name: "pull", Args: "MODEL", Doc: "fetches a model, or its newest version, without loading it", Line: true,
		Help: `%pull gemma-3-1b-Q4_K_M
%pull org/name --file x.gguf
Names are %load's. What came before an interrupt is kept, and the same line goes on from there.`,
		Flags: func(f *pflag.FlagSet) {
			fetchFlags(f)
			f.Bool("silent", false, "show nothing")
		},
		Run:      pull,
		Complete: func(_ *Interpreter, _ Completing) []string { return shortNames(nil) }})
}

func pull(ctx context.Context, c *Call) error {
	switch {
	case len(c.Args) != 1 || c.Args[0] == "":
		return c.usage("want one model, got %d", len(c.Args))
	case c.Args[0] == "demo":
		return c.usage("demo is in llcuda itself; %%load demo")
	case IsAddress(c.Args[0]):
		return c.usage("%s has no file to fetch; %%load takes it", c.Args[0])
	}
	f := c.fetch(c.Args[0], func() catalog.Room {
		o := engine.Options{Device: c.o.Devices[0], GPULayers: -1}
		o.GPUs, _ = c.devices.gpus("auto")
		return Room(o)
	}, 0)
	f.Refresh = !f.Offline
	f.silent, _ = c.Flags.GetBool("silent")
	found, err := f.find(ctx)
	if e := (*catalog.AdapterError)(nil); errors.As(err, &e) {
		f.look = f.places.FindAdapter
		found, err = f.find(ctx)
	}
	if err != nil || f.silent {
		return err
	}
	text := fmt.Sprintf("%s is at %s", found.Name, found.Path)
	if found.Why != "" {
		text += "\n" + found.Why
	}
	fmt.Fprintln(c.Display.Stdout(), text)
	return nil
}
