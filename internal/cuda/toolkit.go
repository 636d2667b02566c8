package cuda

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/ebitengine/purego"
)

// Parts of the CUDA toolkit, cuBLAS and NVRTC, are where the system's loader
// looks, in a toolkit's folder, or in the packages of a Python, as PyTorch
// brings them. folder is the part's in those packages; env names a variable
// that says where it is.
func candidates(env, folder string, names ...string) []string {
	if file := os.Getenv(env); env != "" && file != "" {
		return []string{file}
	}
	all := slices.Clone(names)
	var dirs []string
	for _, home := range []string{os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"), "/usr/local/cuda", "/opt/cuda"} {
		if home != "" {
			dirs = append(dirs, filepath.Join(home, "lib64"), filepath.Join(home, "bin"))
		}
	}
	for _, pattern := range []string{"/usr/local/cuda-*/lib64", "/usr/local/lib/python3*/*-packages/nvidia/" + folder + "/lib",
		"/usr/lib/python3*/*-packages/nvidia/" + folder + "/lib"} {
		found, _ := filepath.Glob(pattern)
		slices.Reverse(found) // the newest first
		dirs = append(dirs, found...)
	}
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		found, _ := filepath.Glob(filepath.Join(env, "lib/python3*/site-packages/nvidia", folder, "lib"))
		dirs = append(dirs, found...)
	}
	for _, name := range names {
		for _, dir := range dirs {
			if path := filepath.Join(dir, name); exists(path) {
				all = append(all, path)
			}
		}
	}
	return all
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// versions are a part's file names for the major versions of CUDA, that of the
// driver first: a part that is newer than the driver does not work.
func versions(driver int, unix, windows string) (names []string) {
	pattern := unix
	if runtime.GOOS == "windows" {
		pattern = windows
	}
	for major := driver / 1000; major >= 11; major-- {
		names = append(names, fmt.Sprintf(pattern, major))
	}
	return names
}

// A part is a library of the toolkit, with the functions of it that are used.
type part struct {
	path  string
	names []string
	fn    []uintptr
	text  func(code int) string // of its status codes
}

func loadPart(files []string, functions []string) (*part, error) {
	lib, path, err := open(files...)
	if err != nil {
		return nil, err
	}
	p := &part{path: path, names: functions, fn: make([]uintptr, len(functions))}
	for i, name := range functions {
		if p.fn[i], err = symbol(lib, name); err != nil {
			return nil, fmt.Errorf("%s has %w", path, err)
		}
	}
	return p, nil
}

//go:uintptrescapes
func (p *part) call(f int, args ...uintptr) error {
	if code, _, _ := purego.SyscallN(p.fn[f], args...); int32(code) != 0 {
		return fmt.Errorf("cuda: %s: %s", p.names[f], p.text(int(int32(code))))
	}
	return nil
}
