package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFolder writes tensors into a folder as transformers does: as
// dir/name.safetensors, or, where they have more than maxBytes, as shards
// name-00001-of-00003.safetensors with name.safetensors.index.json; 0 is one
// file. A tensor is never split. A file gets its name when it is complete, the
// index comes last; files of the same names are replaced, and an index that
// was there for other shards goes.
func WriteFolder(dir, name string, meta []KV, tensors []Source, maxBytes int64) error {
	shards, total, err := split(tensors, maxBytes)
	if err != nil {
		return err
	}
	files, weights := make([]string, len(shards)), map[string]string{}
	for i, shard := range shards {
		files[i] = name + ".safetensors"
		if len(shards) > 1 {
			files[i] = fmt.Sprintf("%s-%05d-of-%05d.safetensors", name, i+1, len(shards))
		}
		for k := range shard {
			if _, twice := weights[shard[k].Name]; twice {
				return errorf("safetensors: write %s: the name is taken", named("tensor", shard[k].Name))
			}
			weights[shard[k].Name] = files[i]
		}
	}
	for i, shard := range shards {
		if err := replace(filepath.Join(dir, files[i]), func(f *os.File) error { return Write(f, meta, shard) }); err != nil {
			return err
		}
	}
	index := filepath.Join(dir, name+".safetensors.index.json")
	if len(shards) == 1 {
		if err := os.Remove(index); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errorf("safetensors: %w", err)
		}
		return nil
	}
	return replace(index, func(f *os.File) error {
		e := json.NewEncoder(f)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": weights})
	})
}

// split cuts the list where the next tensor would make a shard too large.
func split(tensors []Source, maxBytes int64) (shards [][]Source, total uint64, err error) {
	begin, bytes := 0, uint64(0)
	for i := range tensors {
		n, err := size(tensors[i].DType, tensors[i].Shape)
		if err != nil {
			return nil, 0, errorf("safetensors: write %s: %w", named("tensor", tensors[i].Name), err)
		}
		if maxBytes > 0 && i > begin && bytes+n > uint64(maxBytes) {
			shards, begin, bytes = append(shards, tensors[begin:i]), i, 0
		}
		bytes += n
		total += n
	}
	return append(shards, tensors[begin:]), total, nil
}

// replace writes a file beside its place, and puts it there when it is whole.
func replace(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+".*")
	if err != nil {
		return errorf("safetensors: %w", err)
	}
	err = write(f)
	if e := f.Chmod(0o644); err == nil && e != nil {
		err = errorf("safetensors: %w", e)
	}
	if e := f.Close(); err == nil && e != nil {
		err = errorf("safetensors: %w", e)
	}
	if err == nil {
		if e := os.Rename(f.Name(), path); e != nil {
			err = errorf("safetensors: %w", e)
		}
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
