package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// Bounds of files; real ones have a tenth.
const (
	maxConfig    = 4 << 20
	maxTokenizer = 256 << 20
)

// A source reads a file of a checkpoint; nil is one that is not there.
type source func(name string, most int64) ([]byte, error)

// folder is the files of a folder.
func folder(dir string) source {
	return func(name string, most int64) ([]byte, error) { return readFile(dir, name, most) }
}

func readFile(dir, name string, most int64) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file (%s)", name, info.Mode().Type())
	case info.Size() > most:
		return nil, fmt.Errorf("%s has %d bytes, at most %d allowed", name, info.Size(), most)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// read reads a file that holds an object. Without it, it is nil, or an error if
// it must be there.
func (m *model) read(name string, most int64, must bool) (*object, error) {
	b, err := m.bytes(name, most)
	switch {
	case err != nil:
		return nil, err
	case b == nil && must:
		return nil, fmt.Errorf("has no %s", name)
	case b == nil:
		return nil, nil
	}
	o := &object{at: name, err: new(error)}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&o.fields); err != nil {
		return nil, fmt.Errorf("%s is no JSON object: %w", name, err)
	}
	return o, nil
}

// An object is one of JSON. What is read of it is checked; the first error
// stays in err. null is as good as absent.
type object struct {
	at     string // what it is, for errors
	fields map[string]any
	err    *error // shared by the objects in one
}

// must stands for a default: the field is required.
const must = -1

func (o *object) has(key string) bool { return o != nil && o.fields[key] != nil }

func (o *object) fail(format string, args ...any) {
	if *o.err == nil {
		*o.err = fmt.Errorf("%s: %w", o.at, fmt.Errorf(format, args...))
	}
}

// value is a field, nil when it is absent.
func (o *object) value(key string, required bool) any {
	if o == nil {
		return nil
	}
	v := o.fields[key]
	if v == nil && required {
		o.fail("%s is missing", key)
	}
	return v
}

// int is a whole number from 1 to 2³¹-1, or the default. After an error it is 1.
func (o *object) int(key string, def int) int {
	v := o.value(key, def == must)
	if v == nil {
		return max(def, 1)
	}
	f, ok := number(v)
	if !ok || f != math.Trunc(f) || f < 1 || f > math.MaxInt32 {
		o.fail("%s is %s, want a whole number from 1 to %d", key, short(v), math.MaxInt32)
		return 1
	}
	return int(f)
}

// id is a token's number, -1 when it is absent or null.
func (o *object) id(key string) int {
	v := o.value(key, false)
	if f, ok := number(v); ok && f >= 0 && f == math.Trunc(f) && f <= math.MaxInt32 {
		return int(f)
	}
	return -1
}

// float is a finite number, or the default.
func (o *object) float(key string, def float64) float64 {
	v := o.value(key, def == must)
	if v == nil && def == must {
		return 1
	}
	if v == nil {
		return def
	}
	f, ok := number(v)
	if !ok {
		o.fail("%s is %s, want a number", key, short(v))
	}
	return f
}

// positive is float above 0.
func (o *object) positive(key string, def float64) float64 {
	f := o.float(key, def)
	if f <= 0 || f > math.MaxFloat32 {
		o.fail("%s is %g, want a number above 0", key, f)
		return 1
	}
	return f
}

func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

func (o *object) bool(key string, def bool) bool {
	v := o.value(key, false)
	if v == nil {
		return def
	}
	b, ok := v.(bool)
	if !ok {
		o.fail("%s is %s, want true or false", key, short(v))
	}
	return b
}

func (o *object) text(key, def string) string {
	v := o.value(key, false)
	if v == nil {
		return def
	}
	s, ok := v.(string)
	if !ok {
		o.fail("%s is %s, want a string", key, short(v))
	}
	return s
}

// texts is a list of strings, nil when it is absent.
func (o *object) texts(key string) []string {
	v := o.value(key, false)
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	all := make([]string, len(list))
	for i := range list {
		s, is := list[i].(string)
		all[i], ok = s, ok && is
	}
	if !ok {
		o.fail("%s is %s, want a list of strings", key, short(v))
		return nil
	}
	return all
}

// floats is a list of numbers, nil when it is absent.
func (o *object) floats(key string) []float32 {
	v := o.value(key, false)
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	all := make([]float32, len(list))
	for i := range list {
		f, is := number(list[i])
		all[i], ok = float32(f), ok && is
	}
	if !ok {
		o.fail("%s is %s, want a list of numbers", key, short(v))
		return nil
	}
	return all
}

// object is a field that is one, nil when it is absent.
func (o *object) object(key string) *object {
	v := o.value(key, false)
	if v == nil {
		return nil
	}
	fields, ok := v.(map[string]any)
	if !ok {
		o.fail("%s is %s, want an object", key, short(v))
		return nil
	}
	return &object{at: o.at + ": " + key, fields: fields, err: o.err}
}

// short is a value for an error.
func short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	if len(b) > 60 {
		return string(bytes.ToValidUTF8(b[:60], nil)) + "..."
	}
	return string(b)
}
