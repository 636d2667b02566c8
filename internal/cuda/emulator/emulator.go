// Package emulator builds a driver library for a GPU that is not there: the
// kernels, compiled for the host by g++ (kernels/emulate.h), behind the
// functions of CUDA's driver API (runtime/driver.cc). All of llcuda above the
// driver runs on it unchanged:
//
//	func TestMain(m *testing.M) {
//		if err := emulator.Use(); err != nil {
//			fmt.Fprintln(os.Stderr, err) // kernels that do not compile are missing
//		}
//		os.Exit(m.Run())
//	}
//
// and for a program, LLCUDA_LIBCUDA=$(go run ./internal/cuda/emulator/build).
// A kernel's faults are told on standard error with the kernel's name, block
// and thread, and are the driver's sticky errors. emulate.h says what this
// proves and what not, driver.cc what the environment sets (EMU_…).
package emulator

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed runtime
var sources embed.FS

// ErrNoCompiler is what Build returns on a machine without g++, or one that
// does not run Linux.
var ErrNoCompiler = errors.New("the emulated GPU needs Linux and g++")

// Use builds the library with the kernels of this module, unless
// LLCUDA_LIBCUDA names one already, and sets LLCUDA_LIBCUDA to it. After an
// error of type *CompileError it is set, too: some kernels are missing.
func Use() error {
	if os.Getenv("LLCUDA_LIBCUDA") != "" {
		return nil
	}
	dir, err := kernelsFolder()
	if err != nil {
		return err
	}
	lib, err := Build(dir)
	if lib != "" {
		err = errors.Join(err, os.Setenv("LLCUDA_LIBCUDA", lib))
	}
	return err
}

// kernelsFolder is the folder kernels of the module around the working folder.
func kernelsFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "kernels"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("emulator: the working folder is in no module")
		}
		dir = filepath.Dir(dir)
	}
}

// A CompileError tells which kernels the library lacks and what g++ said.
type CompileError struct {
	Files  []string
	Output string
}

func (e *CompileError) Error() string {
	return fmt.Sprintf("emulator: not compiled: %s\n%s", strings.Join(e.Files, ", "), e.Output)
}

// Build makes the library of the *.cu files in folder kernels and returns its
// path. What has been built before is taken from a cache in the user's cache
// folder, file by file. When files do not compile it returns a library without
// their kernels and a *CompileError.
func Build(kernels string) (string, error) { return build(kernels, headers(kernels)) }

// headers is the folder of cuda.cuh and emulate.h: kernels itself, or this
// module's for tests that have kernels of their own.
func headers(kernels string) string {
	if _, err := os.Stat(filepath.Join(kernels, "emulate.h")); err == nil {
		return kernels
	}
	dir, _ := kernelsFolder()
	return dir
}

func build(kernels, include string) (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("%w: this is %s", ErrNoCompiler, runtime.GOOS)
	}
	gxx, err := exec.LookPath("g++")
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrNoCompiler, err)
	}
	files, err := filepath.Glob(filepath.Join(kernels, "*.cu"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	b := &builder{gxx: gxx, cache: filepath.Join(cache, "llcuda", "emulator"), include: include}
	if err := b.driver(); err != nil {
		return "", err
	}
	return b.all(files)
}

// A builder compiles files to shared objects that are named by the hash of
// what they are made from.
type builder struct {
	gxx, cache, include string
	lib                 string // the driver's
	sources             string // folder of the driver's sources
}

// once makes the file named by key with run, which gets a name to write to.
func (b *builder) once(key string, run func(out string) error) (string, error) {
	path := filepath.Join(b.cache, "objects", key+".so")
	if now := time.Now(); os.Chtimes(path, now, now) == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return "", err
	}
	tmp.Close()
	defer os.Remove(tmp.Name())
	if err := run(tmp.Name()); err != nil {
		return "", err
	}
	return path, os.Rename(tmp.Name(), path)
}

func (b *builder) command(args ...string) ([]byte, error) {
	out, err := exec.Command(b.gxx, args...).CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("g++: %v\n%s", err, firstLines(out, 16))
	}
	return out, nil
}

func firstLines(text []byte, n int) string {
	lines := strings.SplitAfterN(string(text), "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "")
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n%s", len(p), p)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12])
}

// driver writes the sources to the cache and compiles them.
func (b *builder) driver() error {
	var text strings.Builder
	var names []string
	contents := map[string][]byte{}
	err := fs.WalkDir(sources, "runtime", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := sources.ReadFile(path)
		contents[filepath.Base(path)] = data
		names = append(names, filepath.Base(path))
		fmt.Fprintf(&text, "%s\n%s\n", path, data)
		return err
	})
	if err != nil {
		return err
	}
	key := hash(b.gxx, text.String())
	b.sources = filepath.Join(b.cache, "runtime-"+key)
	if err := os.MkdirAll(b.sources, 0o755); err != nil {
		return err
	}
	var units []string
	for _, name := range names {
		path := filepath.Join(b.sources, name)
		if have, err := os.ReadFile(path); err != nil || string(have) != string(contents[name]) {
			if err := os.WriteFile(path, contents[name], 0o644); err != nil {
				return err
			}
		}
		if filepath.Ext(name) == ".cc" {
			units = append(units, path)
		}
	}
	b.lib, err = b.once("driver-"+key, func(out string) error {
		_, err := b.command(append([]string{"-O2", "-g1", "-std=c++17", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread",
			"-Wl,-soname,libllcuda-emulator.so", "-Wl,-z,defs", "-o", out}, append(units, "-ldl")...)...)
		return err
	})
	return err
}

// A part is a share of a file's kernels, compiled by itself.
type part struct {
	file, object string
	index, of    int
	err          error
}

// all compiles the files, several at a time, and puts the library and the
// kernels into one folder.
func (b *builder) all(files []string) (string, error) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	parts := make([][]*part, len(files))
	for i, file := range files {
		wg.Go(func() {
			slots <- struct{}{}
			text, err := b.preprocess(file)
			<-slots
			n := 1 + strings.Count(text, "emu_register_here")/kernelsPerPart
			for k := range n {
				p := &part{file: file, index: k, of: n, err: err}
				parts[i] = append(parts[i], p)
				if err == nil {
					wg.Go(func() {
						slots <- struct{}{}
						p.object, p.err = b.compile(p, text)
						<-slots
					})
				}
			}
		})
	}
	wg.Wait()
	failed := &CompileError{}
	var objects []*part
	for _, p := range slices.Concat(parts...) {
		if p.err == nil {
			objects = append(objects, p)
		} else if name := filepath.Base(p.file); !slices.Contains(failed.Files, name) {
			failed.Files = append(failed.Files, name)
			failed.Output += p.err.Error()
		}
	}
	lib, err := b.assemble(objects)
	if err == nil && len(failed.Files) > 0 {
		err = failed
	}
	return lib, err
}

// kernelsPerPart is how many kernels make a second part worth its parsing.
const kernelsPerPart = 12

// flags are g++'s for a part of a file, without the folders of headers, which
// the preprocessed text stands for.
func flags(file string, index, of int) []string {
	flags := []string{"-x", "c++", "-std=c++17", "-DEMULATE", "-nostdinc", "-O2", "-g1", "-ffp-contract=off", "-fno-exceptions", "-fno-strict-aliasing",
		"-fsanitize=alignment,bounds,shift-exponent", "-fno-sanitize-recover=all", "-fPIC", "-fvisibility=hidden", "-fmax-errors=3", "-w",
		fmt.Sprintf("-DEMU_PART=%d", index), fmt.Sprintf("-DEMU_PARTS=%d", of), fmt.Sprintf("-DEMU_FILE=%q", filepath.Base(file))}
	if runtime.GOARCH == "amd64" {
		flags = append(flags, "-march=native")
	}
	return flags
}

func (b *builder) preprocess(file string) (string, error) {
	out, err := b.command(append(flags(file, 0, 1), "-I", b.sources, "-I", b.include, "-E", "-P", file)...)
	return string(out), err
}

func (b *builder) compile(p *part, text string) (string, error) {
	flags := flags(p.file, p.index, p.of)
	return b.once(hash(b.gxx, text, strings.Join(flags, " "), cpuFlags()), func(out string) error {
		_, err := b.command(append(flags, "-I", b.sources, "-I", b.include, "-shared", "-o", out, p.file, "-x", "none", b.lib, "-Wl,-rpath,$ORIGIN")...)
		return err
	})
}

// cpuFlags is what -march=native depends on.
var cpuFlags = sync.OnceValue(func() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if strings.HasPrefix(line, "flags") || strings.HasPrefix(line, "Features") {
			return line
		}
	}
	return ""
})

// assemble links the objects under the names that the driver looks for into a
// folder of this combination.
func (b *builder) assemble(parts []*part) (string, error) {
	slices.SortFunc(parts, func(x, y *part) int { return cmp.Or(cmp.Compare(x.file, y.file), cmp.Compare(x.index, y.index)) })
	links := map[string]string{"libcuda.so": b.lib}
	key := b.lib
	for _, p := range parts {
		name := fmt.Sprintf("%s.%d.cu.so", strings.TrimSuffix(filepath.Base(p.file), ".cu"), p.index)
		links[name] = p.object
		key += "\n" + name + "\n" + p.object
	}
	dir := filepath.Join(b.cache, "lib-"+hash(key))
	lib := filepath.Join(dir, "libcuda.so")
	if now := time.Now(); os.Chtimes(dir, now, now) == nil {
		return lib, nil
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", err
	}
	b.forget()
	tmp, err := os.MkdirTemp(b.cache, "new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	for name, object := range links {
		if err := os.Link(object, filepath.Join(tmp, name)); err != nil {
			return "", err
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, have := os.Stat(lib); have == nil { // another process was first
			return lib, nil
		}
		return "", err
	}
	return lib, os.Chmod(dir, 0o755)
}

// forget removes what no build has used for some days.
func (b *builder) forget() {
	for _, pattern := range []string{"lib-*", "new-*", "objects/*", "runtime-*"} {
		paths, _ := filepath.Glob(filepath.Join(b.cache, pattern))
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > unused && path != b.sources {
				os.RemoveAll(path)
			}
		}
	}
}

const unused = 3 * 24 * time.Hour
