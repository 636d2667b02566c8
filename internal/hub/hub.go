// Package hub fetches the files of models from Hugging Face's hub, or any
// server that speaks its way, into the cache that Python's huggingface_hub
// uses: what one of the two has fetched, the other finds.
//
// The layout is https://huggingface.co/docs/hub/local-cache:
//
//	models--org--name/blobs/ETAG                      a file's bytes
//	models--org--name/blobs/ETAG.incomplete           the first part of them
//	models--org--name/snapshots/COMMIT/dir/file.gguf  relative link to the blob
//	models--org--name/refs/main                       the commit of a branch
//	.locks/models--org--name/ETAG.lock                held while a blob is fetched
//
// An etag is the sha256 of a large file and git's sha1 of a small one: no blob
// gets its name before its bytes have that sum.
//
// CACHEDIR.TAG, which new versions of huggingface_hub add, is left to them:
// 0.36 calls a cache with it corrupted.
package hub

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/llcuda/llcuda/internal/disk"
)

// DefaultEndpoint is the server where the environment names no other.
const DefaultEndpoint = "https://huggingface.co"

// A Client fetches from one server into one cache. Its methods may be called
// concurrently; its fields are set before the first call.
type Client struct {
	Cache   string // the cache's folder
	Token   string // sent to the endpoint's host alone; "": none
	Offline bool   // ask no server: only what the cache has
	Waits   func() // called before a wait for another process that has a file's lock; may be nil

	endpoint    *url.URL
	http        *http.Client
	connections int           // of one file at once
	piece       int64         // bytes of one range, a whole piece of a file
	tries       int           // without progress, before giving up
	backoff     time.Duration // before the second try; doubles
	patience    time.Duration // the longest Retry-After that is waited for
	stall       time.Duration // a connection silent so long is cut
	free        func(dir string) (int64, error)
}

// New returns a client of the server at endpoint ("" is [DefaultEndpoint])
// for the cache in a folder, which need not exist.
func New(endpoint, cache string) (*Client, error) {
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	u, err := url.Parse(strings.TrimRight(endpoint, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("hub: endpoint %q: want an address such as %s; set HF_ENDPOINT", endpoint, DefaultEndpoint)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	// One connection a range: HTTP/2 would put them all into a single one.
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.MaxIdleConnsPerHost = 8
	return &Client{
		Cache:    cache,
		endpoint: u,
		http: &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		connections: 8,
		piece:       8 << 20,
		tries:       5,
		backoff:     time.Second,
		patience:    2 * time.Minute,
		stall:       30 * time.Second,
		free:        disk.Free,
	}, nil
}
