package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// Download returns the path of a repository's file at a revision ("" is main),
// fetched into the cache unless it is there already. While bytes come, progress
// (which may be nil) is told how many of all are here; its calls do not overlap.
//
// What has come when ctx ends or the connection fails for good stays in the
// cache as .incomplete, and the next call goes on from there. A file that the
// cache has is returned when the server cannot be asked.
func (c *Client) Download(ctx context.Context, repo, file, revision string, progress func(done, total int64)) (path string, err error) {
	return c.download(ctx, repo, file, revision, 0, progress)
}

// download is Download of a file that is known to have size bytes (0: not
// known): one of another size counts as not there.
func (c *Client) download(ctx context.Context, repo, file, revision string, size int64, progress func(done, total int64)) (path string, err error) {
	if revision == "" {
		revision = "main"
	}
	if file == "" {
		return "", fmt.Errorf("hub: %s: no file named", repo)
	}
	if err := checkNames(repo, file, revision); err != nil {
		return "", err
	}
	local, ok := c.Find(repo, file, revision)
	ok = ok && (size == 0 || has(local, size))
	switch {
	case ok && (c.Offline || commitID.MatchString(revision)):
		return local, nil
	case c.Offline:
		return "", fmt.Errorf("hub: %s: %s at %s: %w", repo, file, revision, ErrOffline)
	}
	tries := c.tries
	if ok {
		tries = 1 // do not make an offline user wait for what is there
	}
	var m meta
	err = c.retry(ctx, tries, func() (bool, error) {
		m, err = c.head(ctx, repo, file, revision)
		return false, err
	})
	if err != nil {
		var status *StatusError
		gone := errors.As(err, &status) && status.Status == http.StatusNotFound
		if gone && status.Code == "EntryNotFound" && m.commit != "" {
			c.noExist(repo, m.commit, file)
		}
		if ok && !gone && ctx.Err() == nil {
			return local, nil
		}
		return "", err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	path = c.pointer(repo, m.commit, file)
	if err := c.place(ctx, repo, file, path, m, progress); err != nil {
		return "", fmt.Errorf("hub: %s: %s: %w", repo, file, err)
	}
	if err := c.setRef(repo, revision, m.commit); err != nil && !ok {
		return "", fmt.Errorf("hub: %s: %w", repo, err)
	}
	return path, nil
}

// place brings the file to path, its place in the snapshot.
func (c *Client) place(ctx context.Context, repo, file, path string, m meta, progress func(done, total int64)) error {
	if has(path, m.size) {
		progress(m.size, m.size)
		return nil
	}
	blob := filepath.Join(c.folder(repo), "blobs", m.etag)
	if err := os.MkdirAll(filepath.Dir(blob), 0o777); err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(c.Cache, ".locks", folderName(repo), m.etag+".lock"), c.Waits)
	if err != nil {
		return err
	}
	defer unlock()
	fresh := !has(blob, m.size)
	if fresh {
		t := &transfer{c: c, repo: repo, file: file, meta: m, blob: blob, progress: progress}
		if err := t.run(ctx); err != nil {
			return err
		}
	}
	progress(m.size, m.size)
	return link(blob, path, fresh)
}

// has reports whether path is a file of so many bytes. One of another size is
// damaged, and is fetched again.
func has(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}
