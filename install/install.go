// Package install puts llcuda's kernelspec where Jupyter finds it, and checks
// whether everything that a notebook needs is there ([Doctor]). The format is at
// https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs.
package install

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Options say where a kernelspec goes and what is in it. At most one of User,
// SysPrefix and Prefix is set; with none, Install takes the user's folder.
type Options struct {
	User      bool   // the user's Jupyter data folder, or JUPYTER_DATA_DIR
	SysPrefix bool   // the Python environment that is active, see SysPrefix
	Prefix    string // PREFIX/share/jupyter

	Name        string            // "llcuda" when empty; Jupyter takes it in lower case
	DisplayName string            // "llcuda" when empty
	Env         map[string]string // set for the kernel
	Executable  string            // this program when empty
}

// A Spec is the content of kernel.json.
type Spec struct {
	Argv            []string          `json:"argv"`
	DisplayName     string            `json:"display_name"`
	Language        string            `json:"language"`
	InterruptMode   string            `json:"interrupt_mode"`
	ProtocolVersion string            `json:"kernel_protocol_version"`
	Env             map[string]string `json:"env,omitempty"`
	Metadata        map[string]any    `json:"metadata"`
}

// mark is the key of metadata that tells our kernelspecs from others.
const mark = "llcuda"

//go:generate go run logo.go

var (
	//go:embed logo-32x32.png
	logo32 []byte
	//go:embed logo-64x64.png
	logo64 []byte
	//go:embed logo-svg.svg
	logoSVG []byte
)

// ErrNotInstalled is returned by Uninstall when there is nothing to remove.
var ErrNotInstalled = errors.New("no kernelspec of llcuda is installed there")

// Install writes the kernelspec and returns its folder. It is there as a whole
// or not at all; installing again replaces it. A kernelspec of another kernel is
// not replaced.
func Install(o Options) (dir string, err error) {
	name, err := o.name()
	if err != nil {
		return "", err
	}
	root, err := o.root()
	if err != nil {
		return "", err
	}
	files, err := o.files()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(root, "kernels", name)
	if err := ours(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("install: %s: %w; choose another --name", dir, err)
	}
	if upToDate(dir, files) {
		return dir, nil
	}
	if err := replaceDir(dir, files); err != nil {
		return "", fmt.Errorf("install: kernelspec: %w%s", err, permissionHint(err))
	}
	return dir, nil
}

func permissionHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "; use --user, or --prefix with a folder you may write to"
	}
	return ""
}

// Uninstall removes the kernelspec of that name from where the options say, or,
// when they do not say, from everywhere Jupyter looks. It returns the folders
// that it removed.
func Uninstall(o Options) (dirs []string, err error) {
	name, err := o.name()
	if err != nil {
		return nil, err
	}
	roots := DataDirs()
	if o.User || o.SysPrefix || o.Prefix != "" {
		root, err := o.root()
		if err != nil {
			return nil, err
		}
		roots = []string{root}
	}
	for _, root := range roots {
		dir := filepath.Join(root, "kernels", name)
		err := ours(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.RemoveAll(dir)
		}
		if err != nil {
			return dirs, fmt.Errorf("uninstall: %s: %w", dir, err)
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("uninstall %q: %w", name, ErrNotInstalled)
	}
	return dirs, nil
}

// An Installed kernelspec of llcuda.
type Installed struct {
	Name, Dir string
	Spec      Spec
}

// List returns llcuda's kernelspecs where Jupyter looks for them, in the order
// in which it looks: of two with the same name the first is used.
func List() []Installed {
	var list []Installed
	for _, root := range DataDirs() {
		entries, _ := os.ReadDir(filepath.Join(root, "kernels"))
		for _, e := range entries {
			dir := filepath.Join(root, "kernels", e.Name())
			if spec, err := readSpec(dir); err == nil && spec.Metadata[mark] != nil {
				list = append(list, Installed{e.Name(), dir, spec})
			}
		}
	}
	return list
}

var goodName = regexp.MustCompile(`^[a-z0-9._-]+$`)

func (o Options) name() (string, error) {
	name := strings.ToLower(o.Name)
	if name == "" {
		name = "llcuda"
	}
	if !goodName.MatchString(name) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("kernel name %q: Jupyter allows letters a to z, digits, hyphen, period and underscore", o.Name)
	}
	return name, nil
}

// root is the Jupyter data folder that the options mean.
func (o Options) root() (string, error) {
	switch {
	case o.User && o.SysPrefix || o.Prefix != "" && (o.User || o.SysPrefix):
		return "", errors.New("only one of --user, --sys-prefix and --prefix can be given")
	case o.Prefix != "":
		prefix, err := filepath.Abs(o.Prefix)
		return filepath.Join(prefix, "share", "jupyter"), err
	case o.SysPrefix:
		prefix, err := SysPrefix()
		return filepath.Join(prefix, "share", "jupyter"), err
	}
	return UserDataDir()
}

// spec is the content of kernel.json. Interrupts come as messages: that works on
// every system, in containers and through gateways, and reaches the kernel
// alone, not what a cell has started.
func (o Options) spec() (Spec, error) {
	exe := o.Executable
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return Spec{}, fmt.Errorf("install: path of this program: %w", err)
		}
		if strings.Contains(exe, string(filepath.Separator)+"go-build") {
			return Spec{}, fmt.Errorf("install: %s is gone when this command ends (go run); build llcuda first", exe)
		}
	} else {
		abs, err := filepath.Abs(exe)
		if err != nil {
			return Spec{}, fmt.Errorf("install: %w", err)
		}
		if err := executable(abs); err != nil {
			return Spec{}, fmt.Errorf("install: %w", err)
		}
		exe = abs
	}
	display := o.DisplayName
	if display == "" {
		display = "llcuda"
	}
	return Spec{
		Argv:            []string{exe, "kernel", "{connection_file}"},
		DisplayName:     display,
		Language:        "llcuda",
		InterruptMode:   "message",
		ProtocolVersion: "5.4",
		Env:             o.Env,
		Metadata:        map[string]any{"debugger": false, mark: map[string]any{}},
	}, nil
}

// executable says why path is no program, nil if it is one.
func executable(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.IsDir() || filepath.Separator == '/' && fi.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not an executable file", path)
	}
	return nil
}

// files are the files of the kernelspec's folder.
func (o Options) files() (map[string][]byte, error) {
	spec, err := o.spec()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(spec); err != nil {
		return nil, fmt.Errorf("install: kernel.json: %w", err)
	}
	return map[string][]byte{
		"kernel.json": b.Bytes(), "logo-32x32.png": logo32, "logo-64x64.png": logo64, "logo-svg.svg": logoSVG,
	}, nil
}

func readSpec(dir string) (Spec, error) {
	var s Spec
	data, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

// ours says why the folder is not one of our kernelspecs: fs.ErrNotExist when
// there is nothing.
func ours(dir string) error {
	if _, err := os.Lstat(dir); err != nil {
		return err
	}
	s, err := readSpec(dir)
	if err != nil {
		return fmt.Errorf("not a kernelspec of llcuda (%v)", err)
	}
	if s.Metadata[mark] == nil {
		return fmt.Errorf("the kernelspec of another kernel, %q", s.DisplayName)
	}
	return nil
}

func upToDate(dir string, files map[string][]byte) bool {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		return false
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			return false
		}
	}
	return true
}

// replaceDir makes dir hold files, by renaming a folder that is ready.
func replaceDir(dir string, files map[string][]byte) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	// Beside the kernels folder's other entries, under a name that Jupyter skips
	// for its lack of a kernel.json until the rename.
	tmp, err := os.MkdirTemp(parent, ".llcuda-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fresh, old := filepath.Join(tmp, "new"), filepath.Join(tmp, "old")
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), data, 0o644); err != nil {
			return err
		}
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		os.Rename(old, dir) // back to where it was
		return err
	}
	return nil
}
