package magics

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
)

func init() {
	register(Magic{Name: "reset", Doc: "forgets all variables and frees their memory", Line: true,
		Flags: func(f *pflag.FlagSet) { f.Bool("models", false, "unload all models too") },
		Run: func(_ context.Context, c *Call) error {
			if err := c.atMost(0); err != nil {
				return err
			}
			vars := len(c.vars.Names())
			c.vars.Clear()
			c.env.Sweep()
			text := "forgot " + count(vars, "variable")
			if all, _ := c.Flags.GetBool("models"); all {
				loaded := len(c.models.names())
				if err := c.models.closeAll(); err != nil {
					return modelError("unloading: %v", err)
				}
				text += ", unloaded " + count(loaded, "model")
			}
			fmt.Fprintln(c.Display.Stdout(), text)
			return nil
		}})
}
