//go:build !linux && !darwin && !freebsd && !windows

package hub

import "os"

// tryLock takes nothing: the sum of the bytes guards the blob, the lock only
// saves a second download.
func tryLock(*os.File) (held bool, err error) { return true, nil }
