package magics

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
)

// A LocalModel is a model file that a short name finds.
type LocalModel struct {
	Name string // the file's name without .gguf
	Path string
	Size int64 // bytes, of all shards
}

// ModelFolders are where short names are looked for, in order: the folders of
// LLCUDA_MODELS, the current one and its models and .models, the user's cache.
func ModelFolders() []string {
	dirs := filepath.SplitList(os.Getenv("LLCUDA_MODELS"))
	dirs = append(dirs, ".", "models", ".models")
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "llcuda", "models"))
	}
	return slices.DeleteFunc(dirs, func(d string) bool { return d == "" })
}

var shard = regexp.MustCompile(`-(\d{5})-of-(\d{5})$`)

// LocalModels lists the model files of ModelFolders; of several with one name
// the first counts.
func LocalModels() []LocalModel {
	var all []LocalModel
	at := map[string]int{}
	for _, dir := range ModelFolders() {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			name, ok := cutSuffixFold(e.Name(), ".gguf")
			info, err := os.Stat(filepath.Join(dir, e.Name()))
			if !ok || name == "" || err != nil || !info.Mode().IsRegular() {
				continue
			}
			m := LocalModel{name, filepath.Join(dir, e.Name()), info.Size()}
			if s := shard.FindStringSubmatch(name); s != nil {
				m.Name = strings.TrimSuffix(name, s[0])
				if i, ok := at[m.Name]; ok && s[1] != "00001" {
					if filepath.Dir(all[i].Path) == filepath.Clean(dir) {
						all[i].Size += m.Size
					}
					continue
				} else if s[1] != "00001" {
					continue
				}
			}
			if _, twice := at[m.Name]; !twice {
				at[m.Name] = len(all)
				all = append(all, m)
			}
		}
	}
	return all
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if len(s) < len(suffix) || !strings.EqualFold(s[len(s)-len(suffix):], suffix) {
		return s, false
	}
	return s[:len(s)-len(suffix)], true
}

var repository = regexp.MustCompile(`^[\w.-]+/[\w.-]+$`)

// FindModel finds the file that a user's name of a model means: a path, or a
// short name (any case, with or without .gguf, as long as it is unique). The
// error says what could be done.
func FindModel(name string) (string, error) {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return "", modelError("%s: endpoints come with a later version; today a model is a .gguf file, a short name (%%models lists them) or demo", name)
	}
	path := inHome(name)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return inFolder(path)
	case err == nil:
		return path, nil
	case !os.IsNotExist(err):
		return "", modelError("%s cannot be read: %v; check its path and permissions", name, pathCause(err))
	}
	if path, err := shortName(name); path != "" || err != nil {
		return path, err
	}
	if strings.HasSuffix(strings.ToLower(name), ".gguf") || !repository.MatchString(name) {
		return "", notFound(name)
	}
	if _, err := os.Stat(filepath.Dir(name)); err == nil {
		return "", notFound(name)
	}
	return "", modelError("%s: no such file; repositories of Hugging Face come with a later version: download the .gguf file and give its path, or take %%load demo", name)
}

// inHome is a path with the home folder for its leading ~.
func inHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if home, err := os.UserHomeDir(); ok && err == nil && (rest == "" || rest[0] == '/') {
		return home + rest
	}
	return path
}

func pathCause(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}

// inFolder is the one model in a folder.
func inFolder(dir string) (string, error) {
	for _, mark := range []string{"adapter_config.json", "config.json"} {
		if _, err := os.Stat(filepath.Join(dir, mark)); err == nil {
			if files, _ := filepath.Glob(filepath.Join(dir, "*.gguf")); len(files) == 1 {
				return files[0], nil
			}
			return "", modelError("%s is a checkpoint of transformers or PEFT; these come with a later version: save it as GGUF (Unsloth: model.save_pretrained_gguf) and load that file", dir)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.gguf"))
	files = slices.DeleteFunc(files, func(f string) bool {
		s := shard.FindStringSubmatch(strings.TrimSuffix(f, ".gguf"))
		return s != nil && s[1] != "00001"
	})
	switch len(files) {
	case 0:
		return "", modelError("%s is a folder without .gguf files; give the file's path", dir)
	case 1:
		return files[0], nil
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return "", modelError("%s is a folder of %d models (%s); give the path of one", dir, len(files), strings.Join(files, ", "))
}

// shortName finds a local model by its name or a beginning that only one has.
func shortName(name string) (string, error) {
	want, _ := cutSuffixFold(name, ".gguf")
	if strings.ContainsAny(want, `/\`) || want == "" {
		return "", nil
	}
	var starts []LocalModel
	for _, m := range LocalModels() {
		if strings.EqualFold(m.Name, want) {
			return m.Path, nil
		}
		if len(m.Name) > len(want) && strings.EqualFold(m.Name[:len(want)], want) {
			starts = append(starts, m)
		}
	}
	switch len(starts) {
	case 0:
		return "", nil
	case 1:
		return starts[0].Path, nil
	}
	var names []string
	for _, m := range starts {
		names = append(names, m.Name)
	}
	return "", modelError("%s could be %s; write one of them in full", name, strings.Join(names, " or "))
}

func notFound(name string) error {
	known := []string{"demo"}
	for _, m := range LocalModels() {
		known = append(known, m.Name)
	}
	base, _ := cutSuffixFold(filepath.Base(name), ".gguf")
	if best := expr.Closest(base, known); best != "" {
		return modelError("no model %s; did you mean %s?", name, best)
	}
	return modelError("no model %s: neither a file nor a short name; %%models lists what is here, %%load demo always works", name)
}

func modelError(format string, args ...any) error {
	return &jupyter.Error{Name: "ModelError", Value: fmt.Sprintf(format, args...)}
}
