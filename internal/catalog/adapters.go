package catalog

import (
	"os"
	"path/filepath"
	"slices"
)

// The weights of an adapter of PEFT, beside its adapter_config.json.
const adapterWeightsName = "adapter_model.safetensors"

// An Adapter is one of PEFT's that lies on this machine. Its name is a path or a
// repository, as FindAdapter takes it.
type Adapter struct {
	Model
	Base string // the model it is for, as its author calls it; "" if nothing tells it
}

// Adapters lists the adapters on this machine, by place; of several commits of a
// repository the first counts, which is main if that is here.
func (c *Catalog) Adapters() []Adapter {
	return slices.Concat(c.adaptersInFolders(), c.adaptersInCache())
}

func (c *Catalog) adaptersInFolders() (all []Adapter) {
	seen := map[string]bool{}
	for _, folder := range c.Folders {
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			dir := filepath.Join(folder, e.Name())
			weights, err := os.Stat(filepath.Join(dir, adapterWeightsName))
			if err != nil || !isAdapter(dir) {
				continue
			}
			whole, err := filepath.Abs(dir)
			if err != nil || seen[whole] {
				continue
			}
			seen[whole] = true
			all = append(all, Adapter{Model{Name: dir, Path: dir, Size: weights.Size(), Source: Folder}, baseOf(dir)})
		}
	}
	return all
}

func (c *Catalog) adaptersInCache() (all []Adapter) {
	if c.Hub == nil {
		return nil
	}
	for _, r := range c.Hub.Snapshots() {
		files, err := adapterFiles(r, []string{adapterConfigName, adapterWeightsName})
		if err != nil || len(all) > 0 && all[len(all)-1].Repo == r.ID {
			continue
		}
		if m := c.model(r, files); m.Path != "" {
			m.Name = r.ID
			all = append(all, Adapter{m, baseOf(filepath.Dir(m.Path))})
		}
	}
	return all
}

// baseOf is the base that the adapter in a folder names.
func baseOf(dir string) string {
	var a adapterConfig
	readConfig(dir, adapterConfigName, &a)
	return word(a.Base)
}
