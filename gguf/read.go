package gguf

import (
	"fmt"
	"io"
	"runtime"
	"sync"
)

// Pieces of rows: one is made by one goroutine, several are in memory at once
// where a tensor is written.
const (
	pieceBytes = 1 << 20
	writeBytes = 16 << 20
)

// Read fills dst with whole rows of t, from row on: a copy of Data, or what
// Make makes, on all processors. It guards against a map that became shorter
// (ErrFileChanged).
func (t *Tensor) Read(dst []byte, row int) error {
	size := t.RowBytes()
	if t.Make == nil {
		return Guard(func() error { copy(dst, t.Data[row*size:]); return nil })
	}
	step := max(1, pieceBytes/size) * size
	if len(dst) <= step {
		return t.make(dst, row)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		at    int
	)
	// next is a piece that nobody has taken, nil after the last or an error.
	next := func(err error) ([]byte, int) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
		if first != nil || at >= len(dst) {
			return nil, 0
		}
		lo := at
		at = min(len(dst), at+step)
		return dst[lo:at], row + lo/size
	}
	for range min(runtime.GOMAXPROCS(0), (len(dst)+step-1)/step) {
		wg.Go(func() {
			var err error
			for piece, row := next(nil); piece != nil; piece, row = next(err) {
				err = t.make(piece, row)
			}
		})
	}
	wg.Wait()
	return first
}

// Numbers are all of t: Data, or what Make makes in new memory.
func (t *Tensor) Numbers() ([]byte, error) {
	if t.Make == nil {
		return t.Data, nil
	}
	data := make([]byte, t.Bytes())
	return data, t.Read(data, 0)
}

func (t *Tensor) make(dst []byte, row int) error {
	err := Guard(func() error { return t.Make(dst, row) })
	if err != nil {
		return fmt.Errorf("gguf: tensor %q: %w", t.Name, err)
	}
	return nil
}

// write gives all numbers to dst, some rows at a time.
func (t *Tensor) write(dst io.Writer) error {
	if t.Make == nil {
		_, err := dst.Write(t.Data)
		return err
	}
	size, rest := t.RowBytes(), t.Bytes()
	buf := make([]byte, min(rest, max(1, writeBytes/size)*size))
	for row := 0; rest > 0; row += len(buf) / size {
		buf = buf[:min(len(buf), rest)]
		if err := t.Read(buf, row); err != nil {
			return err
		}
		if _, err := dst.Write(buf); err != nil {
			return err
		}
		rest -= len(buf)
	}
	return nil
}
