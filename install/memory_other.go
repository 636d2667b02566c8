//go:build !linux && !darwin && !windows

package install

import (
	"errors"
	"runtime"
)

func memory() (total, free uint64, err error) {
	return 0, 0, errors.New("memory: not known on " + runtime.GOOS)
}
