//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// architectures are those that get machine code; base is written as PTX, too,
// which drivers translate for every card from it on.
var architectures = []struct{ machine, base string }{
	{"sm_75", "compute_75"}, // the T4, and cards of its generation
	{"sm_80", "compute_80"}, // Ampere, and whatever comes after Hopper
	{"sm_90", ""},           // Hopper
}

// options are those of every compilation. Line numbers are left out: with them
// come time stamps.
var options = []string{"--std=c++17"}

// quiet turns warnings off that a header for many uses deserves: 128, a loop
// that is not reachable for some parameters of a template; 177, a function that
// is not used.
var quiet = []string{"--diag-suppress=128", "--diag-suppress=177"}

// A module is one source and what it is compiled to.
type module struct {
	name    string            // of the file, without .cu
	source  string            // its text
	headers map[string]string // the texts of all headers that it includes
}

// modules reads the sources of a folder, in the order of their names.
func modules(dir string) ([]module, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.cu"))
	if err != nil {
		return nil, err
	}
	var all []module
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m := module{strings.TrimSuffix(filepath.Base(path), ".cu"), string(text), map[string]string{}}
		if err := m.include(dir, m.source); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, m)
	}
	return all, nil
}

var includes = regexp.MustCompile(`(?m)^\s*#\s*include\s+"([^"]+)"`)

// include reads the headers that a text asks for. The emulator's are not
// there: only the host's compiler sees them.
func (m *module) include(dir, text string) error {
	for _, match := range includes.FindAllStringSubmatch(text, -1) {
		name := match[1]
		if _, known := m.headers[name]; known || name == "emulate.h" {
			continue
		}
		header, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		m.headers[name] = string(header)
		if err := m.include(dir, string(header)); err != nil {
			return err
		}
	}
	return nil
}

// hash changes with everything that the images depend on.
func (m *module) hash() string {
	h := sha256.New()
	fmt.Fprintln(h, version, options, architectures, m.name, code(m.source))
	for _, name := range slices.Sorted(maps.Keys(m.headers)) {
		fmt.Fprintln(h, name, code(m.headers[name]))
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// code is a text without comments and empty lines, which change no image.
func code(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// object compiles a module for one architecture, with the assembler's remarks in
// the log. Warnings are errors.
func (m *module) object(c *compiler, machine string) (*object, error) {
	o, err := c.compile(m.name+".cu", m.source, m.headers, slices.Concat(options, quiet, []string{"--ptxas-options=-v", "--gpu-architecture=" + m.target(machine)})...)
	if err != nil {
		return nil, err
	}
	if w := warnings(o.log); w != "" {
		return nil, fmt.Errorf("%s for %s: warnings are errors here:\n%s", m.name, machine, w)
	}
	return o, nil
}

var remark = regexp.MustCompile(`^ptxas (info    : (\d+ bytes gmem|Compiling entry function|Function properties for|Used \d+ registers)|        \. +\d+ bytes stack frame)`)

// warnings is a log without the remarks on what functions take.
func warnings(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !remark.MatchString(line) && strings.TrimSpace(line) != "" {
			b.WriteString(line)
		}
	}
	return b.String()
}

// compile writes a module's images for one architecture into a folder. They
// are packed: see pack.
func (m *module) compile(c *compiler, machine, dir string) error {
	o, err := m.object(c, machine)
	if err != nil {
		return err
	}
	if machine == "sm_75" { // the one with the fewest registers to spare
		used, err := usages(o)
		if err == nil {
			err = m.spills(used)
		}
		if err != nil {
			return fmt.Errorf("%s for %s: %w", m.name, machine, err)
		}
	}
	for _, name := range m.files() {
		switch {
		case strings.Contains(name, "."+machine+"."):
			err = errors.Join(err, m.pack(filepath.Join(dir, name), o.cubin))
		case strings.Contains(name, "."+base(machine)+"."):
			err = errors.Join(err, m.pack(filepath.Join(dir, name), o.ptx))
		}
	}
	return err
}

// target is what the compiler knows a machine by. Sources that define HOPPER use
// instructions that Hopper alone has.
func (m *module) target(machine string) string {
	if machine == "sm_90" && strings.Contains(m.source, "#define HOPPER\n") {
		return "sm_90a"
	}
	return machine
}

// size is how much text the compiler gets.
func (m *module) size() int {
	n := len(m.source)
	for _, text := range m.headers {
		n += len(text)
	}
	return n
}

// files are the names of a module's images.
func (m *module) files() (names []string) {
	for _, arch := range architectures {
		names = append(names, m.name+"."+arch.machine+".cubin.zst")
		if arch.base != "" {
			names = append(names, m.name+"."+arch.base+".ptx.zst")
		}
	}
	return names
}

// base is the virtual architecture of a machine whose PTX is written.
func base(machine string) string {
	for _, arch := range architectures {
		if arch.machine == machine && arch.base != "" {
			return arch.base
		}
	}
	return "none"
}

// skippable begins a frame that readers of Zstandard skip (RFC 8878, 3.1.2).
const skippable = 0x184D2A50

// pack writes an image as Zstandard, whose long window finds what the instances
// of a template have in common: 10 MB of images where gzip has 17. Before it is a
// skippable frame with the hash of what the image was made of.
func (m *module) pack(path string, data []byte) error {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	hash := m.hash()
	b := binary.LittleEndian.AppendUint32(nil, skippable)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(hash)))
	return os.WriteFile(path, z.EncodeAll(data, append(b, hash...)), 0o644)
}

// unpack reads an image and its hash.
func unpack(path string) (data []byte, hash string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	if len(b) >= 8 && binary.LittleEndian.Uint32(b) == skippable {
		if n := uint64(binary.LittleEndian.Uint32(b[4:])); n <= uint64(len(b)-8) {
			hash = string(b[8 : 8+n])
		}
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, "", err
	}
	defer z.Close()
	data, err = z.DecodeAll(b, nil)
	return data, hash, err
}

// current says whether a folder holds a module's images as they should be.
func (m *module) current(dir string) bool {
	hash := m.hash()
	for _, name := range m.files() {
		if _, of, err := unpack(filepath.Join(dir, name)); err != nil || of != hash {
			return false
		}
	}
	return true
}

// build brings the images of all modules up to date, removes those of sources
// that are gone, and writes the index. One source that is wrong does not keep
// the others from being built. It returns the names of what it has compiled.
//
// Every compilation is a process of its own, run by compile: NVRTC numbers the
// calls in PTX through all compilations of a process.
func build(sources, dir string, force bool, workers int, compile func(module, machine, out string) error) (built []string, err error) {
	all, err := modules(sources)
	if err != nil {
		return nil, err
	}
	part, err := os.MkdirTemp(sources, ".build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(part)
	var wg sync.WaitGroup
	free := make(chan bool, workers)
	errs := make([][]error, len(all))
	slices.SortFunc(all, func(a, b module) int { return b.size() - a.size() }) // what takes longest is not to be waited for in the end
	for i, m := range all {
		if !force && m.current(dir) {
			continue
		}
		built = append(built, m.name)
		errs[i] = make([]error, len(architectures))
		for j, arch := range architectures {
			free <- true
			wg.Go(func() {
				errs[i][j] = compile(m.name, arch.machine, part)
				<-free
			})
		}
	}
	wg.Wait()
	for i, m := range all {
		wrong := slices.DeleteFunc(errs[i], func(err error) bool { return err == nil })
		if len(wrong) > 0 { // one architecture's is enough to see
			err = errors.Join(err, wrong[0])
			built = slices.DeleteFunc(built, func(name string) bool { return name == m.name })
		} else if slices.Contains(built, m.name) {
			err = errors.Join(err, m.move(part, dir))
		}
	}
	return built, errors.Join(err, tidy(all, dir), writeIndex(part, dir))
}

// move puts the images of a module in place.
func (m *module) move(from, to string) error {
	for _, name := range m.files() {
		if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes the images of sources that are gone.
func tidy(all []module, dir string) error {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		name, _, _ := strings.Cut(f.Name(), ".")
		if strings.HasSuffix(f.Name(), ".zst") && !slices.ContainsFunc(all, func(m module) bool { return m.name == name }) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

var entries = regexp.MustCompile(`(?m)^\.visible \.entry (\w+)\(`)

// index lists the kernels of all modules of a folder, "kernel module" a line,
// sorted.
func index(dir string) (string, error) {
	end := "." + architectures[0].base + ".ptx.zst"
	paths, err := filepath.Glob(filepath.Join(dir, "*"+end))
	if err != nil {
		return "", err
	}
	var lines []string
	for _, path := range paths {
		ptx, _, err := unpack(path)
		if err != nil {
			return "", err
		}
		for _, match := range entries.FindAllSubmatch(ptx, -1) {
			lines = append(lines, string(match[1])+" "+strings.TrimSuffix(filepath.Base(path), end)+"\n")
		}
	}
	slices.Sort(lines)
	for i := range len(lines) - 1 {
		kernel, _, _ := strings.Cut(lines[i], " ")
		if next, _, _ := strings.Cut(lines[i+1], " "); next == kernel {
			return "", fmt.Errorf("two kernels have the name %s:\n%s%s", kernel, lines[i], lines[i+1])
		}
	}
	return strings.Join(lines, ""), nil
}

func writeIndex(part, dir string) error {
	text, err := index(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(part, "index.txt")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(dir, "index.txt"))
}
