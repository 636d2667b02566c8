// Package export writes a model as GGUF where a user wants it: one file or
// several, complete or not at all.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/disk"
)

// Options say how. The zero value writes one file, and over none.
type Options struct {
	Force    bool  // write over files that are there
	MaxBytes int64 // of numbers in a file; 0: all in one

	// Progress, if not nil, is told how many bytes of numbers are written.
	Progress func(done, total int64)
}

// A Result is what was written. Problems are those that gguf.Check finds in
// it, read from the disk.
type Result struct {
	Paths    []string
	Bytes    int64
	Problems []gguf.Problem
}

// ErrExists says that there is a file of that name.
var ErrExists = errors.New("is there already")

// File writes f to path, or to files named after it (gguf.ShardPath) where it
// has to be split. Nothing has its name before all is written: after an error,
// or when ctx ends, there is what was there before.
func File(ctx context.Context, f *gguf.File, path string, o Options) (*Result, error) {
	if !strings.HasSuffix(path, ".gguf") {
		return nil, fmt.Errorf("export: %s: want a name that ends in .gguf", path)
	}
	whole := f
	f, err := ending(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	parts := []*gguf.File{f}
	if o.MaxBytes > 0 {
		if parts, err = f.Split(o.MaxBytes); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	}
	w := &writing{ctx: ctx, source: whole, progress: o.Progress}
	defer w.sweep()
	for i := range parts {
		final := path
		if len(parts) > 1 {
			final = gguf.ShardPath(path, i, len(parts))
		}
		if _, err := os.Stat(final); err == nil && !o.Force {
			return nil, fmt.Errorf("export: %s %w; --force writes over it", final, ErrExists)
		}
		w.final = append(w.final, final)
	}
	for i := range f.Tensors {
		w.total += int64(f.Tensors[i].Bytes())
	}
	if err := room(filepath.Dir(path), w.total); err != nil {
		return nil, err
	}
	for i, p := range parts {
		if err := w.part(p, w.final[i]); err != nil {
			return nil, err
		}
	}
	return w.finish()
}

// ending is f whose numbers are no more made when ctx has ended.
func ending(ctx context.Context, f *gguf.File) (*gguf.File, error) {
	tensors := slices.Clone(f.Tensors)
	for i := range tensors {
		if make := tensors[i].Make; make != nil {
			tensors[i].Make = func(dst []byte, row int) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return make(dst, row)
			}
		}
	}
	return gguf.New(f.Meta, tensors)
}

// room refuses what the disk does not hold.
func room(dir string, bytes int64) error {
	free, err := disk.Free(dir)
	if err != nil {
		return fmt.Errorf("export: %s: %w", dir, err)
	}
	if free < bytes {
		return fmt.Errorf("export: %d MB to write, %d MB free in %s; free some, or choose a smaller type or another place", bytes/1e6, free/1e6, dir)
	}
	return nil
}

// writing is the files on the way.
type writing struct {
	ctx         context.Context
	source      *gguf.File
	read        int64 // bytes written since its memory was given back
	progress    func(done, total int64)
	done, total int64
	final       []string
	temporary   []string // as many as are written
}

// part writes one file under a temporary name.
func (w *writing) part(f *gguf.File, final string) (err error) {
	out, err := os.CreateTemp(filepath.Dir(final), "."+filepath.Base(final)+".*.part")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	w.temporary = append(w.temporary, out.Name())
	err = f.Write(counting{w, out})
	if err == nil {
		err = out.Chmod(0o644) // CreateTemp's is for secrets
	}
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	switch {
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case disk.IsFull(err):
		return fmt.Errorf("export: the disk of %s is full after %d of %d MB; free some, or choose a smaller type or another place",
			filepath.Dir(final), w.done/1e6, w.total/1e6)
	case err != nil:
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// forgetBytes is how much is written before the memory is given back of what it
// was made of: four times as much, or seven.
const forgetBytes = 64 << 20

// counting is a file that reports how much it has, and ends with the context.
type counting struct {
	*writing
	out io.Writer
}

func (c counting) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.out.Write(b)
	c.done += int64(n)
	if c.read += int64(n); c.read > forgetBytes {
		c.source.Forget()
		c.read = 0
	}
	if c.progress != nil {
		c.progress(min(c.done, c.total), c.total)
	}
	return n, err
}

// finish gives the files their names and reads them.
func (w *writing) finish() (*Result, error) {
	r := &Result{Paths: w.final}
	for i, temporary := range w.temporary {
		if err := os.Rename(temporary, w.final[i]); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	}
	w.temporary = nil
	f, err := gguf.Open(w.final[0])
	if err != nil {
		return nil, fmt.Errorf("export: what was written cannot be read: %w", err)
	}
	r.Bytes, r.Problems = f.Size(), gguf.Check(f)
	return r, f.Close()
}

// sweep takes away what did not get its name.
func (w *writing) sweep() {
	for _, t := range w.temporary {
		os.Remove(t)
	}
}
