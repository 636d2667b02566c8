package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/hub"
	"github.com/llcuda/llcuda/internal/lora"
)

const adapterConfigName = "adapter_config.json"

// An AdapterError says that a repository, where a model was looked for, has an
// adapter instead: FindAdapter finds that, and FindBase its base.
type AdapterError struct{ Repo string }

func (e *AdapterError) Error() string {
	return fmt.Sprintf("%s has an adapter of PEFT and no model; %%load takes it with the base that it names, and --adapter beside another", e.Repo)
}

// FindAdapter finds what the name of an adapter means: a folder that PEFT saved,
// a .gguf file, or a repository of one; Path is what lora.Open takes. Fetch
// brings one that is not here.
func (c *Catalog) FindAdapter(ctx context.Context, q Query) (*Found, error) {
	where := InHome(q.Name)
	if _, err := os.Stat(where); err == nil && !OnHub(q.Name) {
		if !strings.HasSuffix(where, ".gguf") && !lora.IsFolder(where) {
			return nil, fmt.Errorf("%s is no adapter: want a folder with adapter_config.json, a .gguf file, or a repository", q.Name)
		}
		whole, err := filepath.Abs(where)
		if err != nil {
			return nil, err
		}
		return &Found{Model: Model{Name: strings.TrimSuffix(filepath.Base(whole), ".gguf"), Path: where, Source: Folder}}, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("%s cannot be read: %w; check its path and permissions", q.Name, err)
	}
	r, err := c.parse(&q)
	if err != nil {
		return nil, err
	}
	if r == nil || r.entry != nil {
		return nil, fmt.Errorf("no adapter %s: want a folder with adapter_config.json, a .gguf file, or a repository (org/name)", q.Name)
	}
	client, err := c.client(q.Offline)
	if err != nil {
		return nil, err
	}
	repo := r.repos[0]
	files := []string{adapterConfigName, adapterWeightsName}
	if strings.HasSuffix(r.want, ".gguf") {
		files = []string{r.want}
	}
	found := &Found{Model: Model{Name: path.Base(repo), Source: HuggingFace, Repo: repo}, revision: q.Revision}
	if !q.Refresh {
		if found.Path, _ = c.cachedFile(repo, files[0], q.Revision); found.Path != "" {
			if _, ok := c.cachedFile(repo, files[len(files)-1], q.Revision); ok {
				return found, nil
			}
			found.Path = ""
		}
	}
	list, err := client.List(ctx, repo, q.Revision)
	if err != nil {
		return nil, err
	}
	found.repo = list
	if found.files, err = adapterFiles(list, files); err != nil {
		return nil, err
	}
	found.Size = found.files.Size
	return found, nil
}

// adapterFiles are the files of a repository that make an adapter: a .gguf file,
// or those of PEFT with the template of its training, if that is there.
func adapterFiles(list *hub.Repo, files []string) (hub.Model, error) {
	m := hub.Model{Name: list.ID}
	if files[0] == adapterConfigName {
		files = slices.Insert(slices.Clone(files), 1, "chat_template.jinja", "tokenizer_config.json")
	}
	for i, name := range files {
		beside := i > 0 && i < len(files)-1
		at := slices.IndexFunc(list.Files, func(f hub.File) bool { return f.Path == name })
		if at < 0 && beside {
			continue
		}
		if at < 0 {
			return hub.Model{}, fmt.Errorf("%s has no %s: it is no adapter that PEFT saved as safetensors; %%load takes models", list.ID, name)
		}
		m.Files = append(m.Files, list.Files[at])
		m.Size += list.Files[at].Size
	}
	return m, nil
}

func (c *Catalog) cachedFile(repo, file, revision string) (string, bool) {
	if c.Hub == nil {
		return "", false
	}
	return c.Hub.Find(repo, file, revision)
}

// FindBase finds the model that an adapter in dir was trained on, by what its
// author calls it. On this machine that is the path it gives, a folder beside
// the adapter, or a model of that name in any quantisation; else it is a
// repository of that name.
func (c *Catalog) FindBase(ctx context.Context, dir, base string, q Query) (*Found, error) {
	if base == "" {
		return nil, fmt.Errorf("%s does not say which model it is for (base_model_name_or_path); name it with --base", dir)
	}
	for _, p := range []string{InHome(base), filepath.Join(dir, base), filepath.Join(filepath.Dir(filepath.Clean(dir)), filepath.Base(base))} {
		if info, err := os.Stat(p); err == nil && (info.IsDir() && checkpoint.Is(p) && !isAdapter(p) || strings.HasSuffix(p, ".gguf")) {
			f, err := found(p, nil)
			if err == nil {
				f.Why = fmt.Sprintf("the base %s is %s", base, p)
			}
			return f, err
		}
	}
	for _, m := range c.Local() {
		if name, _ := hub.CutQuant(m.Name); m.Path != "" && sameModel(name, base) {
			return &Found{Model: m, Why: fmt.Sprintf("the base %s is here as %s", base, m.Name)}, nil
		}
	}
	if !repository.MatchString(base) {
		return nil, fmt.Errorf("the base of %s, %s, is not here; name a model of the same weights with --base", dir, base)
	}
	q.Name = base
	f, err := c.Find(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("the base of %s is %s: %w; or name a model of the same weights with --base", dir, base, err)
	}
	f.Why = fmt.Sprintf("the base is %s", base)
	return f, nil
}

// sameModel compares the names of a model here and a base, whose author may
// have trained on a quantised form of it.
func sameModel(have, base string) bool {
	plain := func(s string) string {
		s = strings.ToLower(path.Base(filepath.ToSlash(s)))
		for _, form := range []string{"-bnb-4bit", "-unsloth", "-4bit", "-gguf"} {
			s = strings.ReplaceAll(s, form, "")
		}
		return strings.NewReplacer("-", "", "_", "", ".", "").Replace(s)
	}
	return plain(have) == plain(base)
}
