package cpu

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// memory reads /proc/meminfo and takes what a control group leaves when that
// is less.
func memory() (free, total int64) {
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "MemTotal:":
			total = kb << 10
		case "MemAvailable:":
			free = kb << 10
		}
	}
	// Version 2, then version 1 of control groups, each with what counts as
	// used but can be dropped.
	for _, g := range [][4]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"},
	} {
		limit, ok := number(g[0])
		if !ok || limit <= 0 || limit > total {
			continue
		}
		used, _ := number(g[1])
		left := max(0, limit-used+droppable(g[2], g[3]))
		free, total = min(free, left), limit
		break
	}
	return free, total
}

func number(path string) (int64, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil
}

// droppable is a line of a control group's memory.stat.
func droppable(path, key string) int64 {
	data, _ := os.ReadFile(path)
	s := bufio.NewScanner(bytes.NewReader(data))
	for s.Scan() {
		if v, ok := strings.CutPrefix(s.Text(), key+" "); ok {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}

// physicalCores counts the cores that we may run on, each once however many
// threads it has; 0 is unknown.
func physicalCores() int {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 0
	}
	seen := map[string]bool{}
	socket := ""
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "physical id":
			socket = strings.TrimSpace(value)
		case "core id":
			seen[socket+"/"+strings.TrimSpace(value)] = true
		}
	}
	return len(seen)
}
