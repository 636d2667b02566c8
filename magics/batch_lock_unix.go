//go:build unix

package magics

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps other processes from writing the same answers, until f is closed.
// File systems that know no locks go without.
func lock(f *os.File) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another run is writing " + f.Name() + "; wait for its end, or name another file")
	}
	return nil
}
