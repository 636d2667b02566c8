package hub

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// lock takes the lock file at path, waiting while another process, Python's
// too, holds it; waits (which may be nil) is called once before. The file stays
// behind after unlock: to remove it would let two hold locks of the same name.
func lock(ctx context.Context, path string, waits func()) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o664)
		if err != nil {
			return nil, err
		}
		held, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if held && isAt(f, path) {
			return func() { f.Close() }, nil // closing unlocks
		}
		f.Close()
		if waits != nil {
			waits()
			waits = nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// isAt reports whether path still names the open file.
func isAt(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
