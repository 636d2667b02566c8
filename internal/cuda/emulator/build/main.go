// Command build makes the emulated driver library and prints its path:
//
//	LLCUDA_LIBCUDA=$(go run ./internal/cuda/emulator/build) ./llcuda …
package main

import (
	"fmt"
	"os"

	"github.com/llcuda/llcuda/internal/cuda/emulator"
)

func main() {
	os.Unsetenv("LLCUDA_LIBCUDA")
	err := emulator.Use()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	lib := os.Getenv("LLCUDA_LIBCUDA")
	if lib == "" {
		os.Exit(1)
	}
	fmt.Println(lib)
}
