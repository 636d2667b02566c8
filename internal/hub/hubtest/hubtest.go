// Package hubtest is a hub for tests: a server with repositories and, behind
// it, the host that the bytes of large files are on, whose faults are chosen.
package hubtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	Repo   = "some-org/some.model"                      // the repository that New makes
	Commit = "0123456789abcdef0123456789abcdef01234567" // that main is at, in each
)

// A Server is the two hosts. Fields are changed between requests, with Mu held
// while any may come.
type Server struct {
	Hub, CDN *httptest.Server
	Files    map[string][]byte            // of Repo; large (sha256, redirected) from 1000 bytes on
	Others   map[string]map[string][]byte // other repositories, by name

	Mu     sync.Mutex
	Fault  func(w http.ResponseWriter, r *http.Request, cdn bool) bool // true: it answered
	Asked  []string                                                    // "hub GET /path bytes=0-9"
	Tokens []string                                                    // who got a token: "hub", "cdn"
	Other  string                                                      // the other host's address
	ETag   string                                                      // of the bytes on the other host
	Linked string                                                      // X-Linked-Etag, if it lies
	Size   int                                                         // X-Linked-Size, if it lies
	Whole  bool                                                        // no ranges
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	f := &Server{Files: map[string][]byte{}, Others: map[string]map[string][]byte{}, ETag: "cdn-1"}
	f.Hub = httptest.NewServer(http.HandlerFunc(f.serveHub))
	f.CDN = httptest.NewServer(http.HandlerFunc(f.serveCDN))
	f.Other = f.CDN.URL // differs by the port alone, the hardest case for the token
	t.Cleanup(f.Hub.Close)
	t.Cleanup(f.CDN.Close)
	return f
}

// Hold keeps the other host's answers back until release, or for 20 seconds rather
// than for ever. Each request to it is told by asked, which has to be read.
func (f *Server) Hold(t testing.TB) (asked <-chan bool, release func()) {
	told, held := make(chan bool), make(chan bool)
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	time.AfterFunc(20*time.Second, release)
	f.Fault = func(_ http.ResponseWriter, _ *http.Request, cdn bool) bool {
		if cdn {
			told <- true
			<-held
		}
		return false
	}
	return told, release
}

// Bytes are n random bytes, always the same.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Name is the etag, by the definitions of sha256 and of git.
func Name(b []byte) string {
	if len(b) >= 1000 {
		return fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return fmt.Sprintf("%x", sha1.Sum(append([]byte("blob "+strconv.Itoa(len(b))+"\x00"), b...)))
}

func (f *Server) note(w http.ResponseWriter, r *http.Request, host string) (answered bool) {
	f.Mu.Lock()
	f.Asked = append(f.Asked, strings.TrimSpace(host+" "+r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	if r.Header.Get("Authorization") != "" {
		f.Tokens = append(f.Tokens, host)
	}
	fault := f.Fault
	f.Mu.Unlock()
	return fault != nil && fault(w, r, host == "cdn")
}

// Count counts the requests that begin so, as in Asked.
func (f *Server) Count(prefix string) (n int) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	for _, a := range f.Asked {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

func (f *Server) serveHub(w http.ResponseWriter, r *http.Request) {
	if f.note(w, r, "hub") {
		return
	}
	list := strings.HasPrefix(r.URL.Path, "/api/models/")
	path, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/models"), map[bool]string{true: "/revision/", false: "/resolve/"}[list])
	files, there := f.repo(strings.TrimPrefix(path, "/"))
	if !ok || !there {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(401)
		return
	}
	if list {
		f.list(w, files, rest)
		return
	}
	revision, name, _ := strings.Cut(rest, "/")
	if revision != "main" && revision != Commit {
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		w.WriteHeader(404)
		return
	}
	w.Header().Set("X-Repo-Commit", Commit)
	b, ok := files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(404)
		return
	}
	f.Mu.Lock()
	etag, size := Name(b), len(b)
	if f.Linked != "" {
		etag = f.Linked
	}
	if f.Size != 0 {
		size = f.Size
	}
	f.Mu.Unlock()
	if len(b) < 1000 {
		w.Header().Set("ETag", `"`+etag+`"`)
		f.bytes(w, r, b)
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+etag+`"`)
	w.Header().Set("X-Linked-Size", strconv.Itoa(size))
	w.Header().Set("ETag", `"of-the-redirect"`)
	http.Redirect(w, r, f.Other+path+"/"+name+"?signature=secret", http.StatusFound)
}

func (f *Server) repo(name string) (files map[string][]byte, ok bool) {
	if name == Repo {
		return f.Files, true
	}
	files, ok = f.Others[name]
	return files, ok
}

func (f *Server) list(w http.ResponseWriter, files map[string][]byte, revision string) {
	if revision != "main" && revision != Commit {
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		w.WriteHeader(404)
		return
	}
	type sibling struct {
		Name string `json:"rfilename"`
		Size int    `json:"size"`
	}
	siblings := []sibling{{"../../escape.gguf", 1}}
	for name, b := range files {
		siblings = append(siblings, sibling{name, len(b)})
	}
	json.NewEncoder(w).Encode(map[string]any{"sha": Commit, "siblings": siblings})
}

func (f *Server) serveCDN(w http.ResponseWriter, r *http.Request) {
	if f.note(w, r, "cdn") {
		return
	}
	f.Mu.Lock()
	w.Header().Set("ETag", `"`+f.ETag+`"`)
	f.Mu.Unlock()
	parts := strings.SplitN(r.URL.Path, "/", 4)
	files, _ := f.repo(parts[1] + "/" + parts[2])
	f.bytes(w, r, files[parts[3]])
}

func (f *Server) bytes(w http.ResponseWriter, r *http.Request, b []byte) {
	f.Mu.Lock()
	whole := f.Whole
	f.Mu.Unlock()
	var from, to int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 2 && !whole {
		if from >= len(b) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(b)))
			w.WriteHeader(416)
			return
		}
		to = min(to, len(b)-1)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(b)))
		w.Header().Set("Content-Length", strconv.Itoa(to+1-from))
		w.WriteHeader(206)
		w.Write(b[from : to+1])
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}
