//go:build !windows

package cuda

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/ebitengine/purego"
)

// libraries are the names of the driver's library, most usual first.
var libraries = []string{"libcuda.so.1", "libcuda.so"}

var loading sync.Mutex

// own takes the loader for a goroutine, and until the function that it returns
// is called, its thread: dlopen and dlerror are two calls, and dlerror knows the
// failures of its own thread alone.
func own() (give func()) {
	loading.Lock()
	runtime.LockOSThread()
	return func() {
		runtime.UnlockOSThread()
		loading.Unlock()
	}
}

// open loads the first library that is there.
func open(names ...string) (lib uintptr, name string, err error) {
	defer own()()
	for _, name := range names {
		if h, e := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL); e == nil {
			return h, name, nil
		} else if err == nil {
			err = e
		}
	}
	return 0, "", err
}

// symbol is the address of a function of a library.
func symbol(lib uintptr, name string) (uintptr, error) {
	defer own()()
	fn, err := purego.Dlsym(lib, name)
	if err != nil {
		return 0, fmt.Errorf("no function %s", name)
	}
	return fn, nil
}
