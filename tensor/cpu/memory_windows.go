package cpu

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var globalMemoryStatusEx = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// memory asks GlobalMemoryStatusEx; the struct is MEMORYSTATUSEX of sysinfoapi.h.
func memory() (free, total int64) {
	var s struct {
		length, load                                                          uint32
		total, avail, totalPage, availPage, totalVirtual, availVirtual, extra uint64
	}
	s.length = uint32(unsafe.Sizeof(s))
	if ok, _, _ := globalMemoryStatusEx.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return 4 << 30, 4 << 30
	}
	return int64(s.avail), int64(s.total)
}

func physicalCores() int { return 0 }
