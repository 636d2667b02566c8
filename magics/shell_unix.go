//go:build unix

package magics

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// killDelay is how long an interrupted command has to leave by itself: less
// than jupyter.Serve waits for a cell at its end, so that none outlives us.
const killDelay = 300 * time.Millisecond

// shellCommand puts the command into a process group of its own, so that an
// interrupt reaches all of it: SIGINT first, SIGKILL for what stays.
func shellCommand(ctx context.Context, command string) *exec.Cmd {
	name := "/bin/sh"
	if bash, err := exec.LookPath("bash"); err == nil {
		name = bash
	}
	cmd := exec.CommandContext(ctx, name, "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		group := -cmd.Process.Pid
		if err := syscall.Kill(group, syscall.SIGINT); err != nil {
			return os.ErrProcessDone
		}
		// Loops of the shell itself outlive a SIGINT that a child took.
		time.AfterFunc(killDelay, func() { syscall.Kill(group, syscall.SIGKILL) })
		return nil
	}
	return cmd
}
