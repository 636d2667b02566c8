package safetensors

import (
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// openIndex opens the shards that an index lists, all of them, in the order of
// their names. Every tensor of the index has to be in the shard that it says;
// tensors of the shards that the index leaves out are there as well, as they
// are in transformers.
func openIndex(path string) (_ *File, err error) {
	weights, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	all := &File{Path: path, byName: map[string]int{}}
	defer func() {
		if err != nil {
			all.Close()
		}
	}()
	where := map[string]string{} // tensor to the shard that has it
	for _, name := range slices.Compact(slices.Sorted(maps.Values(weights))) {
		if err := inside(dir, name); err != nil {
			return nil, errorf("%w; %s wants this shard", err, filepath.Base(path))
		}
		f, err := openOne(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if len(all.parts) == 0 {
			all.Meta = f.Meta
		}
		all.parts = append(all.parts, f.parts...)
		for _, t := range f.Tensors {
			if other, twice := where[t.Name]; twice {
				return nil, fault(path, named("tensor", t.Name), "is in two shards, %s and %s", other, name)
			}
			where[t.Name] = name
			all.byName[t.Name] = len(all.Tensors)
			all.Tensors = append(all.Tensors, t)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		switch got := where[name]; got {
		case weights[name]:
		case "":
			return nil, fault(path, named("tensor", name), "is not in %s", weights[name])
		default:
			return nil, fault(path, named("tensor", name), "is not in %s but in %s", weights[name], got)
		}
	}
	return all, nil
}

// readIndex reads which tensor is in which shard.
func readIndex(path string) (map[string]string, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > maxHeader {
		return nil, fault(path, "", "is %d bytes long, at most %d allowed", size, maxHeader)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, errorf("safetensors: read %s: %w", path, err)
	}
	return parseIndex(b, path)
}

func parseIndex(b []byte, path string) (map[string]string, error) {
	var weights map[string]string
	r := newReader(b)
	r.object("it", func(key string) {
		if key != "weight_map" {
			r.skip(64)
			return
		}
		weights = map[string]string{}
		r.object(key, func(tensor string) {
			file := r.text(named("the shard of", tensor))
			if r.err == nil && !plain(file) {
				r.fail("%s is no file beside the index", named("shard", file))
			}
			weights[tensor] = file
		})
	})
	if err := r.end(); err != nil {
		return nil, fault(path, "", "%w", err)
	}
	if len(weights) == 0 {
		return nil, fault(path, "", "has no weight_map with tensors")
	}
	return weights, nil
}

// plain says whether a name is that of a file in the same folder, on any system.
func plain(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsAny(name, "/\\:\x00")
}
