package install

import (
	"fmt"
	"syscall"
	"unsafe"
)

var globalMemoryStatusEx = syscall.NewLazyDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// memory returns the bytes of the machine and those that are not in use.
func memory() (total, free uint64, err error) {
	// MEMORYSTATUSEX; the pointer is used during the call alone.
	var s struct {
		length, load                                                                     uint32
		total, free, totalPage, freePage, totalVirtual, freeVirtual, freeExtendedVirtual uint64
	}
	s.length = uint32(unsafe.Sizeof(s))
	if ok, _, err := globalMemoryStatusEx.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return 0, 0, fmt.Errorf("memory: GlobalMemoryStatusEx: %w", err)
	}
	return s.total, s.free, nil
}
