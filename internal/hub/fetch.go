package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Fetch downloads all files of a model and returns their paths, in order. All
// are of the list's commit. The disk is asked for room for all before the
// first comes; progress counts the bytes of all.
func (c *Client) Fetch(ctx context.Context, r *Repo, revision string, m Model, progress func(done, total int64)) ([]string, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	need := int64(0)
	for _, f := range m.Files {
		if _, ok := c.Has(r, f); !ok {
			need += f.Size
		}
	}
	if err := os.MkdirAll(c.Cache, 0o777); err != nil && need > 0 {
		return nil, fmt.Errorf("hub: the cache: %w; set HF_HOME to a folder that can be written", err)
	}
	if room, err := c.free(c.Cache); err == nil && len(m.Files) > 1 && room < need-c.Partial(r.ID) {
		return nil, fmt.Errorf("hub: %s: %w: %d MB to come, %d MB free in %s; free some, or set HF_HOME to a larger disk",
			r.ID, ErrNoSpace, need/1e6, room/1e6, c.Cache)
	}
	var paths []string
	before := int64(0)
	for _, f := range m.Files {
		path, err := c.download(ctx, r.ID, f.Path, r.Commit, f.Size, func(done, _ int64) { progress(before+done, m.Size) })
		if err != nil {
			return paths, err
		}
		paths = append(paths, path)
		before += f.Size
		progress(before, m.Size)
	}
	if revision == "" {
		revision = "main"
	}
	// So that huggingface_hub finds the files by the branch's name, offline.
	if err := checkNames(r.ID, "", revision); err == nil && !c.Offline {
		if err := c.setRef(r.ID, revision, r.Commit); err != nil {
			return paths, fmt.Errorf("hub: %s: %w", r.ID, err)
		}
	}
	return paths, nil
}

// Partial counts the bytes of a repository that came and wait to be resumed.
// A part of a file that is here as a whole, which huggingface_hub leaves behind
// where it fetches what we began, waits for nobody.
func (c *Client) Partial(repo string) (bytes int64) {
	blobs := filepath.Join(c.folder(repo), "blobs")
	left, _ := os.ReadDir(blobs)
	for _, e := range left {
		etag, _, _ := strings.Cut(e.Name(), ".")
		if _, err := os.Stat(filepath.Join(blobs, etag)); err == nil || filepath.Ext(e.Name()) != ".incomplete" {
			continue
		}
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}
