package hub

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
	repoID = "some-org/some.model"
	head   = "0123456789abcdef0123456789abcdef01234567"
)

// A fake is a hub with one repository and, behind it, the host its large
// files' bytes are on. Its faults are set between requests.
type fake struct {
	hub, cdn *httptest.Server
	files    map[string][]byte // large (sha256, redirected) from 1000 bytes on

	mu     sync.Mutex
	fault  func(w http.ResponseWriter, r *http.Request, cdn bool) bool // true: it answered
	asked  []string                                                    // "hub GET /path bytes=0-9"
	tokens []string                                                    // who got a token
	other  string                                                      // the other host's address
	etag   string                                                      // of the bytes on the other host
	linked string                                                      // X-Linked-Etag, if it lies
	size   int                                                         // X-Linked-Size, if it lies
	whole  bool                                                        // no ranges
}

func newFake(t *testing.T) (*fake, *Client) {
	f := &fake{files: map[string][]byte{
		"model-Q4_K_M.gguf": bytesOf(1, 300_000),
		"dir/config.json":   []byte(`{"a": 1}`),
		"empty":             {},
	}, etag: "cdn-1"}
	f.hub = httptest.NewServer(http.HandlerFunc(f.serveHub))
	f.cdn = httptest.NewServer(http.HandlerFunc(f.serveCDN))
	f.other = f.cdn.URL // differs by the port alone, the hardest case for the token
	t.Cleanup(f.hub.Close)
	t.Cleanup(f.cdn.Close)
	c, err := New(f.hub.URL, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c.piece, c.connections, c.backoff, c.stall = 16<<10, 4, time.Millisecond, 500*time.Millisecond
	c.patience = 50 * time.Millisecond
	return f, c
}

func bytesOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// nameOf is the etag, by the definitions of sha256 and of git.
func nameOf(b []byte) string {
	if len(b) >= 1000 {
		return fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return fmt.Sprintf("%x", sha1.Sum(append([]byte("blob "+strconv.Itoa(len(b))+"\x00"), b...)))
}

func (f *fake) note(w http.ResponseWriter, r *http.Request, host string) (answered bool) {
	f.mu.Lock()
	f.asked = append(f.asked, strings.TrimSpace(host+" "+r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	if r.Header.Get("Authorization") != "" {
		f.tokens = append(f.tokens, host)
	}
	fault := f.fault
	f.mu.Unlock()
	return fault != nil && fault(w, r, host == "cdn")
}

func (f *fake) count(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

func (f *fake) serveHub(w http.ResponseWriter, r *http.Request) {
	if f.note(w, r, "hub") {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/models/"+repoID+"/revision/") {
		type sibling struct {
			Name string `json:"rfilename"`
			Size int    `json:"size"`
		}
		var siblings []sibling
		for name, b := range f.files {
			siblings = append(siblings, sibling{name, len(b)})
		}
		siblings = append(siblings, sibling{"../../escape.gguf", 1})
		json.NewEncoder(w).Encode(map[string]any{"sha": head, "siblings": siblings})
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/"+repoID+"/resolve/")
	if !ok {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(401)
		return
	}
	revision, name, _ := strings.Cut(rest, "/")
	if revision != "main" && revision != head {
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		w.WriteHeader(404)
		return
	}
	w.Header().Set("X-Repo-Commit", head)
	b, ok := f.files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(404)
		return
	}
	f.mu.Lock()
	etag, size := nameOf(b), len(b)
	if f.linked != "" {
		etag = f.linked
	}
	if f.size != 0 {
		size = f.size
	}
	f.mu.Unlock()
	if len(b) < 1000 {
		w.Header().Set("ETag", `"`+etag+`"`)
		f.bytes(w, r, b)
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+etag+`"`)
	w.Header().Set("X-Linked-Size", strconv.Itoa(size))
	w.Header().Set("ETag", `"of-the-redirect"`)
	http.Redirect(w, r, f.other+"/"+name+"?signature=secret", http.StatusFound)
}

func (f *fake) serveCDN(w http.ResponseWriter, r *http.Request) {
	if f.note(w, r, "cdn") {
		return
	}
	f.mu.Lock()
	w.Header().Set("ETag", `"`+f.etag+`"`)
	f.mu.Unlock()
	f.bytes(w, r, f.files[strings.TrimPrefix(r.URL.Path, "/")])
}

func (f *fake) bytes(w http.ResponseWriter, r *http.Request, b []byte) {
	f.mu.Lock()
	whole := f.whole
	f.mu.Unlock()
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
