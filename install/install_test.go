package install_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llcuda/llcuda/install"
)

// alone hides the machine's own Jupyter and Python and returns a home.
func alone(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, key := range []string{"JUPYTER_DATA_DIR", "JUPYTER_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "XDG_DATA_HOME", "APPDATA"} {
		t.Setenv(key, "")
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("PATH", "")
	return home
}

func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "llcuda.exe")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInstallUser(t *testing.T) {
	home := alone(t)
	exe := program(t)
	dir, err := install.Install(install.Options{Executable: exe, Env: map[string]string{"A": "<b>"}})
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		if want := filepath.Join(home, ".local", "share", "jupyter", "kernels", "llcuda"); dir != want {
			t.Errorf("got folder %s, want %s", dir, want)
		}
	}
	var got map[string]any
	data, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"argv":         []any{exe, "kernel", "{connection_file}"},
		"display_name": "llcuda", "language": "llcuda", "interrupt_mode": "message", "kernel_protocol_version": "5.4",
		"env": map[string]any{"A": "<b>"}, "metadata": map[string]any{"debugger": false, "llcuda": map[string]any{}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("kernel.json (-got +want):\n%s", diff)
	}
	for name, size := range map[string]int{"logo-32x32.png": 32, "logo-64x64.png": 64} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil || img.Bounds().Dx() != size || img.Bounds().Dy() != size {
			t.Errorf("%s: %v, %v", name, img.Bounds(), err)
		}
	}
}

// The kernel.json at the root is for reading; it must not differ from what
// Install writes but for the path.
func TestReferenceKernelJSON(t *testing.T) {
	alone(t)
	exe := program(t)
	dir, err := install.Install(install.Options{Executable: exe})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../kernel.json")
	if err != nil {
		t.Fatal(err)
	}
	quoted, _ := json.Marshal(exe)
	if diff := cmp.Diff(strings.Replace(string(got), string(quoted), `"llcuda"`, 1), string(want)); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestInstallPlaces(t *testing.T) {
	home := alone(t)
	exe := program(t)
	place := func(parts ...string) string { return filepath.Join(append([]string{home}, parts...)...) }
	for _, c := range []struct {
		name string
		env  map[string]string
		o    install.Options
		want string
	}{
		{"prefix", nil, install.Options{Prefix: place("p")}, place("p", "share", "jupyter", "kernels", "llcuda")},
		{"data dir", map[string]string{"JUPYTER_DATA_DIR": place("d")}, install.Options{User: true}, place("d", "kernels", "llcuda")},
		{"venv", map[string]string{"VIRTUAL_ENV": place("v")}, install.Options{SysPrefix: true}, place("v", "share", "jupyter", "kernels", "llcuda")},
		{"conda", map[string]string{"CONDA_PREFIX": place("c")}, install.Options{SysPrefix: true}, place("c", "share", "jupyter", "kernels", "llcuda")},
		{"name", nil, install.Options{Prefix: place("p"), Name: "My-LLM.2"}, place("p", "share", "jupyter", "kernels", "my-llm.2")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			c.o.Executable = exe
			dir, err := install.Install(c.o)
			if err != nil || dir != c.want {
				t.Errorf("got %s, %v; want %s", dir, err, c.want)
			}
		})
	}
}

func TestInstallRefused(t *testing.T) {
	home := alone(t)
	exe := program(t)
	for _, c := range []struct {
		name string
		o    install.Options
		want string
	}{
		{"two places", install.Options{User: true, Prefix: home}, "only one of"},
		{"three places", install.Options{User: true, SysPrefix: true}, "only one of"},
		{"a space", install.Options{Name: "my llm"}, "kernel name"},
		{"an umlaut", install.Options{Name: "ü"}, "kernel name"},
		{"a path", install.Options{Name: "../x"}, "kernel name"},
		{"dots", install.Options{Name: ".."}, "kernel name"},
		{"no Python", install.Options{SysPrefix: true}, "no Python environment"},
		{"no program", install.Options{Executable: filepath.Join(home, "none")}, "none"},
		{"a folder", install.Options{Executable: home}, "not an executable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.Executable == "" {
				c.o.Executable = exe
			}
			dir, err := install.Install(c.o)
			if err == nil || dir != "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v; want an error with %q", dir, err, c.want)
			}
		})
	}
}

func TestInstallAgain(t *testing.T) {
	alone(t)
	o := install.Options{Executable: program(t)}
	dir, err := install.Install(o)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(dir)
	if _, err := install.Install(o); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(dir); !os.SameFile(before, after) {
		t.Error("the same kernelspec was written again")
	}
	// A changed one replaces all of it, and leaves nothing beside it.
	if err := os.WriteFile(filepath.Join(dir, "stale"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o.DisplayName = "other"
	if _, err := install.Install(o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "stale")); err == nil {
		t.Error("a file of the former kernelspec is still there")
	}
	if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 {
		t.Errorf("left beside the kernelspec: %v", entries)
	}
	if list := install.List(); len(list) != 1 || list[0].Spec.DisplayName != "other" || list[0].Dir != dir {
		t.Errorf("list is %+v", list)
	}
}

func TestOtherKernelsAreSafe(t *testing.T) {
	home := alone(t)
	dir := filepath.Join(home, "share", "jupyter", "kernels", "python3")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := []byte(`{"argv": ["python"], "display_name": "Python 3", "language": "python"}`)
	if err := os.WriteFile(filepath.Join(dir, "kernel.json"), spec, 0o644); err != nil {
		t.Fatal(err)
	}
	o := install.Options{Prefix: home, Name: "python3", Executable: program(t)}
	if _, err := install.Install(o); err == nil || !strings.Contains(err.Error(), "another kernel") {
		t.Errorf("install: got %v", err)
	}
	if _, err := install.Uninstall(o); err == nil || !strings.Contains(err.Error(), "another kernel") {
		t.Errorf("uninstall: got %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "kernel.json")); !bytes.Equal(got, spec) {
		t.Error("the other kernelspec was touched")
	}
}

func TestUninstall(t *testing.T) {
	home := alone(t)
	exe := program(t)
	t.Setenv("VIRTUAL_ENV", filepath.Join(home, "venv"))
	user, err := install.Install(install.Options{Executable: exe})
	if err != nil {
		t.Fatal(err)
	}
	env, err := install.Install(install.Options{Executable: exe, SysPrefix: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := install.Uninstall(install.Options{})
	if diff := cmp.Diff(got, []string{user, env}); diff != "" || err != nil {
		t.Errorf("%v (-got +want):\n%s", err, diff)
	}
	if _, err := install.Uninstall(install.Options{}); !errors.Is(err, install.ErrNotInstalled) {
		t.Errorf("again: got %v", err)
	}
}

// Jupyter itself finds what was installed.
func TestFoundByJupyter(t *testing.T) {
	venv, err := filepath.Abs("../.venv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(venv, "bin", "jupyter")); err != nil {
		t.Skip("no Jupyter: make testdata installs it in .venv")
	}
	alone(t)
	t.Setenv("PATH", filepath.Join(venv, "bin"))
	exe := program(t)
	checks := func() map[string]install.Check {
		m := make(map[string]install.Check)
		for _, c := range install.Doctor(t.Context()) {
			m[c.Name] = c
			if !c.OK && c.Hint == "" {
				t.Errorf("%s failed without a hint", c.Name)
			}
		}
		return m
	}
	if c := checks(); c["kernelspec"].OK || c["program"].OK || !c["jupyter"].OK {
		t.Errorf("before: %+v", c)
	}
	dir, err := install.Install(install.Options{Executable: exe, Name: "found"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("jupyter", "kernelspec", "list", "--json").Output()
	if err != nil || !strings.Contains(string(out), dir) {
		t.Errorf("jupyter kernelspec list: %v\n%s", err, out)
	}
	if c := checks(); !c["kernelspec"].OK || !strings.Contains(c["kernelspec"].Detail, "found by jupyter") || !c["program"].OK {
		t.Errorf("after: %+v", c)
	}
	os.Remove(exe)
	if c := checks(); c["program"].OK {
		t.Errorf("without the program: %+v", c["program"])
	}
}
