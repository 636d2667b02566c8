package install

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memory returns the bytes of the machine and those that a new program can get,
// or of the container where it has less.
func memory() (total, free uint64, err error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("memory: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		var kib uint64
		switch {
		case strings.HasPrefix(line, "MemTotal:"):
			fmt.Sscanf(line, "MemTotal: %d kB", &kib)
			total = kib << 10
		case strings.HasPrefix(line, "MemAvailable:"):
			fmt.Sscanf(line, "MemAvailable: %d kB", &kib)
			free = kib << 10
		}
	}
	if total == 0 {
		return 0, 0, fmt.Errorf("memory: no MemTotal in /proc/meminfo")
	}
	for _, group := range [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	} {
		limit, used := readNumber(group[0]), readNumber(group[1])
		if limit > 0 && limit < total {
			total = limit
			free = min(free, limit-min(used, limit))
		}
	}
	return total, free, nil
}

// readNumber returns 0 where there is no number ("max": no limit).
func readNumber(path string) uint64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n
}
