package gguf

import (
	"fmt"
	"math"
)

// The typed getters convert between widths where the value fits. They fail
// with ErrNoKey when the key is missing and with a *FormatError when it has
// another type; the variants with Or return def for a missing key.

// String is the text of a key.
func (f *File) String(key string) (string, error) { return get(f, key, "string", asString) }

// StringOr is String with a default.
func (f *File) StringOr(key, def string) (string, error) {
	return getOr(f, key, "string", asString, def)
}

// Uint is the integer of a key that is not negative.
func (f *File) Uint(key string) (uint64, error) { return get(f, key, "an unsigned integer", asUint) }

// UintOr is Uint with a default.
func (f *File) UintOr(key string, def uint64) (uint64, error) {
	return getOr(f, key, "an unsigned integer", asUint, def)
}

// Int is the integer of a key.
func (f *File) Int(key string) (int64, error) { return get(f, key, "an integer", asInt) }

// IntOr is Int with a default.
func (f *File) IntOr(key string, def int64) (int64, error) {
	return getOr(f, key, "an integer", asInt, def)
}

// Float is the floating-point number of a key.
func (f *File) Float(key string) (float64, error) { return get(f, key, "a float", asFloat) }

// FloatOr is Float with a default.
func (f *File) FloatOr(key string, def float64) (float64, error) {
	return getOr(f, key, "a float", asFloat, def)
}

// Bool is the truth value of a key.
func (f *File) Bool(key string) (bool, error) { return get(f, key, "bool", asBool) }

// BoolOr is Bool with a default.
func (f *File) BoolOr(key string, def bool) (bool, error) { return getOr(f, key, "bool", asBool, def) }

// Strings is the list of strings of a key. It is shared: do not change it.
func (f *File) Strings(key string) ([]string, error) { return get(f, key, "[]string", asStrings) }

// Ints is the list of integers of a key.
func (f *File) Ints(key string) ([]int64, error) { return get(f, key, "a list of integers", asInts) }

// Floats is the list of floating-point numbers of a key.
func (f *File) Floats(key string) ([]float64, error) {
	return get(f, key, "a list of floats", asFloats)
}

func get[T any](f *File, key, want string, as func(any) (T, bool)) (T, error) {
	v, ok := f.Value(key)
	if !ok {
		var zero T
		return zero, &FormatError{Path: f.Path, Where: fmt.Sprintf("key %q", key), Offset: -1, Err: ErrNoKey}
	}
	t, ok := as(v)
	if !ok {
		return t, &FormatError{Path: f.Path, Where: fmt.Sprintf("key %q", key), Offset: -1,
			Err: fmt.Errorf("is %s, want %s", show(v), want)}
	}
	return t, nil
}

func getOr[T any](f *File, key, want string, as func(any) (T, bool), def T) (T, error) {
	if _, ok := f.Value(key); !ok {
		return def, nil
	}
	return get(f, key, want, as)
}

// show is a value's type, and the value where that says more.
func show(v any) string {
	if _, ok := asInt(v); ok {
		return fmt.Sprintf("%T %v", v, v)
	}
	return fmt.Sprintf("%T", v)
}

func asString(v any) (string, bool)    { s, ok := v.(string); return s, ok }
func asBool(v any) (bool, bool)        { b, ok := v.(bool); return b, ok }
func asStrings(v any) ([]string, bool) { s, ok := v.([]string); return s, ok }

func asInt(v any) (int64, bool) {
	switch n := v.(type) {
	case uint8:
		return int64(n), true
	case int8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint64:
		return int64(n), n <= math.MaxInt64
	case int64:
		return n, true
	}
	return 0, false
}

func asUint(v any) (uint64, bool) {
	if n, ok := v.(uint64); ok {
		return n, true
	}
	n, ok := asInt(v)
	return uint64(n), ok && n >= 0
}

func asFloat(v any) (float64, bool) {
	switch n := v.(type) {
	case float32:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func asInts(v any) ([]int64, bool) {
	switch s := v.(type) {
	case []uint8:
		return widen[int64](s), true
	case []int8:
		return widen[int64](s), true
	case []uint16:
		return widen[int64](s), true
	case []int16:
		return widen[int64](s), true
	case []uint32:
		return widen[int64](s), true
	case []int32:
		return widen[int64](s), true
	case []int64:
		return s, true
	case []uint64:
		for _, n := range s {
			if n > math.MaxInt64 {
				return nil, false
			}
		}
		return widen[int64](s), true
	}
	return nil, false
}

func asFloats(v any) ([]float64, bool) {
	switch s := v.(type) {
	case []float32:
		return widen[float64](s), true
	case []float64:
		return s, true
	}
	return nil, false
}

type number interface {
	~uint8 | ~int8 | ~uint16 | ~int16 | ~uint32 | ~int32 | ~uint64 | ~int64 | ~float32 | ~float64
}

func widen[T, S number](s []S) []T {
	t := make([]T, len(s))
	for i, v := range s {
		t[i] = T(v)
	}
	return t
}
