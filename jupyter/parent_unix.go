//go:build unix

package jupyter

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
)

// watchParent returns a channel that closes when the process that started the
// kernel is gone. Jupyter names it in JPY_PARENT_PID; without, nothing is
// watched. A number that is no process now (another PID namespace) is ignored,
// and the direct parent alone is watched then.
func watchParent(ctx context.Context) <-chan struct{} {
	gone := make(chan struct{})
	pid, err := strconv.Atoi(os.Getenv("JPY_PARENT_PID"))
	if err != nil || pid < 1 {
		return gone
	}
	parent := os.Getppid()
	exists := func() bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
	known := exists()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent || known && !exists() {
					close(gone)
					return
				}
			}
		}
	}()
	return gone
}
