package install

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/cpu"
)

// A Check is one finding of Doctor. Hint says what to do when it is not OK, or
// what would be better; "" is nothing.
type Check struct {
	Name         string
	OK           bool
	Detail, Hint string
}

// Doctor checks what a notebook needs of this machine: Jupyter, a kernelspec
// that leads to a program, a processor with the instructions that make products
// fast, memory. It asks Jupyter itself where that is installed, which takes
// about a second; ctx bounds it.
func Doctor(ctx context.Context) []Check {
	return []Check{checkJupyter(), checkKernelspec(ctx), checkProgram(), checkCPU(), checkMemory()}
}

// clients are the front ends looked for in PATH.
var clients = []string{"jupyter-lab", "jupyter-notebook", "jupyter-console", "jupyter", "code"}

func checkJupyter() Check {
	var found []string
	for _, name := range clients {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		return Check{
			Name: "jupyter", Detail: "no Jupyter front end in PATH",
			Hint: "pip install jupyterlab; `llcuda run NOTEBOOK` needs none",
		}
	}
	return Check{Name: "jupyter", OK: true, Detail: strings.Join(found, ", ")}
}

func checkKernelspec(ctx context.Context) Check {
	c := Check{Name: "kernelspec", Hint: "llcuda install"}
	list := List()
	if len(list) == 0 {
		c.Detail = "not installed in any of " + strings.Join(DataDirs(), ", ")
		return c
	}
	var names []string
	for _, k := range list {
		names = append(names, k.Name+" in "+k.Dir)
	}
	c.Detail = strings.Join(names, ", ")
	seen, err := askJupyter(ctx)
	if err != nil { // no Jupyter here: its rules alone
		c.OK, c.Hint = true, ""
		return c
	}
	for _, k := range list {
		if dir, ok := seen[k.Name]; ok && sameDir(dir, k.Dir) {
			c.OK, c.Hint = true, ""
			c.Detail = k.Name + " in " + k.Dir + ", found by jupyter"
			return c
		}
	}
	c.Detail += ", but `jupyter kernelspec list` does not show it"
	c.Hint = "install where that jupyter looks: llcuda install --sys-prefix"
	return c
}

// askJupyter returns the kernelspecs that jupyter finds: name → folder.
func askJupyter(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "jupyter", "kernelspec", "list", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("jupyter kernelspec list: %w", err)
	}
	var list struct {
		Kernelspecs map[string]struct {
			Dir string `json:"resource_dir"`
		} `json:"kernelspecs"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("jupyter kernelspec list: %w", err)
	}
	dirs := make(map[string]string)
	for name, k := range list.Kernelspecs {
		dirs[name] = k.Dir
	}
	return dirs, nil
}

func sameDir(a, b string) bool {
	if x, err := filepath.EvalSymlinks(a); err == nil {
		a = x
	}
	if x, err := filepath.EvalSymlinks(b); err == nil {
		b = x
	}
	return a == b
}

func checkProgram() Check {
	c := Check{Name: "program", Hint: "llcuda install, to write the path of this program"}
	list := List()
	if len(list) == 0 {
		c.Detail = "no kernelspec leads to it"
		return c
	}
	for _, k := range list {
		if len(k.Spec.Argv) == 0 {
			c.Detail = k.Dir + " names no program"
			return c
		}
		path, err := exec.LookPath(k.Spec.Argv[0])
		if err != nil {
			c.Detail = fmt.Sprintf("kernelspec %s: %v", k.Name, err)
			return c
		}
		if c.Detail == "" {
			c.Detail = path
		}
	}
	c.OK, c.Hint = true, ""
	return c
}

func checkCPU() Check {
	c := Check{Name: "cpu", OK: true, Detail: fmt.Sprintf("%d cores, %s", runtime.NumCPU(), runtime.GOARCH)}
	if runtime.GOARCH != "amd64" {
		return c
	}
	var have []string
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"AVX2", cpu.X86.HasAVX2}, {"FMA", cpu.X86.HasFMA}, {"AVX-512", cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW},
		{"AVX-512 VNNI", cpu.X86.HasAVX512VNNI}, {"AVX-VNNI", cpu.X86.HasAVXVNNI},
	} {
		if f.ok {
			have = append(have, f.name)
		}
	}
	c.Detail += ": " + strings.Join(have, ", ")
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		c.OK = false
		c.Detail = strings.TrimSuffix(c.Detail, ": ") + ", no AVX2"
		c.Hint = "models run on the CPU, slowly; use a GPU or a small model"
	}
	return c
}

func checkMemory() Check {
	c := Check{Name: "memory"}
	total, free, err := memory()
	if err != nil {
		c.Detail = err.Error()
		c.Hint = "models are loaded without a look at the memory that is left"
		return c
	}
	const gib = 1 << 30
	c.Detail = fmt.Sprintf("%.1f GiB of %.1f GiB free", float64(free)/gib, float64(total)/gib)
	if c.OK = free >= gib; !c.OK {
		c.Hint = "close other programs: a model of 1 B parameters in Q4 needs about 1 GiB"
	}
	return c
}
