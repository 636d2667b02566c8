package gguf

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/edsrzf/mmap-go"
)

// Open maps a file and checks all of it but the numbers. Of a file that is
// split into shards (name-00001-of-00003.gguf) any shard may be named; all are
// opened.
func Open(path string) (*File, error) {
	f, err := openOne(path)
	if err != nil {
		return nil, err
	}
	// Merged files keep the key with 0.
	count, err := f.UintOr("split.count", 0)
	if err != nil {
		f.Close()
		return nil, err
	}
	if count <= 1 {
		return f, nil
	}
	f.Close()
	return openShards(path, count)
}

// openOne maps and parses one file on disk.
func openOne(path string) (*File, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	var f *File
	err = Guard(func() (err error) {
		f, err = parse(data, path)
		return err
	})
	if err != nil {
		data.Unmap()
		return nil, err
	}
	f.shards[0].mapped = &data
	return f, nil
}

// mapFile maps a regular file. Stat comes before Open, which would wait for
// the other end of a FIFO.
func mapFile(path string) (mmap.MMap, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	fault := func(format string, args ...any) error {
		return &FormatError{Path: path, Offset: -1, Err: fmt.Errorf(format, args...)}
	}
	if !info.Mode().IsRegular() {
		return nil, fault("is %s, want a file", kind(info.Mode()))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	defer file.Close() // the map outlives it
	if info, err = file.Stat(); err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault("is %s, want a file", kind(info.Mode()))
	}
	if info.Size() == 0 {
		return nil, fault("is empty")
	}
	data, err := mmap.MapRegion(file, int(info.Size()), mmap.RDONLY, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("gguf: map %s: %w", path, err)
	}
	return data, nil
}

// kind is what a path is that is no regular file.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "no regular file"
}

var shardName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// openShards opens all files of a split one. They lie in one folder and are
// named after their place; the names are made here, never taken from a file.
func openShards(path string, count uint64) (_ *File, err error) {
	fault := func(where, format string, args ...any) error {
		return &FormatError{Path: path, Where: where, Offset: -1, Err: fmt.Errorf(format, args...)}
	}
	dir, base := filepath.Split(path)
	m := shardName.FindStringSubmatch(base)
	if m == nil {
		return nil, fault("", "is one of %d shards but is not named like name-00001-of-%05d.gguf", count, count)
	}
	if n, _ := strconv.ParseUint(m[3], 10, 64); n != count {
		return nil, fault(`key "split.count"`, "is %d, the file's name says %d", count, n)
	}
	all := &File{Path: path}
	defer func() {
		if err != nil {
			all.Close()
		}
	}()
	for no := range count {
		part := ShardPath(dir+m[1]+".gguf", int(no), int(count))
		f, err := openOne(part)
		if err != nil {
			return nil, fmt.Errorf("shard %d of %d: %w", no+1, count, err)
		}
		all.add(f)
		if err := f.checkShard(no, count); err != nil {
			return nil, err
		}
	}
	all.tensors = newIndex(len(all.Tensors))
	for i := range all.Tensors {
		if !all.tensors.add(i, all.tensorName) {
			return nil, fault(fmt.Sprintf("tensor %q", all.Tensors[i].Name), "is in two shards")
		}
	}
	want, err := all.UintOr("split.tensors.count", uint64(len(all.Tensors)))
	if err == nil && want != uint64(len(all.Tensors)) {
		err = fault(`key "split.tensors.count"`, "is %d, the shards have %d tensors", want, len(all.Tensors))
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// add takes over a shard's tensors, and the metadata of the first one.
func (f *File) add(part *File) {
	if len(f.shards) == 0 {
		f.Path, f.Version, f.Meta, f.keys = part.Path, part.Version, part.Meta, part.keys
	}
	f.Tensors = append(f.Tensors, part.Tensors...)
	f.shards = append(f.shards, part.shards...)
}

// checkShard says whether a file is the shard that its name says.
func (f *File) checkShard(no, count uint64) error {
	for _, k := range []struct {
		key  string
		want uint64
	}{{"split.no", no}, {"split.count", count}} {
		got, err := f.Uint(k.key)
		if err != nil {
			return err
		}
		if got != k.want {
			return &FormatError{Path: f.Path, Where: fmt.Sprintf("key %q", k.key), Offset: -1,
				Err: fmt.Errorf("is %d, want %d", got, k.want)}
		}
	}
	return nil
}

// Paths lists the files on disk.
func (f *File) Paths() []string {
	var all []string
	for i := range f.shards {
		all = append(all, f.shards[i].path)
	}
	return slices.Clip(all)
}
