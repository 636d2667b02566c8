//go:build !windows

package cuda

import (
	"fmt"
	"sync"

	"github.com/ebitengine/purego"
)

// libraries are the names of the driver's library, most usual first.
var libraries = []string{"libcuda.so.1", "libcuda.so"}

var loading sync.Mutex // dlopen and dlerror are two calls

// open loads the first library that is there.
func open(names ...string) (lib uintptr, name string, err error) {
	loading.Lock()
	defer loading.Unlock()
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
	loading.Lock()
	defer loading.Unlock()
	fn, err := purego.Dlsym(lib, name)
	if err != nil {
		return 0, fmt.Errorf("no function %s", name)
	}
	return fn, nil
}
