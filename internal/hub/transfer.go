package hub

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/llcuda/llcuda/internal/disk"
)

// A transfer fetches the bytes of one blob. The file ETAG.incomplete is at any
// time a first part of the blob, never one with holes, because versions of
// huggingface_hub take its length for what has come. So the ranges that run
// ahead wait in memory (at most connections+1 pieces), and are put down as
// ETAG.PIECE.incomplete when the transfer ends early.
type transfer struct {
	c          *Client
	repo, file string
	blob       string // path
	progress   func(done, total int64)

	mu   sync.Mutex // guards the rest, but for out and sum, which have one user
	meta meta
	seen string // the etag that came with the bytes, which a CDN chooses
	come int64  // bytes here or in memory

	out *os.File
	sum hash.Hash // of the bytes in out
	at  int64     // their number
}

// run makes the blob, or leaves what came.
func (t *transfer) run(ctx context.Context) error {
	name := t.blob + ".incomplete"
	var err error
	if t.out, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return err
	}
	defer func() { t.out.Close() }()
	if err := t.resume(); err != nil {
		return err
	}
	if err := t.space(); err != nil {
		return err
	}
	resumed := t.at > 0
	err = t.fetch(ctx)
	if errors.Is(err, ErrWrongBytes) && resumed {
		// The part found here may have been the wrong one.
		if err = t.restart(); err == nil {
			err = t.fetch(ctx)
		}
	}
	if errors.Is(err, ErrWrongBytes) {
		t.restart()
		t.out.Close()
		os.Remove(name)
	}
	if err != nil {
		return err
	}
	if err := t.out.Sync(); err != nil { // the name must not outlive the bytes
		return err
	}
	if err := t.out.Close(); err != nil {
		return err
	}
	t.sweep()
	return os.Rename(name, t.blob)
}

// sweep removes the pieces put down. Other files with the blob's name may be
// another program's.
func (t *transfer) sweep() {
	for from := int64(0); from < t.meta.size; from += t.c.piece {
		os.Remove((&piece{from: from}).name(t))
	}
}

// fetch brings the bytes that miss and checks the sum of all.
func (t *transfer) fetch(ctx context.Context) error {
	err := t.ranges(ctx)
	if errors.Is(err, errNoRange) {
		err = t.stream(ctx)
	}
	if err != nil {
		return err
	}
	if got := fmt.Sprintf("%x", t.sum.Sum(nil)); got != t.meta.etag {
		return fmt.Errorf("%w: their sum is %s, the file's is %s; nothing was kept, try again", ErrWrongBytes, got, t.meta.etag)
	}
	return nil
}

// resume sums up what an earlier transfer left.
func (t *transfer) resume() error {
	info, err := t.out.Stat()
	if err != nil {
		return err
	}
	t.sum = newSum(t.meta.etag, t.meta.size)
	if info.Size() > t.meta.size {
		return t.restart()
	}
	t.at, err = io.Copy(t.sum, t.out)
	t.come = t.at
	return err
}

// restart forgets all that came.
func (t *transfer) restart() error {
	t.sweep()
	t.sum = newSum(t.meta.etag, t.meta.size)
	t.at, t.come = 0, 0
	if err := t.out.Truncate(0); err != nil {
		return err
	}
	_, err := t.out.Seek(0, io.SeekStart)
	return err
}

// space asks the disk for room for what is to come.
func (t *transfer) space() error {
	dir := filepath.Dir(t.blob)
	room, err := t.c.free(dir)
	if need := t.meta.size - t.at; err == nil && room < need {
		return t.noSpace(room)
	}
	return nil
}

func (t *transfer) noSpace(room int64) error {
	return fmt.Errorf("%w: %d MB to come, %d MB free in %s; free some, or set HF_HOME to a larger disk",
		ErrNoSpace, (t.meta.size-t.at)/1e6, room/1e6, filepath.Dir(t.blob))
}

// full says what a write's error means where it is that of a disk that has
// filled up meanwhile.
func (t *transfer) full(err error) error {
	if !disk.IsFull(err) {
		return err
	}
	room, _ := t.c.free(filepath.Dir(t.blob))
	return t.noSpace(room)
}

// Write appends to the blob.
func (t *transfer) Write(p []byte) (int, error) {
	n, err := t.out.Write(p)
	t.sum.Write(p[:n])
	t.at += int64(n)
	if err != nil {
		err = t.full(err)
	}
	return n, err
}

// came reports progress. A negative n takes back what is to come again.
func (t *transfer) came(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.come += n
	if n > 0 {
		t.progress(t.come, t.meta.size)
	}
}
