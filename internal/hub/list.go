package hub

import (
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
	local, ok := c.listCached(repo, revision)
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
	var answer struct {
		SHA      string
		Siblings []struct {
			Name string `json:"rfilename"`
			Size int64
		}
	}
	const limit = 64 << 20 // a list of some 400,000 files
	if err := json.NewDecoder(io.LimitReader(r.Body, limit)).Decode(&answer); err != nil {
		if errors.Is(err, errCut) || errors.Is(err, errStalled) {
			return nil, err
		}
		return nil, fmt.Errorf("hub: %s: the list of files: %w; check HF_ENDPOINT", repo, err)
	}
	if !commitID.MatchString(answer.SHA) {
		return nil, fmt.Errorf("hub: %s: the list of files names no commit; check HF_ENDPOINT", repo)
	}
	list := &Repo{ID: repo, Commit: answer.SHA}
	for _, s := range answer.Siblings {
		if checkNames(repo, s.Name, revision) == nil {
			list.Files = append(list.Files, File{s.Name, s.Size})
		}
	}
	return list, nil
}

// listCached lists what the cache has of a repository.
func (c *Client) listCached(repo, revision string) (*Repo, bool) {
	commit := c.commit(repo, revision)
	if commit == "" {
		return nil, false
	}
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
