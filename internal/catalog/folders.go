package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/hub"
)

// llama.cpp's names of split files: name-00001-of-00003.gguf
var shard = regexp.MustCompile(`-(\d{5})-of-(\d{5})$`)

// inFolders lists the model files and the checkpoints of the folders; of several
// with one name the first counts.
func (c *Catalog) inFolders() []Model {
	var all []Model
	at := map[string]int{}
	for _, dir := range c.Folders {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			name, ok := cutSuffixFold(e.Name(), ".gguf")
			info, err := os.Stat(path)
			if err == nil && info.IsDir() && checkpoint.Is(path) && !isAdapter(path) {
				if _, twice := at[e.Name()]; !twice {
					at[e.Name()] = len(all)
					all = append(all, checkpointModel(path))
				}
				continue
			}
			if !ok || name == "" || err != nil || !info.Mode().IsRegular() {
				continue
			}
			m := Model{Name: name, Path: path, Size: info.Size(), Source: Folder}
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
			m.Quant = hub.QuantOf(m.Name)
			if _, twice := at[m.Name]; !twice {
				at[m.Name] = len(all)
				all = append(all, m)
			}
		}
	}
	return all
}

// inFolder is the one model in a folder: a GGUF file, or the folder itself if it
// is a checkpoint.
func inFolder(dir string) (string, error) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.gguf"))
	files = slices.DeleteFunc(files, func(f string) bool {
		s := shard.FindStringSubmatch(strings.TrimSuffix(f, ".gguf"))
		return s != nil && s[1] != "00001"
	})
	switch {
	case len(files) == 1:
		return files[0], nil
	case isAdapter(dir):
		return "", adapter(dir)
	case checkpoint.Is(dir):
		return dir, nil
	case len(files) == 0:
		if weights, _ := filepath.Glob(filepath.Join(dir, "*.safetensors")); len(weights) > 0 {
			return "", fmt.Errorf("%s has weights, but no config.json that says of which model; copy the one of the model that they are of", dir)
		}
		return "", fmt.Errorf("%s is a folder without .gguf files, and no checkpoint; give the model's path", dir)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return "", fmt.Errorf("%s is a folder of %d models (%s); give the path of one", dir, len(files), strings.Join(files, ", "))
}

// stem is a file's name without .gguf and the shard's number.
func stem(path string) string {
	name, _ := cutSuffixFold(filepath.Base(path), ".gguf")
	return strings.TrimSuffix(name, shard.FindString(name))
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if len(s) < len(suffix) || !strings.EqualFold(s[len(s)-len(suffix):], suffix) {
		return s, false
	}
	return s[:len(s)-len(suffix)], true
}

// InHome is a path with the home folder for its leading ~.
func InHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if home, err := os.UserHomeDir(); ok && err == nil && (rest == "" || rest[0] == '/') {
		return home + rest
	}
	return path
}
