package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Repo is a repository's list of files at one commit.
type Repo struct {
	ID     string // org/name
	Commit string
	Files  []File
}

// A File is one of a repository's.
type File struct {
	Path string // from the repository's root, with slashes
	Size int64  // bytes
}

// List returns a repository's files at a revision ("" is main): the server's
// list, or, offline and when no server answers, what the cache has of them.
// https://huggingface.co/docs/hub/api
func (c *Client) List(ctx context.Context, repo, revision string) (*Repo, error) {
	if revision == "" {
		revision = "main"
	}
	if err := checkNames(repo, "", revision); err != nil {
		return nil, err
	}
	local, ok := c.Cached(repo, revision)
	switch {
	case c.Offline && ok:
		return local, nil
	case c.Offline:
		return nil, fmt.Errorf("hub: %s at %s: %w", repo, revision, ErrOffline)
	}
	tries := c.tries
	if ok {
		tries = 1
	}
	var r *Repo
	err := c.retry(ctx, tries, func() (_ bool, err error) {
		r, err = c.list(ctx, repo, revision)
		return false, err
	})
	if err != nil {
		var status *StatusError
		if ok && ctx.Err() == nil && (!errors.As(err, &status) || status.Status != http.StatusNotFound) {
			return local, nil
		}
		return nil, err
	}
	return r, nil
}

func (c *Client) list(ctx context.Context, repo, revision string) (*Repo, error) {
	r, err := c.send(ctx, http.MethodGet, c.address("/api/models/"+repo+"/revision/"+url.PathEscape(revision)+"?blobs=true"), "")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, c.statusError(r, repo, repo+" at "+revision)
	}
	const limit = 64 << 20 // a list of some 400,000 files
	list, err := readList(io.LimitReader(r.Body, limit), repo)
	if err != nil && !errors.Is(err, errCut) && !errors.Is(err, errStalled) {
		err = fmt.Errorf("hub: %s: the list of files: %w; check HF_ENDPOINT", repo, err)
	}
	return list, err
}

// readList reads the server's list. Files whose names could not be in a cache
// are left out.
func readList(r io.Reader, repo string) (*Repo, error) {
	var answer struct {
		SHA      string
		Siblings []struct {
			Name string `json:"rfilename"`
			Size int64
		}
	}
	if err := json.NewDecoder(r).Decode(&answer); err != nil {
		return nil, err
	}
	if !commitID.MatchString(answer.SHA) {
		return nil, errors.New("names no commit")
	}
	list := &Repo{ID: repo, Commit: answer.SHA}
	for _, s := range answer.Siblings {
		if s.Name != "" && s.Size >= 0 && checkNames(repo, s.Name, answer.SHA) == nil {
			list.Files = append(list.Files, File{s.Name, s.Size})
		}
	}
	return list, nil
}

// Cached lists what the cache has of a repository at a revision ("" is main),
// without asking the server.
func (c *Client) Cached(repo, revision string) (*Repo, bool) {
	if revision == "" {
		revision = "main"
	}
	if checkNames(repo, "", revision) != nil {
		return nil, false
	}
	commit := c.commit(repo, revision)
	if commit == "" {
		return nil, false
	}
	return c.snapshot(repo, commit)
}

// Repos lists the repositories that the cache has something of, by name.
func (c *Client) Repos() []string {
	var all []string
	folders, _ := os.ReadDir(c.Cache)
	for _, d := range folders {
		name, ok := strings.CutPrefix(d.Name(), "models--")
		if repo := strings.Replace(name, "--", "/", 1); ok && checkNames(repo, "", "main") == nil {
			all = append(all, repo)
		}
	}
	return all
}

// Snapshots lists what the cache has of all repositories, by name, each
// repository's main first.
func (c *Client) Snapshots() []*Repo {
	var all []*Repo
	for _, repo := range c.Repos() {
		main := c.commit(repo, "main")
		commits, _ := os.ReadDir(filepath.Join(c.folder(repo), "snapshots"))
		slices.SortStableFunc(commits, func(a, b fs.DirEntry) int {
			return cmp.Compare(btoi(b.Name() == main), btoi(a.Name() == main))
		})
		for _, e := range commits {
			if list, ok := c.snapshot(repo, e.Name()); ok && commitID.MatchString(e.Name()) {
				all = append(all, list)
			}
		}
	}
	return all
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *Client) snapshot(repo, commit string) (*Repo, bool) {
	list := &Repo{ID: repo, Commit: commit}
	root := filepath.Join(c.folder(repo), "snapshots", commit)
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what cannot be read is not there
		}
		info, err := os.Stat(path)
		name, e := filepath.Rel(root, path)
		if err == nil && e == nil && info.Mode().IsRegular() {
			list.Files = append(list.Files, File{filepath.ToSlash(name), info.Size()})
		}
		return nil
	})
	return list, len(list.Files) > 0
}
