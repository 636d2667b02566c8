package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

const large = "model-Q4_K_M.gguf"

func newFake(t *testing.T) (*hubtest.Server, *Client) {
	f := hubtest.New(t)
	f.Files[large] = hubtest.Bytes(1, 300_000)
	f.Files["dir/config.json"] = []byte(`{"a": 1}`)
	f.Files["empty"] = nil
	c, err := New(f.Hub.URL, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c.piece, c.connections, c.backoff, c.stall = 16<<10, 4, time.Millisecond, 500*time.Millisecond
	c.patience = 50 * time.Millisecond
	return f, c
}

// checkCache fails if the cache holds a blob whose bytes are not what its name
// says, or a link that leads nowhere.
func checkCache(t *testing.T, c *Client) {
	t.Helper()
	filepath.WalkDir(c.Cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if filepath.Base(filepath.Dir(path)) == "blobs" && !strings.HasSuffix(path, ".incomplete") && hubtest.Name(b) != filepath.Base(path) {
			t.Errorf("bad file in the cache: %s is %s", path, hubtest.Name(b))
		}
		return nil
	})
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, %v; want %d", path, len(got), err, len(want))
	}
}

func TestDownload(t *testing.T) {
	f, c := newFake(t)
	c.Token = "hf_secret"
	for name, want := range f.Files {
		last := int64(-1)
		path, err := c.Download(t.Context(), hubtest.Repo, name, "", func(done, total int64) {
			if done < last || done > total || total != int64(len(want)) {
				t.Errorf("%s: progress %d, then %d of %d", name, last, done, total)
			}
			last = done
		})
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, want)
		if last != int64(len(want)) {
			t.Errorf("%s: progress ended at %d of %d", name, last, len(want))
		}
		root := filepath.Join(c.Cache, "models--some-org--some.model")
		if path != filepath.Join(root, "snapshots", hubtest.Commit, name) {
			t.Errorf("path %s", path)
		}
		up := strings.Repeat("../", 2+strings.Count(name, "/"))
		if to, err := os.Readlink(path); err != nil || to != up+"blobs/"+hubtest.Name(want) {
			t.Errorf("link to %s, %v", to, err)
		}
		wantFile(t, filepath.Join(root, "refs/main"), []byte(hubtest.Commit))
		if _, err := os.Stat(filepath.Join(c.Cache, ".locks/models--some-org--some.model", hubtest.Name(want)+".lock")); err != nil {
			t.Error(err)
		}
	}
	left, _ := filepath.Glob(c.Cache + "/*/blobs/*.incomplete")
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	checkCache(t, c)
	for _, host := range f.Tokens {
		if host != "hub" {
			t.Errorf("the token went to the %s", host)
		}
	}
	if len(f.Tokens) == 0 {
		t.Error("the token went nowhere")
	}
	if n := f.Count("cdn GET"); n != 19 { // ⌈300000/16384⌉
		t.Errorf("%d ranges", n)
	}
	if _, err := c.Download(t.Context(), hubtest.Repo, large, "main", nil); err != nil || f.Count("cdn GET") != 19 {
		t.Errorf("fetched again: %v", err)
	}
	f.Hub.Close()
	if _, err := c.Download(t.Context(), hubtest.Repo, large, "main", nil); err != nil {
		t.Errorf("no server: %v", err)
	}
	c.Offline = true
	if _, err := c.Download(t.Context(), hubtest.Repo, large, "", nil); err != nil {
		t.Errorf("offline: %v", err)
	}
	if _, err := c.Download(t.Context(), hubtest.Repo, "other", "", nil); !errors.Is(err, ErrOffline) {
		t.Errorf("offline, not there: %v", err)
	}
}

// TestFaults: the right file or a clear error, and never a bad file.
func TestFaults(t *testing.T) {
	status := func(code int, header ...string) func(*hubtest.Server) {
		return func(f *hubtest.Server) {
			f.Fault = func(w http.ResponseWriter, r *http.Request, _ bool) bool {
				for i := 0; i < len(header); i += 2 {
					w.Header().Set(header[i], header[i+1])
				}
				w.WriteHeader(code)
				return true
			}
		}
	}
	// nth lets the cdn's requests pass until n have come.
	nth := func(n int32, do func(w http.ResponseWriter, r *http.Request, f *hubtest.Server) bool) func(*hubtest.Server) {
		return func(f *hubtest.Server) {
			var count atomic.Int32
			f.Fault = func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
				return cdn && count.Add(1) == n && do(w, r, f)
			}
		}
	}
	for _, v := range []struct {
		name  string
		fault func(*hubtest.Server)
		is    error  // nil: the right file
		says  string // in the error
	}{
		{"401", status(401), &StatusError{Status: 401}, "set HF_TOKEN"},
		{"403 gated", status(403, "X-Error-Code", "GatedRepo"), &StatusError{Status: 403}, "accept them at"},
		{"403", status(403), &StatusError{Status: 403}, "access refused"},
		{"404", status(404), &StatusError{Status: 404}, "check the name"},
		{"404 file", status(404, "X-Error-Code", "EntryNotFound"), &StatusError{Status: 404}, "no such file"},
		{"404 revision", status(404, "X-Error-Code", "RevisionNotFound"), &StatusError{Status: 404}, "no such revision"},
		{"429", status(429), &StatusError{Status: 429}, "too many requests"},
		{"429 for an hour", status(429, "Retry-After", "3600"), &StatusError{Status: 429}, "try again in 1h0m0s"},
		{"429 as the hub says it", status(429, "RateLimit", `"api";r=0;t=55`), &StatusError{Status: 429}, "try again in 55s"},
		{"500", status(500), &StatusError{Status: 500}, "tried 5 times"},
		{"503", status(503), &StatusError{Status: 503}, "the server failed"},
		{"no hub", status(200), errors.ErrUnsupported, "check HF_ENDPOINT"},
		{"redirects in a circle", func(f *hubtest.Server) {
			f.Fault = func(w http.ResponseWriter, r *http.Request, _ bool) bool {
				http.Redirect(w, r, r.URL.Path, 302)
				return true
			}
		}, errors.ErrUnsupported, "more than 10 redirects"},
		{"an etag that is a path", func(f *hubtest.Server) { f.Linked = "../../../x" }, errors.ErrUnsupported, "neither a sha256"},
		{"cut twice", nth(3, func(w http.ResponseWriter, r *http.Request, f *hubtest.Server) bool {
			var from int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/300000", from, from+16383))
			w.Header().Set("Content-Length", "16384")
			w.WriteHeader(206)
			w.Write(f.Files[large][from : from+1000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}), nil, ""},
		{"cut at once, always", func(f *hubtest.Server) {
			f.Fault = func(_ http.ResponseWriter, _ *http.Request, cdn bool) bool {
				if cdn {
					panic(http.ErrAbortHandler)
				}
				return false
			}
		}, errors.ErrUnsupported, "tried 5 times"},
		{"a 503 midway", nth(4, func(w http.ResponseWriter, _ *http.Request, _ *hubtest.Server) bool { w.WriteHeader(503); return true }), nil, ""},
		{"a 429 midway", nth(4, func(w http.ResponseWriter, _ *http.Request, _ *hubtest.Server) bool {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(429)
			return true
		}), nil, ""},
		{"an address that expires", nth(4, func(w http.ResponseWriter, _ *http.Request, _ *hubtest.Server) bool { w.WriteHeader(403); return true }), nil, ""},
		{"silence midway", nth(2, func(_ http.ResponseWriter, r *http.Request, _ *hubtest.Server) bool {
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
			return true
		}), nil, ""},
		{"wrong bytes", func(f *hubtest.Server) { f.Linked = strings.Repeat("ab", 32) }, ErrWrongBytes, "nothing was kept"},
		{"etag changed midway", nth(4, func(_ http.ResponseWriter, _ *http.Request, f *hubtest.Server) bool {
			f.Mu.Lock()
			f.ETag = "cdn-2"
			f.Mu.Unlock()
			return false
		}), ErrChanged, "try again"},
		{"size said too small", func(f *hubtest.Server) { f.Size = 200_000 }, ErrWrongSize, "said 200000 bytes, and 300000"},
		{"size said too large", func(f *hubtest.Server) { f.Size = 400_000 }, ErrWrongSize, "400000"},
		{"whole files only", func(f *hubtest.Server) { f.Whole = true }, nil, ""},
		{"whole files only, size said too small", func(f *hubtest.Server) { f.Whole, f.Size = true, 200_000 }, ErrWrongSize, ""},
		{"endless body", func(f *hubtest.Server) {
			f.Fault = func(w http.ResponseWriter, _ *http.Request, cdn bool) bool {
				if cdn {
					w.WriteHeader(200) // no length: chunked
					for range 100 {
						w.Write(make([]byte, 10_000))
					}
				}
				return cdn
			}
		}, ErrWrongSize, "sends more"},
		{"another range than asked", nth(1, func(w http.ResponseWriter, _ *http.Request, _ *hubtest.Server) bool {
			w.Header().Set("Content-Range", "bytes 5-9/300000")
			w.WriteHeader(206)
			w.Write([]byte("12345"))
			return true
		}), ErrWrongSize, "bytes 5-9/300000"},
	} {
		t.Run(v.name, func(t *testing.T) {
			f, c := newFake(t)
			v.fault(f)
			path, err := c.Download(t.Context(), hubtest.Repo, large, "", nil)
			checkCache(t, c)
			if v.is == nil {
				if err != nil {
					t.Fatal(err)
				}
				wantFile(t, path, f.Files[large])
				return
			}
			if err == nil || path != "" {
				t.Fatalf("path %q, error %v", path, err)
			}
			var want, got *StatusError
			if errors.As(v.is, &want) {
				if !errors.As(err, &got) || got.Status != want.Status {
					t.Errorf("%v: want status %d", err, want.Status)
				}
			} else if v.is != errors.ErrUnsupported && !errors.Is(err, v.is) {
				t.Errorf("%v: want %v", err, v.is)
			}
			if !strings.Contains(err.Error(), v.says) {
				t.Errorf("%v: want %q", err, v.says)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells the signature", err)
			}
			if _, ok := c.Find(hubtest.Repo, large, ""); ok {
				t.Error("a file after an error")
			}
			f.Mu.Lock()
			f.Fault, f.Linked, f.Size, f.Whole = nil, "", 0, false
			f.Mu.Unlock()
			if path, err = c.Download(t.Context(), hubtest.Repo, large, "", nil); err != nil {
				t.Fatalf("after the fault: %v", err)
			}
			wantFile(t, path, f.Files[large])
			checkCache(t, c)
		})
	}
}

// TestResume: what came before a cancellation does not come again, and
// .incomplete is always a first part of the file.
func TestResume(t *testing.T) {
	f, c := newFake(t)
	want := f.Files[large]
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Download(ctx, hubtest.Repo, large, "", func(done, _ int64) {
		if done > 100_000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	blob := filepath.Join(c.folder(hubtest.Repo), "blobs", hubtest.Name(want))
	kept := int64(0)
	left, _ := filepath.Glob(blob + "*.incomplete")
	for _, name := range left {
		b, _ := os.ReadFile(name)
		kept += int64(len(b))
	}
	if kept < 100_000 {
		t.Errorf("%d bytes kept in %v", kept, left)
	}
	first, err := os.ReadFile(blob + ".incomplete")
	if err != nil || !bytes.HasPrefix(want, first) {
		t.Errorf(".incomplete is no first part: %v", err)
	}
	start := int64(-1)
	path, err := c.Download(t.Context(), hubtest.Repo, large, "", func(done, _ int64) {
		if start < 0 {
			start = done
		}
	})
	if err != nil || start <= int64(len(first)) {
		t.Fatalf("%v, started at %d", err, start)
	}
	wantFile(t, path, want)
	if left, _ := filepath.Glob(blob + "*.incomplete"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	checkCache(t, c)
}

// TestResumeForeign goes on from parts that another program left: a right one,
// a wrong one, one that is too long.
func TestResumeForeign(t *testing.T) {
	for name, part := range map[string]func(b []byte) []byte{
		"right":    func(b []byte) []byte { return b[:123_457] },
		"all":      func(b []byte) []byte { return b },
		"wrong":    func(b []byte) []byte { return hubtest.Bytes(9, 50_000) },
		"too long": func(b []byte) []byte { return append(bytes.Clone(b), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFake(t)
			want := f.Files[large]
			blob := filepath.Join(c.folder(hubtest.Repo), "blobs", hubtest.Name(want))
			os.MkdirAll(filepath.Dir(blob), 0o777)
			if err := os.WriteFile(blob+".incomplete", part(want), 0o666); err != nil {
				t.Fatal(err)
			}
			path, err := c.Download(t.Context(), hubtest.Repo, large, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, path, want)
			checkCache(t, c)
			if name == "right" && f.Count("cdn GET /"+hubtest.Repo+"/"+large+" bytes=123457-") != 1 {
				t.Errorf("did not go on at 123457: %v", f.Asked)
			}
			if name == "all" && f.Count("cdn") != 0 {
				t.Errorf("fetched what was there: %v", f.Asked)
			}
		})
	}
}

func TestTogether(t *testing.T) {
	f, c := newFake(t)
	errs := make(chan error)
	for range 4 {
		go func() { _, err := c.Download(t.Context(), hubtest.Repo, large, "", nil); errs <- err }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := f.Count("cdn GET"); n != 19 {
		t.Errorf("%d ranges for 4 callers, 19 for one", n)
	}
	checkCache(t, c)
}

// TestWaits: who waits for a lock is told so before, once; others are not.
func TestWaits(t *testing.T) {
	f, c := newFake(t)
	unlock, err := lock(t.Context(), filepath.Join(c.Cache, ".locks", folderName(hubtest.Repo), hubtest.Name(f.Files[large])+".lock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	c.Waits = func() {
		told++
		time.AfterFunc(200*time.Millisecond, unlock)
	}
	for _, name := range []string{large, "empty", large} {
		if _, err := c.Download(t.Context(), hubtest.Repo, name, "", nil); err != nil {
			t.Error(err)
		}
		if told != 1 {
			t.Errorf("%s: told %d times, want 1", name, told)
		}
	}
}

func TestNoSpace(t *testing.T) {
	f, c := newFake(t)
	c.free = func(string) (int64, error) { return 299_999, nil }
	_, err := c.Download(t.Context(), hubtest.Repo, large, "", nil)
	if !errors.Is(err, ErrNoSpace) || f.Count("cdn") != 0 {
		t.Errorf("%v after %v", err, f.Asked)
	}
}

// TestDiskFills: what another program takes of the disk meanwhile is said, too.
func TestDiskFills(t *testing.T) {
	_, c := newFake(t)
	tr := &transfer{c: c, blob: "/disk/blobs/x", meta: meta{size: 5_000_000}, at: 2_000_000}
	c.free = func(string) (int64, error) { return 1_000_000, nil }
	err := tr.full(&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "3 MB to come, 1 MB free in /disk/blobs; free some") {
		t.Error(err)
	}
	if err := tr.full(fs.ErrClosed); errors.Is(err, ErrNoSpace) {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	f, c := newFake(t)
	for _, v := range [][3]string{
		{"../x", "f", ""}, {"a/b/c", "f", ""}, {"", "f", ""}, {"a--b/c", "f", ""}, {"a/..", "f", ""},
		{hubtest.Repo, "../f", ""}, {hubtest.Repo, "/f", ""}, {hubtest.Repo, `a\b`, ""}, {hubtest.Repo, "", ""}, {hubtest.Repo, "f", "../main"}, {hubtest.Repo, "f", "/"},
	} {
		if _, err := c.Download(t.Context(), v[0], v[1], v[2], nil); err == nil {
			t.Errorf("%q accepted", v)
		}
	}
	if len(f.Asked) > 0 {
		t.Errorf("asked %v", f.Asked)
	}
}
