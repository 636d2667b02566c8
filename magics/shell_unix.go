//go:build unix

package magics

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

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
		time.AfterFunc(shellGrace/2, func() { syscall.Kill(group, syscall.SIGKILL) })
		return nil
	}
	return cmd
}
