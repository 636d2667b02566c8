package cpu

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// A FaultError says that an operand's memory could not be read: a mapped file
// has become shorter than it was when it was opened, or its disk has failed.
type FaultError struct {
	Op   string
	Addr uintptr
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("cpu: %s: reading mapped memory at %#x failed: was the model's file cut short or its disk removed?", e.Op, e.Addr)
}

// failure makes an error of what a panic left.
func failure(op string, r any) error {
	if f, ok := r.(interface{ Addr() uintptr }); ok {
		return &FaultError{op, f.Addr()}
	}
	if e, ok := r.(error); ok {
		return fmt.Errorf("cpu: %s: internal error: %w", op, e)
	}
	return fmt.Errorf("cpu: %s: internal error: %v", op, r)
}

// guarded runs f; a fault of its memory is an error and not the program's end.
func guarded(op string, f func()) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = failure(op, r)
		}
	}()
	f()
	return nil
}

var errFreed = errors.New("cpu: run of a program that was freed")
