package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A meta is what the server says of a file before its bytes come.
type meta struct {
	commit string
	etag   string // 64 hex digits: sha256; 40: git's sha1
	size   int64
	url    string // where the bytes are
}

// filePath is the escaped path of a file at a revision, on the endpoint.
func filePath(repo, file, revision string) string {
	parts := strings.Split(file, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/" + repo + "/resolve/" + url.PathEscape(revision) + "/" + strings.Join(parts, "/")
}

// head asks for a file's meta, once. An answer that says the file is not there
// is a *StatusError, with the commit where the server told it.
func (c *Client) head(ctx context.Context, repo, file, revision string) (m meta, err error) {
	subject := repo + ": " + file + " at " + revision
	r, err := c.send(ctx, http.MethodHead, c.address(filePath(repo, file, revision)), "")
	if err != nil {
		return meta{}, err
	}
	defer r.Body.Close()
	m = meta{commit: r.Header.Get("X-Repo-Commit"), etag: etagOf(r.Header), url: r.Request.URL.String()}
	if !commitID.MatchString(m.commit) {
		m.commit = ""
	}
	if r.StatusCode >= 400 {
		return m, c.statusError(r, repo, subject)
	}
	m.size = r.ContentLength
	if r.StatusCode >= 300 {
		to, err := r.Location()
		if err != nil {
			return meta{}, fmt.Errorf("hub: %s: redirect without an address", subject)
		}
		m.url, m.size = to.String(), -1
	}
	if s := r.Header.Get("X-Linked-Size"); s != "" {
		if m.size, err = strconv.ParseInt(s, 10, 64); err != nil {
			m.size = -1
		}
	}
	switch {
	case m.commit == "":
		return meta{}, fmt.Errorf("hub: %s: %s names no commit, so it is no hub; check HF_ENDPOINT and the proxy", subject, c.endpoint.Host)
	case !etagForm.MatchString(m.etag):
		return meta{}, fmt.Errorf("hub: %s: etag %q is neither a sha256 nor a git sha1, so the bytes could not be checked; check HF_ENDPOINT", subject, m.etag)
	case m.size < 0:
		return meta{}, fmt.Errorf("hub: %s: the server does not say how large it is; check HF_ENDPOINT", subject)
	}
	return m, nil
}

// etagOf is the name of the file's blob: the linked file's etag, else the
// answer's own, without quotes and weakness.
func etagOf(h http.Header) string {
	e := h.Get("X-Linked-Etag")
	if e == "" {
		e = h.Get("ETag")
	}
	return strings.Trim(strings.TrimPrefix(e, "W/"), `"`)
}
