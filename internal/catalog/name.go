package catalog

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/hub"
)

// A reference is a name that means something on the hub.
type reference struct {
	repos []string // where it is; the first that has it counts
	want  string   // quantisation or file; "" leaves it open
	entry *Entry   // of the registry; nil: the repository was named
	hub   bool     // it can only mean the hub: no path looks like it
}

var repository = regexp.MustCompile(`^[\w.-]+/[\w.-]+$`)

// hubHosts are written before a repository's name by people who copy it.
var hubHosts = []string{"https://huggingface.co/", "https://hf.co/", "huggingface.co/", "hf.co/", "hf://"}

// OnHub reports whether a name can only mean a repository of the hub.
func OnHub(name string) bool {
	return slices.ContainsFunc(hubHosts, func(host string) bool { return strings.HasPrefix(name, host) })
}

// parse reads a name; nil without an error is none of the hub's. It takes
// what an address says of file and revision into q.
func (c *Catalog) parse(q *Query) (*reference, error) {
	name := q.Name
	r := &reference{want: q.File}
	for _, host := range hubHosts {
		if rest, ok := strings.CutPrefix(name, host); ok {
			name, r.hub = strings.TrimSuffix(rest, "/"), true
			break
		}
	}
	if !r.hub && (strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~") || strings.Contains(name, `\`)) {
		return nil, fileOfNothing(q)
	}
	if !r.hub && !strings.Contains(name, "/") {
		entry, quant := lookup(name)
		if entry == nil {
			return nil, fileOfNothing(q)
		}
		if quant != "" && q.File != "" {
			return nil, fmt.Errorf("%s names the quantisation %s, and --file names %s; leave one out", q.Name, quant, q.File)
		}
		if quant != "" {
			r.want = quant
		}
		r.entry, r.repos = entry, entry.Repos
		return r, nil
	}
	name, quant, _ := strings.Cut(name, ":")
	parts := strings.Split(name, "/")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return nil, fmt.Errorf("%s: want org/name as on the hub, or the path of a file that exists", q.Name)
		}
	}
	switch {
	case len(parts) < 2:
		return nil, fmt.Errorf("%s: want org/name, as on the hub", q.Name)
	case len(parts) > 2 && !r.hub && !repository.MatchString(strings.Join(parts[:2], "/")):
		return nil, fileOfNothing(q)
	case len(parts) == 2 && !repository.MatchString(name):
		return nil, fileOfNothing(q)
	}
	r.repos = []string{parts[0] + "/" + parts[1]}
	file := ""
	if len(parts) > 4 && (parts[2] == "blob" || parts[2] == "resolve") && r.hub { // as copied from the browser
		revision, err := url.PathUnescape(parts[3])
		if err != nil || q.Revision != "" && q.Revision != revision {
			return nil, fmt.Errorf("%s names the revision %s, and --revision names %s; leave one out", q.Name, parts[3], q.Revision)
		}
		q.Revision, file = revision, path.Join(parts[4:]...)
		file, _, _ = strings.Cut(file, "?")
	} else if len(parts) > 2 && strings.HasSuffix(strings.ToLower(name), ".gguf") {
		file = path.Join(parts[2:]...)
	} else if len(parts) > 2 {
		if r.hub {
			return nil, fmt.Errorf("%s: want org/name or org/name/file.gguf", q.Name)
		}
		return nil, fileOfNothing(q)
	}
	for _, other := range []string{file, quant} {
		if other == "" {
			continue
		}
		if r.want != "" && r.want != other {
			return nil, fmt.Errorf("%s names %s, and something else names %s; leave one out", q.Name, other, r.want)
		}
		r.want = other
	}
	if r.hub || q.File != "" || quant != "" {
		r.hub = true
		return r, nil
	}
	// models/file is rather a slip in a path than a repository, where there
	// is a folder models.
	if _, err := os.Stat(filepath.FromSlash(parts[0])); err == nil && !c.cached(r.repos[0]) {
		if _, err := os.Stat(filepath.FromSlash(q.Name)); err != nil {
			return nil, fmt.Errorf("no file %s in the folder %s; to take it from the hub, write hf.co/%s", q.Name, parts[0], q.Name)
		}
		return nil, nil
	}
	return r, nil
}

// fileOfNothing refuses --file and --revision where no repository is named.
func fileOfNothing(q *Query) error {
	if q.File != "" || q.Revision != "" {
		return fmt.Errorf("%s is no repository of the hub, so it has no --file and no --revision; write org/name", q.Name)
	}
	return nil
}

func (c *Catalog) cached(repo string) bool {
	if c.Hub == nil {
		return false
	}
	_, ok := c.Hub.Cached(repo, "")
	return ok
}

// client is the hub's, or why there is none.
func (c *Catalog) client(offline bool) (*hub.Client, error) {
	if c.Hub == nil {
		if c.noHub != nil {
			return nil, c.noHub
		}
		return nil, errors.New("no hub to ask")
	}
	if offline && !c.Hub.Offline {
		h := *c.Hub
		h.Offline = true
		return &h, nil
	}
	return c.Hub, nil
}
