//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A usage is what one kernel takes of a multiprocessor.
type usage struct {
	kernel                string
	threads               int // launch bound
	registers             int // of a thread
	stack, stored, loaded int // bytes: local arrays, spills
	shared                int // bytes of a block, static
	warps                 int // that are resident, as far as the above limits them
}

// Multiprocessor of sm_75 (CUDA C++ Programming Guide, table 21).
const (
	maxWarps    = 32
	maxBlocks   = 16
	maxShared   = 64 << 10
	registers   = 64 << 10
	granularity = 256 // registers are given to warps in pieces
)

var (
	function = regexp.MustCompile(`Compiling entry function '(\w+)'`)
	frame    = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	used     = regexp.MustCompile(`Used (\d+) registers`)
	static   = regexp.MustCompile(`(\d+) bytes smem`)
	bounds   = regexp.MustCompile(`(?s)\.visible \.entry (\w+)\(.*?\)\s*(.*?)\{`)
	maxntid  = regexp.MustCompile(`\.maxntid (\d+)`)
	cold     = regexp.MustCompile(`(?m)^// cold: (\w+) \S`)
)

// report prints what the kernels of all modules, or of some, take of a multiprocessor, and fails if one spills.
func report(c *compiler, dir, machine string, only []string, w io.Writer) error {
	all, err := modules(dir)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "threads\tregisters\tstack\tspills\tshared\toccupancy\t  kernel")
	for _, name := range only {
		if !slices.ContainsFunc(all, func(m module) bool { return m.name == name }) {
			return fmt.Errorf("no module %s in %s", name, dir)
		}
	}
	var wrong error
	for _, m := range all {
		if len(only) > 0 && !slices.Contains(only, m.name) {
			continue
		}
		o, err := m.object(c, machine)
		if err != nil {
			return err
		}
		used, err := usages(o)
		if err != nil {
			return fmt.Errorf("%s for %s: %w", m.name, machine, err)
		}
		for _, u := range used {
			fmt.Fprintf(out, "%d\t%d\t%d\t%d\t%d\t%d %%\t  %s\n", u.threads, u.registers, u.stack, u.stored+u.loaded, u.shared,
				100*u.warps/maxWarps, u.kernel)
		}
		if err := m.spills(used); err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%s for %s: %w", m.name, machine, err))
		}
	}
	return errors.Join(out.Flush(), wrong)
}

// spills is an error if a kernel spills registers and the source does not excuse it by a line "// cold: KERNEL why".
func (m *module) spills(used []usage) error {
	excused := map[string]bool{}
	for _, match := range cold.FindAllStringSubmatch(m.source, -1) {
		excused[match[1]] = true
	}
	var names []string
	for _, u := range used {
		if u.stored+u.loaded > 0 && !excused[u.kernel] {
			names = append(names, u.kernel)
		}
	}
	for name := range excused {
		if !slices.ContainsFunc(used, func(u usage) bool { return u.kernel == name }) {
			return fmt.Errorf("no kernel %s, which a line // cold: excuses", name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("registers are spilled by %s; a line // cold: KERNEL WHY would excuse one", strings.Join(names, ", "))
}

// usages reads the assembler's remarks. It has some for a kernel, and for each function that the kernel
// calls behind them, whose stack lies on the kernel's.
func usages(o *object) ([]usage, error) {
	threads := map[string]int{}
	for _, m := range bounds.FindAllStringSubmatch(string(o.ptx), -1) {
		threads[m[1]] = number(maxntid, m[2], 1)
	}
	var all []usage
	for line := range strings.Lines(o.log) {
		if m := function.FindStringSubmatch(line); m != nil {
			all = append(all, usage{kernel: m[1], threads: threads[m[1]]})
		}
		if len(all) == 0 {
			continue
		}
		u := &all[len(all)-1]
		if frame.MatchString(line) {
			u.stack, u.stored, u.loaded = u.stack+number(frame, line, 1), u.stored+number(frame, line, 2), u.loaded+number(frame, line, 3)
		}
		if used.MatchString(line) {
			u.registers, u.shared = number(used, line, 1), number(static, line, 1)
			u.warps = u.resident()
		}
	}
	if len(all) != len(threads) || slices.ContainsFunc(all, func(u usage) bool { return u.registers == 0 }) {
		return nil, fmt.Errorf("the assembler has remarks on %d of %d kernels", len(all), len(threads))
	}
	return all, nil
}

// number is what a group of an expression matches, 0 for nothing.
func number(re *regexp.Regexp, text string, group int) int {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[group])
	return n
}

// resident counts the warps on a multiprocessor of sm_75.
func (u *usage) resident() int {
	warps := (u.threads + 31) / 32
	if warps == 0 || u.registers == 0 {
		return 0
	}
	perWarp := (32*u.registers + granularity - 1) / granularity * granularity
	blocks := min(maxBlocks, maxWarps/warps, registers/perWarp/warps)
	if u.shared > 0 {
		blocks = min(blocks, maxShared/u.shared)
	}
	return blocks * warps
}

// disassemble shows the machine code of a kernel.
func disassemble(wheels, dir, kernel, arch string) error {
	text, err := os.ReadFile(filepath.Join(dir, "index.txt"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != kernel {
			continue
		}
		cubin, err := loose(filepath.Join(dir, module+"."+arch+".cubin.zst"))
		if err != nil {
			return err
		}
		defer os.Remove(cubin)
		cmd := exec.Command(filepath.Join(wheels, "nvidia/cu13/bin/cuobjdump"), "-sass", "-fun", kernel, cubin)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(wheels, "nvidia/cu13/bin")+":"+os.Getenv("PATH"))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	}
	return fmt.Errorf("no kernel %s in %s", kernel, dir)
}

// loose unpacks an image into a file for other programs; the caller removes it.
func loose(path string) (string, error) {
	data, _, err := unpack(path)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "*.cubin")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	return f.Name(), errors.Join(err, f.Close())
}
