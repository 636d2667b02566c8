package catalog

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/hub"
)

// llama.cpp's cache (common/arg.cpp of https://github.com/ggml-org/llama.cpp,
// until it took to Hugging Face's): one folder of files
//
//	org_name_file.gguf            slashes of the repository and the file are _
//	manifest=org=name=tag.json    what org/name:tag means: {"ggufFile": {"rfilename": …}}
//
// It is read only. A manifest tells which repository a file is of.

// llamaManifest returns the file that a manifest means, in the repository of
// the manifest's own name.
func llamaManifest(name string, data []byte) (repo, file string, ok bool) {
	name, ok = strings.CutPrefix(strings.TrimSuffix(name, ".json"), "manifest=")
	parts := strings.Split(name, "=")
	if !ok || len(parts) != 3 || !repository.MatchString(parts[0]+"/"+parts[1]) {
		return "", "", false
	}
	var m struct {
		GGUF struct {
			Name string `json:"rfilename"`
		} `json:"ggufFile"`
	}
	if json.Unmarshal(data, &m) != nil || m.GGUF.Name == "" {
		return "", "", false
	}
	return parts[0] + "/" + parts[1], m.GGUF.Name, true
}

// llamaFile is the name that a repository's file has in the cache.
func llamaFile(repo, file string) string {
	return strings.NewReplacer("/", "_", `\`, "_").Replace(repo + "_" + file)
}

// inLlamaCpp lists the models of llama.cpp's cache, by what they are called in
// their repository where a manifest tells, else by the file's whole name.
func (c *Catalog) inLlamaCpp() []Model {
	if c.LlamaCpp == "" {
		return nil
	}
	entries, _ := os.ReadDir(c.LlamaCpp)
	type origin struct{ repo, file string }
	origins := map[string]origin{} // by the cache's name of the first shard
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "manifest=") {
			continue
		}
		data, err := readSmall(filepath.Join(c.LlamaCpp, e.Name()), manifestLimit)
		if err != nil {
			continue
		}
		if repo, file, ok := llamaManifest(e.Name(), data); ok {
			origins[llamaFile(repo, file)] = origin{repo, file}
		}
	}
	list := &hub.Repo{}
	paths := map[string]string{}
	for _, e := range entries {
		name := e.Name()
		if real, size, err := inside(c.LlamaCpp, filepath.Join(c.LlamaCpp, name)); err == nil && strings.HasSuffix(name, ".gguf") {
			list.Files = append(list.Files, hub.File{Path: name, Size: size})
			paths[name] = real
		}
	}
	var all []Model
	for _, m := range list.Models() {
		// Shards are opened by the names beside the first.
		first := filepath.Join(c.LlamaCpp, m.Files[0].Path)
		if len(m.Files) == 1 {
			first = paths[m.Files[0].Path]
		}
		l := Model{Name: m.Name, Quant: m.Quant, Path: first, Size: m.Size, Source: LlamaCpp}
		if o, ok := origins[m.Files[0].Path]; ok {
			l.Repo, l.Name = o.repo, stem(path.Base(o.file))
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Model) int { return strings.Compare(a.Name, b.Name) })
	return all
}
