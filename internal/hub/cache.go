package hub

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	repoName = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)
	etagForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// checkNames refuses what would lead out of the cache or could not be named on
// the server.
func checkNames(repo, file, revision string) error {
	switch {
	case !repoName.MatchString(repo) || strings.Contains(repo, "..") || strings.Contains(repo, "--"):
		return fmt.Errorf("hub: repository %q: want a name such as org/model", repo)
	case file != "" && (!filepath.IsLocal(filepath.FromSlash(file)) || strings.ContainsAny(file, "\\\x00")):
		return fmt.Errorf("hub: file %q of %s: want a path inside the repository", file, repo)
	case !filepath.IsLocal(filepath.FromSlash(revision)) || strings.ContainsAny(revision, "\\\x00"):
		return fmt.Errorf("hub: revision %q of %s: want a branch, a tag or a commit", revision, repo)
	}
	return nil
}

// folder is the repository's place in the cache.
func (c *Client) folder(repo string) string {
	return filepath.Join(c.Cache, folderName(repo))
}

func folderName(repo string) string { return "models--" + strings.ReplaceAll(repo, "/", "--") }

func (c *Client) pointer(repo, commit, file string) string {
	return filepath.Join(c.folder(repo), "snapshots", commit, filepath.FromSlash(file))
}

// commit returns the commit of a revision as the cache last saw it; "" if it
// never did.
func (c *Client) commit(repo, revision string) string {
	if commitID.MatchString(revision) {
		return revision
	}
	b, err := os.ReadFile(filepath.Join(c.folder(repo), "refs", filepath.FromSlash(revision)))
	commit := strings.TrimSpace(string(b))
	if err != nil || !commitID.MatchString(commit) {
		return ""
	}
	return commit
}

// Find returns the path of a file that the cache has at a revision ("" is
// main), without asking the server.
func (c *Client) Find(repo, file, revision string) (path string, ok bool) {
	if revision == "" {
		revision = "main"
	}
	if file == "" || checkNames(repo, file, revision) != nil {
		return "", false
	}
	commit := c.commit(repo, revision)
	if commit == "" {
		return "", false
	}
	path = c.pointer(repo, commit, file)
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// Has returns the path of a file of a list if the cache has it, in the size
// that the list says.
func (c *Client) Has(r *Repo, f File) (path string, ok bool) {
	path, ok = c.Find(r.ID, f.Path, r.Commit)
	return path, ok && (f.Size == 0 || has(path, f.Size)) // some servers tell no sizes
}

// setRef notes the commit that a branch or tag has now, in one step, so that
// no reader meets half a name.
func (c *Client) setRef(repo, revision, commit string) error {
	if revision == commit || c.commit(repo, revision) == commit {
		return nil
	}
	path := filepath.Join(c.folder(repo), "refs", filepath.FromSlash(revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(commit)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// noExist notes that a commit has no such file, as huggingface_hub does.
func (c *Client) noExist(repo, commit, file string) {
	path := filepath.Join(c.folder(repo), ".no_exist", commit, filepath.FromSlash(file))
	if os.MkdirAll(filepath.Dir(path), 0o777) != nil {
		return // a note only
	}
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
		f.Close()
	}
}

// link makes a snapshot's file lead to its blob by a relative link, so that
// the cache may be moved. Where links are not allowed, as for most users of
// Windows, the file itself moves there (fresh) or is copied.
func link(blob, pointer string, fresh bool) error {
	if err := os.MkdirAll(filepath.Dir(pointer), 0o777); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(pointer), blob)
	if err != nil {
		return err
	}
	os.Remove(pointer) // one that leads nowhere
	err = os.Symlink(target, pointer)
	switch {
	case err == nil, os.IsExist(err):
		return nil
	case fresh:
		return os.Rename(blob, pointer)
	}
	return copyFile(blob, pointer)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to+".incomplete", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if e := dst.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(to+".incomplete", to)
}
