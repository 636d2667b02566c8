package magics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/verify"
	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "verify", Args: "A B", Doc: "compares two forms of one model: tokens, template, probabilities, perplexity", Line: true,
		Help: `%verify outputs/merged my-model-Q4_K_M.gguf    a checkpoint and what was exported of it
%verify a b --file war-and-peace.txt --tokens 1024
A loaded model of that name is taken as it is, with the adapters that are in use: after %load base and
%adapter add lora, %verify base merged.gguf says whether the merge was right. Others are loaded for this alone,
one after the other. The cell fails where they differ more than their types explain.`,
		Flags: func(f *pflag.FlagSet) {
			f.String("file", "", "compare on the text of this `file`")
			f.Int("tokens", 256, "compute the probabilities of so many `tokens` of the text at most")
		},
		Run: verifyMagic,
		Complete: func(in *Interpreter, c Completing) []string {
			return slices.Concat(in.models.names(), modelFiles(c))
		}})
}

func verifyMagic(ctx context.Context, c *Call) error {
	var o verify.Options
	o.Tokens, _ = c.Flags.GetInt("tokens")
	file, _ := c.Flags.GetString("file")
	switch {
	case len(c.Args) != 2:
		return c.usage("want two models, got %d", len(c.Args))
	case o.Tokens < 2:
		return c.usage("--tokens %d: want at least 2", o.Tokens)
	case file != "":
		text, err := os.ReadFile(catalog.InHome(file))
		if err != nil {
			return c.usage("--file: %v", err)
		}
		o.Text = string(text)
	}
	var sides [2]*verify.Side
	for i, name := range c.Args {
		var err error
		if sides[i], err = c.look(ctx, name, o, sides[0]); err != nil {
			return err
		}
	}
	r := verify.Compare(sides[0], sides[1])
	if !r.Same {
		fmt.Fprintln(c.Display.Stdout(), strings.Join(r.Findings, "\n"))
		return modelError("%s", r.Verdict)
	}
	text := strings.Join(append(r.Findings, r.Verdict), "\n")
	c.Display.Show(jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)})
	return nil
}

// look reads one of the two: a loaded one, or one that is loaded for this.
func (c *Call) look(ctx context.Context, name string, o verify.Options, first *verify.Side) (s *verify.Side, err error) {
	m := (*engine.Model)(nil)
	if slices.Contains(c.models.names(), name) {
		l, err := c.models.find(name)
		if err != nil {
			return nil, err
		}
		m = l.model
	} else {
		var eo engine.Options
		eo.Device, eo.GPULayers = c.o.Devices[0], -1
		if eo.GPUs, err = c.devices.gpus("auto"); err != nil {
			return nil, modelError("%v", err)
		}
		f := &fetch{Query: catalog.Query{Name: name, Room: func() catalog.Room { return Room(eo) }}, places: catalog.FromEnv(), display: c.Display}
		l, err := c.open(ctx, f, "")
		if err != nil {
			return nil, err
		}
		if m, err = l.load(ctx, eo); err != nil {
			return nil, loadError(ctx, name, err, c.models.names())
		}
		defer func() {
			if e := m.Close(); e != nil {
				err = errors.Join(err, e)
			}
		}()
	}
	if s, err = verify.Look(ctx, m, name, o, first); err != nil && ctx.Err() == nil {
		return nil, modelError("%v", err)
	}
	return s, err
}
