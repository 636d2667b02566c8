package cpu

import "golang.org/x/sys/unix"

// memory knows the total; macOS gives what is free only through Mach calls, so
// three quarters of the total stand in for it.
func memory() (free, total int64) {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 4 << 30, 4 << 30
	}
	return int64(n / 4 * 3), int64(n)
}

func physicalCores() int {
	n, err := unix.SysctlUint32("hw.physicalcpu")
	if err != nil {
		return 0
	}
	return int(n)
}
