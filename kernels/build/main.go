//go:build linux

// Build compiles the kernels ahead of time: every .cu file of a folder to
// machine code and PTX, which package kernels embeds. It needs NVRTC 12.1, whose
// wheel lies where LLCUDA_NVRTC says; `make kernels` fetches it. The same
// sources give the same bytes on every machine.
//
//	build          compile what has changed
//	build -force   compile everything
//	build -report  registers, spills, shared memory and a T4's occupancy, of all
//	               modules or of those named
//	build -sass K  the machine code of kernel K
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	dir := flag.String("dir", "kernels", "`folder` of the sources")
	out := flag.String("out", "", "`folder` of the images, image in that of the sources")
	force := flag.Bool("force", false, "compile what has not changed, too")
	show := flag.Bool("report", false, "report what the kernels take of a multiprocessor")
	sass := flag.String("sass", "", "show the machine code of a `kernel`")
	arch := flag.String("arch", "sm_75", "for -sass, -only and -report: the `architecture`")
	only := flag.String("only", "", "compile one `module` for one architecture, into -out")
	flag.Parse()
	if *out == "" {
		*out = filepath.Join(*dir, "image")
	}
	if err := run(*dir, *out, *only, *arch, *sass, *force, *show); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(dir, out, only, arch, sass string, force, show bool) error {
	wheels := os.Getenv("LLCUDA_NVRTC")
	if sass != "" {
		return disassemble(wheels, out, sass, arch)
	}
	c, err := open(wheels)
	if err != nil {
		return err
	}
	if show {
		return report(c, dir, arch, flag.Args(), os.Stdout)
	}
	if only != "" {
		all, err := modules(dir)
		for _, m := range all {
			if m.name == only {
				return m.compile(c, arch, out)
			}
		}
		return errors.Join(err, fmt.Errorf("no module %s in %s", only, dir))
	}
	built, err := build(dir, out, force, runtime.NumCPU(), func(module, machine, part string) error {
		return again("-dir", dir, "-only", module, "-arch", machine, "-out", part)
	})
	if len(built) > 0 {
		fmt.Println("compiled:", strings.Join(built, " "))
	}
	return err
}

// again runs this program once more.
func again(args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := exec.Command(self, args...).CombinedOutput()
	if err != nil {
		return errors.New(strings.TrimPrefix(strings.TrimSpace(string(text)), "build: "))
	}
	return nil
}
