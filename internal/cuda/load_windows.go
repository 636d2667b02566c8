package cuda

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// libraries are the names of the driver's library.
var libraries = []string{"nvcuda.dll"}

// open loads the first library that is there.
func open(names ...string) (lib uintptr, name string, err error) {
	for _, name := range names {
		if h, e := windows.LoadLibrary(name); e == nil {
			return uintptr(h), name, nil
		} else if err == nil {
			err = e
		}
	}
	return 0, "", err
}

// symbol is the address of a function of a library.
func symbol(lib uintptr, name string) (uintptr, error) {
	fn, err := windows.GetProcAddress(windows.Handle(lib), name)
	if err != nil {
		return 0, fmt.Errorf("no function %s", name)
	}
	return fn, nil
}
