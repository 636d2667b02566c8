package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/llcuda/llcuda/internal/hub"
)

// Unfinished lists the repositories of which a part came and waits: Name is
// org/name, Size what is here.
func (c *Catalog) Unfinished() []Model {
	if c.Hub == nil {
		return nil
	}
	var all []Model
	for _, repo := range c.Hub.Repos() {
		if n := c.Hub.Partial(repo); n > 0 {
			all = append(all, Model{Name: repo, Repo: repo, Size: n, Source: HuggingFace})
		}
	}
	return all
}

// Remove deletes a model from Hugging Face's cache, the only place that is ours
// to clear. The name has to be exact: the model's, org/name:QUANT where several
// have it, or org/name for all that the cache has of a repository.
func (c *Catalog) Remove(ctx context.Context, name string) (hub.Removed, error) {
	var in []Model
	for _, m := range c.Local() {
		if m.Name == name || m.Repo != "" && m.Repo+":"+m.Quant == name {
			in = append(in, m)
		}
	}
	switch cached := only(in, HuggingFace); {
	case len(cached) == 1 || len(cached) > 1 && cached[0].Repo == cached[1].Repo:
		return c.Hub.Remove(ctx, cached[0].repo, cached[0].files.Files)
	case len(cached) > 1:
		return hub.Removed{}, fmt.Errorf("%s is of %s and of %s; write org/name:QUANT", name, cached[0].Repo, cached[1].Repo)
	case len(in) > 0 && in[0].Source == Ollama:
		return hub.Removed{}, fmt.Errorf("%s belongs to Ollama, which removes it: ollama rm %s", name, name)
	case len(in) > 0:
		return hub.Removed{}, fmt.Errorf("%s is a file of yours and stays; remove %s by hand", name, in[0].Path)
	}
	if c.Hub != nil && strings.Contains(name, "/") {
		for _, repo := range c.Hub.Repos() {
			if repo == name {
				return c.Hub.RemoveRepo(repo)
			}
		}
	}
	var known, near []string
	for _, m := range only(c.Local(), HuggingFace) {
		known = append(known, m.Name)
		if strings.HasPrefix(strings.ToLower(m.Name), strings.ToLower(name)) && len(near) < 3 {
			near = append(near, m.Name)
		}
	}
	if len(near) == 0 {
		near = closest(name, known, 3)
	}
	if len(near) > 0 {
		return hub.Removed{}, fmt.Errorf("no model is called exactly %s; did you mean %s?", name, strings.Join(near, " or "))
	}
	return hub.Removed{}, fmt.Errorf("no model in Hugging Face's cache is called exactly %s; %%models lists them", name)
}

func only(all []Model, s Source) (some []Model) {
	for _, m := range all {
		if m.Source == s {
			some = append(some, m)
		}
	}
	return some
}
