package install

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// memory returns the bytes of the machine and those that are not in use.
func memory() (total, free uint64, err error) {
	if total, err = unix.SysctlUint64("hw.memsize"); err != nil {
		return 0, 0, fmt.Errorf("memory: hw.memsize: %w", err)
	}
	pages, err := unix.SysctlUint32("vm.page_free_count")
	if err != nil {
		return 0, 0, fmt.Errorf("memory: vm.page_free_count: %w", err)
	}
	cached, _ := unix.SysctlUint32("vm.page_pageable_external_count") // given back on demand
	return total, (uint64(pages) + uint64(cached)) * uint64(unix.Getpagesize()), nil
}
