package magics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "bash", Doc: "runs the cell in a shell", Cell: true,
		Help: "%%bash\nfor i in 1 2 3; do echo $i; done\n\nA single command is shorter with !: !ls -l",
		Run: func(ctx context.Context, c *Call) error {
			if err := c.atMost(0); err != nil {
				return err
			}
			return shell(ctx, c.Body, c.Display.Stdout(), c.Display.Stderr())
		}})
}

// shellGrace is how long the output of what a command left in the background
// is waited for.
const shellGrace = time.Second

// shell runs a command in the user's shell and streams its output. An
// interrupt reaches the command and all its children.
func shell(ctx context.Context, command string, stdout, stderr io.Writer) error {
	if strings.TrimSpace(command) == "" {
		return &jupyter.Error{Name: "UsageError", Value: "! runs a shell command, as in !ls"}
	}
	cmd := shellCommand(ctx, command)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = shellGrace
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // a background process keeps the pipe
		return nil
	case errors.As(err, &exit):
		return &jupyter.Error{Name: "ShellError", Value: fmt.Sprintf("%s ended with %s; its output above says why", firstWords(command), exitText(exit))}
	}
	return &jupyter.Error{Name: "ShellError", Value: fmt.Sprintf("%s could not start: %v; check that the shell is installed", firstWords(command), err)}
}

func exitText(e *exec.ExitError) string {
	if code := e.ExitCode(); code >= 0 {
		return fmt.Sprintf("exit code %d", code)
	}
	return e.String() // killed by a signal
}

func firstWords(command string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(command), "\n")
	if r := []rune(line); len(r) > 40 {
		line = string(r[:39]) + "…"
	}
	return "!" + line
}
