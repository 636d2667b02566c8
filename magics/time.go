package magics

import (
	"context"
	"fmt"
	"time"

	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "time", Args: "COMMAND", Doc: "runs a command and says how long it took", Line: true, Cell: true, Raw: true,
		Help: "%time %tensor A @ A\n%time !sleep 1\n%%time times a whole cell.",
		Run:  timeMagic})
}

func timeMagic(ctx context.Context, c *Call) error {
	code := c.Body
	if len(c.Args) > 0 {
		if c.Cell {
			return c.usage("the commands of a cell start on its second line")
		}
		code = c.Args[0]
	}
	if len(parseCell(code)) == 0 {
		return c.usage("nothing to time")
	}
	start, cpu := time.Now(), cpuTime()
	err := c.execute(ctx, jupyter.Cell{Code: code, Count: c.cell.Count, Silent: c.cell.Silent, AllowStdin: c.cell.AllowStdin}, c.Display, c.Last)
	line := "wall time " + secondsText(time.Since(start))
	if used := cpuTime() - cpu; used > 0 {
		line += ", CPU time " + secondsText(used)
	}
	fmt.Fprintln(c.Display.Stdout(), line)
	return err
}
