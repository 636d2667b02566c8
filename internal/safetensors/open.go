package safetensors

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/edsrzf/mmap-go"
)

// Open maps a file, the shards that an index (model.safetensors.index.json)
// lists, or the checkpoint in a folder, and checks all but the numbers.
//
// In a folder it is model.safetensors.index.json or model.safetensors, else
// the adapter_model.safetensors of PEFT, else the one index or the one file
// that is there. Shards and what a folder offers must lie in that folder; the
// links of Hugging Face's cache, from snapshots to blobs, are followed.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, errorf("safetensors: %w", err)
	case info.IsDir():
		return openFolder(path)
	case strings.HasSuffix(path, ".json"):
		return openIndex(path)
	}
	return openOne(path)
}

// openRegular opens a file that is neither pipe nor device. Stat comes before
// Open, which would wait for the other end of a FIFO.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, 0, fault(path, "", "is no regular file (%s)", info.Mode().Type())
	}
	if err != nil {
		return nil, 0, errorf("safetensors: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, errorf("safetensors: %w", err)
	}
	if info, err = file.Stat(); err == nil && (!info.Mode().IsRegular() || info.Size() > maxInt) {
		err = fault(path, "", "is no regular file of at most %d bytes", maxInt)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// openOne maps one file. The header is read, not mapped: it cannot change
// while it is parsed.
func openOne(path string) (*File, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the map outlives it
	start := make([]byte, min(size, 8))
	if _, err := io.ReadFull(file, start); err != nil {
		return nil, errorf("safetensors: read %s: %w", path, err)
	}
	n, err := headerLen(start, size, path)
	if err != nil {
		return nil, err
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(file, header); err != nil {
		return nil, errorf("safetensors: read %s: %w", path, err)
	}
	data, err := mmap.MapRegion(file, int(size), mmap.RDONLY, 0, 0)
	if err != nil {
		return nil, errorf("safetensors: map %s: %w", path, err)
	}
	f, err := parse(header, data[8+n:], path)
	if err != nil {
		data.Unmap()
		return nil, err
	}
	f.parts[0].mapped = &data
	return f, nil
}

// openFolder opens the checkpoint in a folder.
func openFolder(dir string) (*File, error) {
	for _, name := range []string{"model.safetensors.index.json", "model.safetensors", "adapter_model.safetensors"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return openIn(dir, name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errorf("safetensors: %w", err)
	}
	for _, suffix := range []string{".safetensors.index.json", ".safetensors"} {
		var names []string
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) {
				names = append(names, e.Name())
			}
		}
		switch {
		case len(names) == 1:
			return openIn(dir, names[0])
		case len(names) > 3:
			return nil, fault(dir, "", "has %d files *%s (%s, ...) and no model%s; name one", len(names), suffix, strings.Join(names[:3], ", "), suffix)
		case len(names) > 1:
			return nil, fault(dir, "", "has %s and no model%s; name one", strings.Join(names, ", "), suffix)
		}
	}
	return nil, fault(dir, "", "has no .safetensors file")
}

// openIn opens an index or a file of a folder.
func openIn(dir, name string) (*File, error) {
	if err := inside(dir, name); err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".json") {
		return openIndex(filepath.Join(dir, name))
	}
	return openOne(filepath.Join(dir, name))
}

// inside says whether a file of a folder lies there when links are followed,
// or, in Hugging Face's cache, among the blobs beside the snapshots.
func inside(dir, name string) error {
	path := filepath.Join(dir, name)
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return errorf("safetensors: %w", err)
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return errorf("safetensors: %w", err)
	}
	if within(root, file) {
		return nil
	}
	for d := root; filepath.Dir(d) != d; d = filepath.Dir(d) {
		if up := filepath.Dir(d); filepath.Base(up) == "snapshots" && within(filepath.Join(filepath.Dir(up), "blobs"), file) {
			return nil
		}
	}
	return fault(path, "", "is a link out of the folder")
}

func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
