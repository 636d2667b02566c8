package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/hub"
)

// inCache lists the models in Hugging Face's cache.
func (c *Catalog) inCache() []Model {
	if c.Hub == nil {
		return nil
	}
	var all []Model
	for _, r := range c.Hub.Snapshots() {
		for _, m := range r.Models() {
			all = append(all, c.model(r, m))
		}
	}
	return all
}

// model is one of a snapshot, with its path if the cache has it.
func (c *Catalog) model(r *hub.Repo, m hub.Model) Model {
	l := Model{Name: path.Base(m.Name), Quant: m.Quant, Size: m.Size, Source: HuggingFace, Repo: r.ID, repo: r, files: m}
	for i, f := range m.Files {
		p, ok := c.Hub.Has(r, f)
		if !ok {
			l.Path = ""
			break
		}
		if i == 0 {
			l.Path = p
		}
	}
	return l
}

// findCopy finds what a reference means among the models that are here: those
// of its repositories, and of the registry's entries also files with their name.
func (c *Catalog) findCopy(q *Query, r *reference, all []Model) (*Found, error) {
	if q.Revision != "" {
		all = c.atRevision(r, q.Revision)
	}
	var copies []Model
	for _, m := range all {
		if slices.ContainsFunc(r.repos, func(repo string) bool { return strings.EqualFold(repo, m.Repo) }) ||
			r.entry != nil && r.entry.is(m.Name) {
			copies = append(copies, m)
		}
	}
	if r.want != "" {
		copies = wanted(copies, r.want)
	}
	if len(copies) == 0 {
		return nil, nil
	}
	if len(copies) == 1 || r.want != "" {
		f := &Found{Model: copies[0]}
		if r.want == "" {
			f.Why = fmt.Sprintf("%s is the one that is here; %s:QUANT fetches another", f.label(), q.Name)
		}
		return f, nil
	}
	i, why, err := choose(q, r.entry, copies)
	if err != nil {
		i, why = 0, "" // loading says what it needs
	}
	return &Found{Model: copies[i], Why: why}, nil
}

func (c *Catalog) atRevision(r *reference, revision string) (all []Model) {
	if c.Hub == nil {
		return nil
	}
	for _, repo := range r.repos {
		if list, ok := c.Hub.Cached(repo, revision); ok {
			for _, m := range list.Models() {
				all = append(all, c.model(list, m))
			}
		}
	}
	return all
}

// wanted are the models that a quantisation or a file's name means.
func wanted(all []Model, want string) []Model {
	for _, fits := range []func(m Model) bool{
		func(m Model) bool { return m.has(want) },
		func(m Model) bool { return strings.EqualFold(m.Quant, want) },
		func(m Model) bool { return strings.EqualFold(m.Quant, "UD-"+want) },
		func(m Model) bool { ok, _ := path.Match(want, path.Base(m.file())); return ok },
	} {
		if some := slices.DeleteFunc(slices.Clone(all), func(m Model) bool { return !fits(m) }); len(some) > 0 {
			return some
		}
	}
	return nil
}

// has reports whether a file's path or name is one of the model's.
func (m Model) has(file string) bool {
	if m.repo == nil {
		return path.Base(m.file()) == path.Base(file)
	}
	return slices.ContainsFunc(m.files.Files, func(f hub.File) bool { return f.Path == file || path.Base(f.Path) == file })
}

// file is the name on the hub.
func (m Model) file() string {
	if m.repo != nil {
		return m.files.Files[0].Path
	}
	return m.Name + ".gguf"
}

// findRemote asks the hub. Of an entry's repositories the first that has what
// is wanted counts.
func (c *Catalog) findRemote(ctx context.Context, q *Query, r *reference) (*Found, error) {
	client, err := c.client(q.Offline)
	if err != nil {
		return nil, err
	}
	var first error
	for _, repo := range r.repos {
		found, err := c.inRepo(ctx, client, repo, q, r)
		if err == nil {
			return found, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || !elsewhere(err) {
			break
		}
	}
	return nil, c.hint(q, r, first)
}

// elsewhere reports whether another repository may have what this one lacks.
func elsewhere(err error) bool {
	var status *hub.StatusError
	var asked *url.Error
	switch {
	case errors.As(err, &status):
		return status.Status < 500 && status.Status != http.StatusTooManyRequests
	case errors.As(err, &asked): // the server was not reached
		return false
	}
	return true
}

func (c *Catalog) inRepo(ctx context.Context, client *hub.Client, repo string, q *Query, r *reference) (*Found, error) {
	list, err := client.List(ctx, repo, q.Revision)
	if err != nil {
		return nil, err
	}
	var pick hub.Model
	why := ""
	if models := list.Models(); r.want == "" && len(models) > 1 {
		all := make([]Model, len(models))
		for i, m := range models {
			all[i] = c.model(list, m)
		}
		i, because, err := choose(q, r.entry, all)
		if err != nil {
			return nil, err
		}
		pick, why = models[i], because
	} else if pick, err = list.Pick(r.want); err != nil {
		if errors.Is(err, hub.ErrNoModel) && slices.ContainsFunc(list.Files, func(f hub.File) bool { return f.Path == adapterConfigName }) {
			return nil, &AdapterError{repo}
		}
		return nil, err
	}
	found := &Found{Model: c.model(list, pick), Why: why, revision: q.Revision}
	if found.Here() { // of the same commit: only its name may be new
		_, err = client.Fetch(ctx, list, q.Revision, pick, nil)
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// hint adds the closest names to the error of a repository that is not there.
func (c *Catalog) hint(q *Query, r *reference, err error) error {
	var status *hub.StatusError
	missing := errors.As(err, &status) && (status.Status == http.StatusNotFound || status.Status == http.StatusUnauthorized) &&
		status.Code != "RevisionNotFound"
	if r.entry != nil || !missing && !errors.Is(err, hub.ErrNoModel) {
		return err
	}
	var repos, known []string
	names := map[string]string{} // of the entry
	for _, e := range Registry() {
		for _, n := range e.names() {
			known, names[n] = append(known, n), e.Name
		}
		repos = append(repos, e.Repos...)
	}
	near := closest(r.repos[0], repos, 2)
	if len(near) == 0 { // google/gemma-3-1b-it has no GGUF file, others have
		near = closest(strings.TrimSuffix(strings.ToLower(path.Base(r.repos[0])), "-gguf"), known, 2)
		for i := range near {
			near[i] = names[near[i]]
		}
	}
	if near = slices.Compact(near); len(near) == 0 {
		return err
	}
	return fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
}
