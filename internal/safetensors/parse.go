package safetensors

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

const (
	maxHeader = 100_000_000 // MAX_HEADER_SIZE of the reference implementation
	maxDims   = 64          // torch and NumPy have no more
	maxInt    = math.MaxInt
	metaKey   = "__metadata__"
)

// Parse reads a file that is in memory; its tensors are views of b.
func Parse(b []byte) (*File, error) {
	n, err := headerLen(b, int64(len(b)), "")
	if err != nil {
		return nil, err
	}
	return parse(b[8:8+n], b[8+n:], "")
}

// headerLen is the length of the header of a file of so many bytes, which
// begins with b.
func headerLen(b []byte, size int64, path string) (int, error) {
	if len(b) < 8 {
		return 0, fault(path, "", "has %d bytes, want 8 at least", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	switch {
	case n > maxHeader:
		return 0, fault(path, "header", "is %d bytes long, at most %d allowed", n, maxHeader)
	case n > uint64(size-8):
		return 0, fault(path, "header", "is %d bytes long, but %d follow", n, size-8)
	case n < 2:
		return 0, fault(path, "header", "is %d bytes long, want 2 at least", n)
	}
	return int(n), nil
}

// An entry is a tensor of the header.
type entry struct {
	Tensor
	begin, end int
}

// parse reads a header; data is what follows it.
func parse(header, data []byte, path string) (*File, error) {
	if header[0] != '{' {
		return nil, fault(path, "header", "begins with %q, want {", header[0])
	}
	f := &File{Path: path, parts: []part{{path: path, size: int64(8 + len(header) + len(data))}}}
	var entries []entry
	r := newReader(header)
	r.object("it", func(key string) {
		if key == metaKey {
			f.Meta = r.meta()
			return
		}
		entries = append(entries, r.entry(key))
	})
	if err := r.end(); err != nil {
		return nil, fault(path, "header", "%w", err)
	}
	// Several tensors without numbers may lie at one place.
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	f.byName = make(map[string]int, len(entries))
	f.Tensors = make([]Tensor, 0, len(entries))
	at := 0
	for i := range entries {
		e := &entries[i]
		if err := e.check(at, len(data)); err != nil {
			return nil, fault(path, named("tensor", e.Name), "%w", err)
		}
		e.Data = data[e.begin:e.end:e.end]
		at = e.end
		f.byName[e.Name] = i
		f.Tensors = append(f.Tensors, e.Tensor)
	}
	if at != len(data) {
		return nil, fault(path, "", "%d bytes follow the last tensor", len(data)-at)
	}
	return f, nil
}

// meta reads __metadata__.
func (r *reader) meta() []KV {
	var all []KV
	r.object(metaKey, func(key string) {
		all = append(all, KV{key, r.text(metaKey + ": " + named("the value of", key))})
	})
	return all
}

// entry reads one tensor of the header.
func (r *reader) entry(name string) entry {
	e := entry{Tensor: Tensor{Name: name}}
	at, fields := named("tensor", name), 0
	r.object(at, func(key string) {
		switch key {
		case "dtype":
			e.DType = DType(r.text(at + ": dtype"))
		case "shape":
			e.Shape = r.ints(at+": shape", maxDims)
		case "data_offsets":
			pair := r.ints(at+": data_offsets", 2)
			if len(pair) != 2 {
				r.fail("%s: data_offsets has %d numbers, want 2", at, len(pair))
				return
			}
			e.begin, e.end = pair[0], pair[1]
		default:
			r.fail("%s: %s is none of the format", at, named("field", key))
		}
		fields++
	})
	if fields != 3 {
		r.fail("%s: has %d of the fields dtype, shape and data_offsets", at, fields)
	}
	return e
}

// check says whether a tensor lies behind the one that ends at `at`, in so
// many bytes of data.
func (e *entry) check(at, data int) error {
	want, err := size(e.DType, e.Shape)
	switch {
	case err != nil:
		return err
	case e.end < e.begin:
		return errorf("data_offsets [%d, %d] run backwards", e.begin, e.end)
	case e.end > data:
		return errorf("data_offsets [%d, %d] run past the %d bytes of data", e.begin, e.end, data)
	case uint64(e.end-e.begin) != want:
		return errorf("data_offsets [%d, %d] are %d bytes, shape %v of %s is %d", e.begin, e.end, e.end-e.begin, e.Shape, e.DType, want)
	case e.begin < at:
		return errorf("data_offsets [%d, %d] overlap the tensor that ends at %d", e.begin, e.end, at)
	case e.begin > at:
		return errorf("data_offsets [%d, %d] leave a hole behind the tensor that ends at %d", e.begin, e.end, at)
	}
	return nil
}
