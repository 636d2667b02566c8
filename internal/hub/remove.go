package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Removed says what Remove did.
type Removed struct {
	Bytes  int64 // freed
	Shared int64 // bytes that stay, since another snapshot has them, too
}

// Remove takes files out of a snapshot of the cache, and the blobs that no
// other file of the repository leads to. A link is removed itself; what lies
// outside the repository's folder is never touched. Folders left empty go, and
// with the last snapshot all that the cache has of the repository.
func (c *Client) Remove(ctx context.Context, r *Repo, files []File) (done Removed, err error) {
	for _, f := range files {
		if err := checkNames(r.ID, f.Path, r.Commit); err != nil {
			return done, err
		}
	}
	root, err := filepath.EvalSymlinks(c.folder(r.ID))
	if err != nil {
		return done, fmt.Errorf("hub: %s: %w", r.ID, cause(err))
	}
	for _, f := range files {
		path := filepath.Join(root, "snapshots", r.Commit, filepath.FromSlash(f.Path))
		one, err := c.removeOne(ctx, r.ID, root, path)
		done.Bytes += one.Bytes
		done.Shared += one.Shared
		if err != nil {
			return done, fmt.Errorf("hub: %s: remove %s: %w", r.ID, f.Path, err)
		}
	}
	return done, c.tidy(root, r.ID)
}

func (c *Client) removeOne(ctx context.Context, repo, root, path string) (done Removed, err error) {
	// The snapshot's own folders may be links, too.
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return done, cause(err)
	}
	if !within(root, dir) {
		return done, fmt.Errorf("%s leads out of the cache", filepath.Dir(path))
	}
	path = filepath.Join(dir, filepath.Base(path))
	info, err := os.Lstat(path)
	if err != nil {
		return done, cause(err)
	}
	switch {
	case info.IsDir():
		return done, errors.New("is a folder")
	case info.Mode().IsRegular(): // where links are not allowed
		done.Bytes = info.Size()
		return done, cause(os.Remove(path))
	}
	blob, ok := blobOf(root, path)
	if !ok {
		return done, cause(os.Remove(path)) // what it leads to is not the cache's
	}
	unlock, err := lock(ctx, filepath.Join(c.Cache, ".locks", folderName(repo), filepath.Base(blob)+".lock"), c.Waits)
	if err != nil {
		return done, err
	}
	defer unlock()
	if err := os.Remove(path); err != nil {
		return done, cause(err)
	}
	info, err = os.Lstat(blob)
	switch {
	case err != nil || !info.Mode().IsRegular():
		return done, nil
	case linked(root, blob):
		done.Shared = info.Size()
		return done, nil
	}
	done.Bytes = info.Size()
	return done, cause(os.Remove(blob))
}

// blobOf is the repository's blob that a link leads to, directly.
func blobOf(root, link string) (blob string, ok bool) {
	to, err := os.Readlink(link)
	if err != nil {
		return "", false
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(link), to)
	}
	to = filepath.Clean(to)
	if dir, err := filepath.EvalSymlinks(filepath.Dir(to)); err != nil || dir != filepath.Join(root, "blobs") {
		return "", false
	}
	return filepath.Join(root, "blobs", filepath.Base(to)), etagForm.MatchString(filepath.Base(to))
}

// linked reports whether any file of a snapshot leads to the blob.
func linked(root, blob string) (found bool) {
	filepath.WalkDir(filepath.Join(root, "snapshots"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			found = true // unknown: it stays
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			if b, ok := blobOf(root, path); ok && b == blob {
				found = true
				return filepath.SkipAll
			}
		}
		return nil
	})
	return found
}

// tidy removes the snapshots' empty folders, and the repository's if no
// snapshot is left.
func (c *Client) tidy(root, repo string) error {
	snapshots := filepath.Join(root, "snapshots")
	removeEmpty(snapshots)
	if _, err := os.Lstat(snapshots); err == nil {
		return nil
	}
	return c.removeRepo(root, repo)
}

// removeEmpty removes a folder's empty folders, and itself if nothing stays.
func removeEmpty(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() { // no links
			removeEmpty(filepath.Join(dir, e.Name()))
		}
	}
	os.Remove(dir) // fails where something is left
}

// RemoveRepo removes all that the cache has of a repository, unfinished
// transfers too.
func (c *Client) RemoveRepo(repo string) (done Removed, err error) {
	if err := checkNames(repo, "", "main"); err != nil {
		return done, err
	}
	info, err := os.Lstat(c.folder(repo))
	if err != nil {
		return done, fmt.Errorf("hub: %s: %w", repo, cause(err))
	}
	if !info.IsDir() {
		return done, fmt.Errorf("hub: %s: %s is a link, which stays; remove it by hand", repo, c.folder(repo))
	}
	filepath.WalkDir(c.folder(repo), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				done.Bytes += info.Size()
			}
		}
		return nil
	})
	return done, c.removeRepo(c.folder(repo), repo)
}

// removeRepo removes the folders; os.RemoveAll follows no link.
func (c *Client) removeRepo(root, repo string) error {
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("hub: %s: %w", repo, cause(err))
	}
	os.RemoveAll(filepath.Join(c.Cache, ".locks", folderName(repo)))
	return nil
}

func within(root, path string) bool {
	return path == root || strings.HasPrefix(path, root+string(filepath.Separator))
}

func cause(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
