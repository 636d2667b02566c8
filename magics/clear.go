package magics

import (
	"context"

	"github.com/spf13/pflag"
)

func init() {
	register(Magic{Name: "clear", Doc: "clears the output of this cell", Line: true,
		Flags: func(f *pflag.FlagSet) { f.Bool("wait", false, "clear when the next output comes") },
		Run: func(_ context.Context, c *Call) error {
			if err := c.atMost(0); err != nil {
				return err
			}
			wait, _ := c.Flags.GetBool("wait")
			c.Display.Clear(wait)
			return nil
		}})
}
