package gguf

import (
	"runtime"
	"runtime/debug"
)

// Guard runs fn, which reads a map, and returns what it returns, or
// ErrFileChanged when it touched a part of the map that is no longer in the
// file. It covers Go code and its assembly on the calling goroutine alone:
// each goroutine that reads a map needs its own. C code is not covered: copy
// in Go what C shall read. A fault of any other kind panics as ever.
func Guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			err = ErrFileChanged
		default:
			panic(r)
		}
	}()
	return fn()
}
