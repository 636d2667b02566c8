//go:build linux || darwin || freebsd

package gguf

import "golang.org/x/sys/unix"

// forget tells the system that the pages of a map are not needed. They stay
// valid: the system takes them from its cache, or from the disk, again.
func forget(data []byte) {
	if len(data) > 0 {
		_ = unix.Madvise(data, unix.MADV_DONTNEED) // no harm if it will not
	}
}
