package kernels

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/llcuda/llcuda/internal/cuda"
)

// Codes of fault.cuh.
const (
	faultRow      = 1
	faultPosition = 2
	faultDivide   = 3
	faultPower    = 4
	faultSequence = 5
)

// A FaultError is a mistake in the numbers of an operand, which a kernel found.
type FaultError struct {
	Code  uint32
	Value int32 // the number
}

func (e *FaultError) Error() string {
	switch e.Code {
	case faultRow:
		return fmt.Sprintf("rows: id %d is not among the rows of the table", e.Value)
	case faultPosition:
		return fmt.Sprintf("position %d is negative", e.Value)
	case faultDivide:
		return "binary: integer division by zero"
	case faultSequence:
		return fmt.Sprintf("sequence %d is not among those of the cache", e.Value)
	case faultPower:
		return fmt.Sprintf("binary: an integer to the negative power %d; convert to a float type first", e.Value)
	}
	return fmt.Sprintf("a kernel reports fault %d, %d", e.Code, e.Value)
}

// A fault is the word that kernels report to, on the host and for the card.
type fault struct {
	word *uint64 // of pinned memory: code, value<<32
	addr uint64
}

func newFault(b []byte, drv *cuda.Driver) (fault, error) {
	addr, err := drv.MemHostGetDevicePointer(b)
	return fault{(*uint64)(unsafe.Pointer(unsafe.SliceData(b))), addr}, err
}

// take returns what was reported, and clears it.
func (f fault) take() error {
	if w := atomic.LoadUint64(f.word); w != 0 {
		atomic.StoreUint64(f.word, 0)
		return &FaultError{uint32(w), int32(w >> 32)}
	}
	return nil
}

// faultWord is where kernels report to: the argument `fault`.
func (d *Device) faultWord() uint64 { return d.fault.addr }
