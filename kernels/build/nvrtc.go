//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/ebitengine/purego"
)

// version of NVRTC: the oldest whose images the drivers in use all accept.
const version = "12.1"

// A compiler is NVRTC, the CUDA C++ compiler as a library
// (https://docs.nvidia.com/cuda/nvrtc). It needs no GPU and no driver.
// Several goroutines may compile at once.
type compiler struct {
	createProgram  func(prog *uintptr, src, name *byte, headers int32, texts, names **byte) int32
	destroyProgram func(prog *uintptr) int32
	compileProgram func(prog uintptr, n int32, options **byte) int32
	logSize        func(prog uintptr, n *uintptr) int32
	log            func(prog uintptr, text *byte) int32
	ptxSize        func(prog uintptr, n *uintptr) int32
	ptx            func(prog uintptr, text *byte) int32
	cubinSize      func(prog uintptr, n *uintptr) int32
	cubin          func(prog uintptr, code *byte) int32
	errorString    func(code int32) string
}

// open loads NVRTC from the folder into which pip has put its wheel.
func open(wheels string) (*compiler, error) {
	if wheels == "" {
		return nil, errors.New("LLCUDA_NVRTC names no folder with NVRTC's wheel; run make kernels")
	}
	path := filepath.Join(wheels, "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w; run make kernels, which fetches it", err)
	}
	runtime.LockOSThread() // dlerror, a second call, knows the failures of its thread
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	runtime.UnlockOSThread()
	if err != nil {
		return nil, err
	}
	c := new(compiler)
	var numbers func(major, minor *int32) int32
	for name, f := range map[string]any{
		"nvrtcVersion": &numbers, "nvrtcCreateProgram": &c.createProgram, "nvrtcDestroyProgram": &c.destroyProgram,
		"nvrtcCompileProgram": &c.compileProgram, "nvrtcGetProgramLogSize": &c.logSize, "nvrtcGetProgramLog": &c.log,
		"nvrtcGetPTXSize": &c.ptxSize, "nvrtcGetPTX": &c.ptx, "nvrtcGetCUBINSize": &c.cubinSize,
		"nvrtcGetCUBIN": &c.cubin, "nvrtcGetErrorString": &c.errorString,
	} {
		purego.RegisterLibFunc(f, lib, name)
	}
	var major, minor int32
	if code := numbers(&major, &minor); code != 0 {
		return nil, c.failure("version", code)
	}
	if is := fmt.Sprintf("%d.%d", major, minor); is != version {
		return nil, fmt.Errorf("nvrtc: version %s, want %s: another one gives other bytes", is, version)
	}
	return c, nil
}

// An object is what one compilation gives.
type object struct {
	cubin []byte // machine code, an ELF file
	ptx   []byte
	log   string // what compiler and assembler had to say
}

// compile translates a source with the headers that it may include. The error
// of a source that is wrong is the compiler's text.
func (c *compiler) compile(name, src string, headers map[string]string, options ...string) (*object, error) {
	var texts, names []string
	for n, text := range headers {
		names, texts = append(names, n), append(texts, text)
	}
	var prog uintptr
	code := c.createProgram(&prog, cString(src), cString(name), int32(len(names)), cStrings(texts), cStrings(names))
	if code != 0 {
		return nil, c.failure("create program", code)
	}
	defer c.destroyProgram(&prog)
	failed := c.compileProgram(prog, int32(len(options)), cStrings(options))
	var o object
	log, err := c.fetch("log", prog, c.logSize, c.log)
	if err != nil {
		return nil, err
	}
	o.log = string(bytes.TrimRight(log, "\x00\n"))
	if failed != 0 {
		return nil, fmt.Errorf("%s: %s\n%s", name, c.errorString(failed), o.log)
	}
	if o.ptx, err = c.fetch("ptx", prog, c.ptxSize, c.ptx); err != nil {
		return nil, err
	}
	o.ptx = bytes.TrimRight(o.ptx, "\x00")
	if o.cubin, err = c.fetch("cubin", prog, c.cubinSize, c.cubin); err != nil {
		return nil, err
	}
	return &o, nil
}

// fetch reads one of a program's results.
func (c *compiler) fetch(what string, prog uintptr, size func(uintptr, *uintptr) int32, get func(uintptr, *byte) int32) ([]byte, error) {
	var n uintptr
	if code := size(prog, &n); code != 0 {
		return nil, c.failure(what, code)
	}
	data := make([]byte, n)
	if n == 0 {
		return data, nil
	}
	if code := get(prog, &data[0]); code != 0 {
		return nil, c.failure(what, code)
	}
	return data, nil
}

func (c *compiler) failure(what string, code int32) error {
	return fmt.Errorf("nvrtc: %s: %s", what, c.errorString(code))
}

// cString ends a string as C does.
func cString(s string) *byte { return &append([]byte(s), 0)[0] }

// cStrings is an array of C strings, nil for none.
func cStrings(list []string) **byte {
	if len(list) == 0 {
		return nil
	}
	all := make([]*byte, len(list))
	for i, s := range list {
		all[i] = cString(s)
	}
	return &all[0]
}
